"""Translating the pairs of a run, or of any MIMIC-IT file.

chunks.py        pairs as texts to translate
files.py         the files in each language, the one in all of them, the data yaml
job.py           the whole, from the folder or the file to the translated files
judge.py         A model reads a share of the translations and says what is wrong with them
options.py       languages, tone and glossary, as the user says them
page.py          pairs beside their source, to look at
prompts.py       what the model is asked
responses.py     what a model has written
results.py       the pairs that are translated, and which of them go out in each language
rounds.py        what is asked when
source_pairs.py  the pairs that are to be translated, one by one, each with the rounds of its conversation that came b
stage.py         the two stages of translation
"""
