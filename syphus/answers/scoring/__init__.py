"""Scores answers by heuristics, to find those that make good in-context examples. Pure functions.

basic_quality.py  heuristics: parses, rules, number of pairs, length, whole sentences, no leak
candidates.py     the types: candidate, scoring context, heuristic, score
copying.py        heuristics: copies of examples and of other answers, repetitions; varied questions
grounding.py      heuristics: grounding and coverage; the cleaning rule against invented things
heuristics.py     the table of heuristics, and score_all
lexicon.py        visible things with their synonyms, kinds and parts
parroting.py      heuristics: answers that hand on the annotation, or only repeat their question
words.py          tokens of a text, with their stems, numbers and names
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
