"""Several commands in a row, from one YAML file: `syphus run pipeline.yaml`.

gates.py          where a pipeline stops for review, and what lets it continue
pipeline.py       runs the stages, each by the function of its command
pipeline_file.py  reads the file: its stages and their options, each mistake with its line
plan_view.py      what people read: the stages before a run, and what each of them cost
"""

from __future__ import annotations
