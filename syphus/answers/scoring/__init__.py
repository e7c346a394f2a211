"""Which answers make good in-context examples: scored by heuristics, chosen as a set, proven. Pure functions.

basic_quality.py  the form of an answer
candidates.py     a candidate, what it is compared with, a heuristic, a score
copying.py        heuristics: phrases of an example, or of another query's answer
grounding.py      heuristic and rule of cleaning: what the annotation does not support
heuristics.py     candidates scored by all heuristics
lexicon.py        things that can be seen, and how they hang together
variety.py        heuristic: questions of different kinds
words.py          stems, numbers and names of a text
"""

from syphus.answers.scoring.candidates import Candidate, Heuristic, Scored, ScoringContext
from syphus.answers.scoring.grounding import things_of_the_annotation
from syphus.answers.scoring.heuristics import HEURISTICS, score_all

__all__ = [
    "HEURISTICS",
    "Candidate",
    "Heuristic",
    "Scored",
    "ScoringContext",
    "score_all",
    "things_of_the_annotation",
]
