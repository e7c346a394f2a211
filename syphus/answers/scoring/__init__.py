"""Which answers make good in-context examples: scored by heuristics, chosen as a set, proven. Pure functions.

candidates.py    a candidate, what it is compared with, a heuristic, a score
heuristics.py    the table of heuristics
form.py          heuristics of the form: read, number of pairs, rules, length, whole sentences
grounding.py     heuristic and rule of cleaning: what the annotation does not support
coverage.py      heuristic: how much of the annotation comes up
variety.py       heuristic: questions of different kinds
copying.py       heuristics: phrases of an example, or of another query's answer
leaks.py         heuristic: a pair that speaks of the model's notes
judge.py         a model as one more heuristic: rubric and verdict
score.py         all heuristics over all candidates
strategies.py    a small set out of them
spread.py        which queries are asked in the first place
proof.py         whether a set helps, and which example hurts
facts.py         an annotation's words and numbers, with what they count
things.py        things that can be seen, their kinds and parts
words.py         stems, numbers and names of a text
common_words.py  words that say nothing of an annotation's own
"""

from syphus.answers.scoring.candidates import Candidate, Heuristic, Scored, ScoringContext
from syphus.answers.scoring.grounding import things_of_the_annotation
from syphus.answers.scoring.score import HEURISTICS, score_all

__all__ = [
    "HEURISTICS",
    "Candidate",
    "Heuristic",
    "Scored",
    "ScoringContext",
    "score_all",
    "things_of_the_annotation",
]
