"""Translating the pairs of a run, or of any MIMIC-IT file.

job.py      the whole, from the folder or the file to the translated files
wanted.py   languages, tone and glossary, as the user says them
place.py    where the pairs are, and where everything goes
pairs.py    the pairs, one by one, with their context
rounds.py   what is asked when
second_reading.py  a model judges a share of the translations
outcome.py  the pairs that are translated, and which of them go out
files.py    the files in each language, the one in all of them, the data yaml
page.py     pairs beside their source, to look at
"""
