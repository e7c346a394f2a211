"""Reading files that people wrote: annotations of any size, and YAML.

records.py      JSON arrays, JSON objects and JSON Lines, record by record
nested.py       an object inside of a JSON object, and keys that come twice
json_stream.py  the JSON reader underneath, which knows where it is
json_scan.py    one value out of a text
places.py       where a record stands, and which are passed over
coco.py         COCO's captions and boxes, from its own files
frames.py       the names of frames, from a listing beside the annotations
vector_files.py vectors with the ids of images
media_files.py  the image and video files below a folder
text_files.py   encodings, gzip, and what text may not hold
yaml_files.py   YAML without its traps
"""
