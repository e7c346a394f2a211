"""Image stores: build one from a dataset's stills and videos, and read single images out of millions.

conversion_results.py  the images that go into a store, one by one in a fixed order, from any position on
conversion_units.py    the files to convert, with the ids of the images that are taken from each
convert.py             builds an image store from a dataset or from another store, and resumes after a stop
convert_options.py     the options of `convert`, how images are encoded, and the jobs of decoder processes
convert_state.py       how far a conversion has got, and which photos could not be downloaded: two SQLite files
decoder_process.py     starts a process that reads images, and serves in it
download.py            downloads photos from the web, politely
index.py               where each image of a store is
parquet_store.py       reads the Parquet files of a store, one row group at a time
part_writer.py         writes the Parquet parts of a store, and joins them into one file
photo_hosts.py         tells photos that are gone from hosts that don't answer, while they are downloaded
pixels.py              decodes, rotates, resizes and encodes one image file
pool.py                runs several decoder processes and returns their results in order
prompt/                images in the prompt
store.py               opens a store of any kind, and reads one image by its id; reads a JSON store without loading it
video.py               decodes the frames of a video at given seconds
video_timeline.py      when each frame of a video is shown, read without decoding
worker.py              the decoder process
"""
