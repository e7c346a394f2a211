"""Translates the pairs of a run, or of any MIMIC-IT file, into other languages.

chunks.py          splits a pair that is too long for one answer, and joins its translated chunks
files.py           finds the input, and writes the translated files
job.py             the whole job, from a folder or file to the translated files and the report
judge.py           has a model judge a sample of the accepted translations
options.py         parses languages, tone and glossary
page.py            writes the HTML page that shows pairs beside their translations
prompts.py         the prompts that ask for translations
responses.py       reads the answers
results.py         reads the translated pairs, and decides which are exported in each language
rounds.py          the order of the requests: all pairs first, then retries in batches
source_checker.py  checks translations by rule, when they arrive and again when the checks or the glossary have change
source_pairs.py    reads the pairs to translate
stage.py           the two stages of the request loop: translate, and translate again
"""

from importlib import import_module


def __getattr__(name: str) -> object:
    """Return what an earlier version had here: the languages, and the checks of translations."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("syphus.answers.translation"), name)
