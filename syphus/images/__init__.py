"""Image stores: from a dataset's stills and videos to base64 by image id, and one image back out of millions.

reading a store:
store.py      open_store: one image by its id, whatever the store is
columns.py    which columns of a Parquet file hold the ids and the images
index.py      where each id is
part_files.py Parquet files, read a row group at a time
json_text.py  where each image is in a JSON file
"""
