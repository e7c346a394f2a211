"""Which answers make good in-context examples: scored by heuristics, chosen as a set, proven. Pure functions.

annotation_facts.py  what an annotation supports
candidates.py        a candidate, what it is compared with, a heuristic, a score
copying.py           heuristics: phrases of an example, or of another query's answer
form.py              heuristics of the form: read, number of pairs, rules, length, whole sentences
grounding.py         heuristic and rule of cleaning: what the annotation does not support
lexicon.py           things that can be seen, and how they hang together
score.py             all heuristics over all candidates
variety.py           heuristic: questions of different kinds
words.py             stems, numbers and names of a text
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
