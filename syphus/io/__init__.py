"""Reading files that people wrote: annotations of any size, and YAML.

coco.py         COCO's captions and boxes, from its own files
durable.py      writing a file so that nobody ever sees half of it
json_stream.py  the JSON reader underneath, which knows where it is
media.py        the frames of scenes and videos, where the annotations don't say which there are
parquet.py      MOVED
records.py      JSON arrays, JSON objects and JSON Lines, record by record
text_files.py   encodings, gzip, and what text may not hold
yaml_files.py   YAML without its traps
"""
