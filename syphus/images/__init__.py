"""Image stores: from a dataset's stills and videos to base64 by image id, and one image back out of millions.

what is asked for:

catalog.py          the files to be converted, with the ids of what is taken from them
convert.py          from a dataset's stills and videos to its image store, part by part
convert_options.py  what is to be converted, and how
download.py         gets them, politely
index.py            where each id is
json_store.py       where each image is in a JSON file, `{"SD_IMG_00058_1": "<base64>", ...}`, which stays on the disk
packets.py          when each frame of a video is shown, without decoding any
parquet_store.py    the Parquet files of a store, read a row group at a time
part_writer.py      writing a store part by part
pixels.py           an image file: decoded, turned, resized, encoded once
pool.py             several processes, and what they give in order
progress.py         how far a conversion has got
prompt/             images in the prompt
store.py            open_store: one image by its id, whatever the store is
unit_results.py     the images that go into a store, one by one in their order, from any point on
video.py            frames of a video at given seconds
worker.py           such a process
worker_protocol.py  what goes to a process that decodes, and what comes back
"""
