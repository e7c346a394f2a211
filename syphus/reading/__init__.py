"""Reading files that people wrote: annotations of any size, and YAML.

records.py      JSON arrays, JSON objects and JSON Lines, record by record
nested.py       an object inside of a JSON object, and keys that come twice
json_values.py  one value
json_stream.py  the JSON reader underneath, which knows where it is
text_files.py   encodings, gzip, and what text may not hold
yaml_files.py   YAML without its traps
"""
