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

from __future__ import annotations


# FOLDED from __init__.py:
# Translation as a stage: pairs are asked for in all languages at once, each language is judged by itself.
#
# pieces.py   pairs as queries: one a pair, several for a long one
# asking.py   what the model is asked
# answers.py  what it has written, as far as it can be read
# judging.py  what a translation is worth
# stage.py    the two stages: pairs in all their languages, and what was no good once more
# recheck.py  what the ledger holds, judged by today's checks
