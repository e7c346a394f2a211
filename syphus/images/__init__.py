"""Image stores: from a dataset's stills and videos to base64 by image id, and one image back out of millions.

what is asked for:
conversion.py  the options of `convert`
look.py        what images become
catalog.py     the files to be converted, with the ids of what is taken from them
wanted.py      the ids that annotations name
decoding:
pool.py        several processes, and what they give in order
jobs.py        what goes to them and comes back
worker.py      such a process
pixels.py      an image file: decoded, turned, resized, encoded once
video.py       frames of a video at given seconds
packets.py     when each frame of a video is shown, without decoding any
timeline.py    which frames these are, and what has to be decoded for them
photos from the web:
download.py    gets them, politely
downloads.py   remembers what is gone
writing a store:
parts.py       part by part, each in one piece
state.py       how far it is
outputs.py     from the parts to one file, a folder or JSON
reading a store:
store.py       open_store: one image by its id, whatever the store is
columns.py     which columns of a Parquet file hold the ids and the images
index.py       where each id is
part_files.py  Parquet files, read a row group at a time
json_text.py   where each image is in a JSON file
encoding.py    base64
"""
