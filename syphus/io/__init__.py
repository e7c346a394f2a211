"""Readers of annotation and settings files, files that survive a crash, and the terminal.

coco.py          COCO's captions and boxes, from its own files
csv_tables.py    CSV and TSV files, row by row, in any of their forms
durable.py       atomic writes, storage errors, and temporary databases
json_stream.py   the streaming JSON reader below `records`, which knows the position of each record
media.py         image and video files below a folder, their names by id, and listings of frames
parquet.py       Parquet files, written row by row
record_reader.py what all readers have in common: the position of the record in use, and bad records
records.py       JSON arrays, JSON objects and JSON Lines, record by record
tables.py        Parquet files and data sets of the Hub, row by row; groups of rows
terminal.py      lines on a terminal that are redrawn in place
text_files.py    decoding, gzip, positions of records, and bad records
webdataset.py    shards of WebDataset: tar files, sample by sample
yaml_files.py    YAML, read safely and strictly
"""
