"""MIMIC-IT files, whoever wrote them: found, checked, counted and mixed.

finding.py  from paths to the files that are loaded together
groups.py   the data yaml, which says so for Otter's loader
verify.py   what is wrong with them
entries.py  what is wrong with one pair
stores.py   the images that an image store holds, by their ids
pictures.py whether they can be decoded
unused.py   images that no pair names
names.py    names by the million, and who asks for them
mix.py      a data yaml from datasets, and what it makes of them
stats.py    images, pairs and words, counted
page.py     the same as a page with pictures
"""
