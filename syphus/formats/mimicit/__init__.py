"""Reads, checks, counts and mixes MIMIC-IT files, and writes them.

MIMIC-IT is the instruction dataset of Otter (arXiv 2306.05425), and its file format: `XX_instructions.json` with the
pairs, `XX_train.json` with the pairs to train on, an image store, and a data yaml that lists them for Otter's loader.

data_yaml.py  the data yaml: groups of datasets that Otter's loader loads together, and their task descriptions
discovery.py  finds the files to load together, from a folder, a file or a data yaml
entries.py    reads the pairs of an instruction file, JSON or a Parquet table, and which group their images make
ids.py        sets of millions of ids on disk: finds duplicate ids and missing references
images.py     reads the images of an image store, and checks that they can be decoded
mix.py        writes a data yaml from several datasets, and computes how often each will be drawn
stats.py      counts images, pairs and words, as JSON and as an HTML page
verify.py     checks files, and reports each fault with file and id
writer.py     writes `XX_instructions.json` and `XX_train.json`
"""
