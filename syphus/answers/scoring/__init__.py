"""Scores answers by heuristics, to find those that make good in-context examples. Pure functions.

basic_quality.py  heuristics: parses, rules, number of pairs, length, whole sentences, no leak
candidates.py     the types: candidate, scoring context, heuristic, score
changes.py        the rule against changes that are turned around
claims.py         rules about names and colours
copying.py        heuristics: copies of examples and of other answers, repetitions; varied questions
counting.py       numbers, by what they count
grounding.py      heuristics: grounding and coverage
heuristics.py     the table of heuristics, and score_all
invented.py       the cleaning rule against invented things
lexicon.py        visible things with their synonyms, kinds and parts
norms.py          how concrete words are, by ratings of people
parroting.py      heuristics: answers that hand on the annotation, or only repeat their question
words.py          tokens of a text, with their stems, numbers and names
"""

from syphus.answers.scoring.candidates import Candidate, Heuristic, Scored, ScoringContext
from syphus.answers.scoring.changes import changes_of_the_annotation
from syphus.answers.scoring.claims import colours_of_the_annotation, names_of_the_annotation
from syphus.answers.scoring.counting import numbers_of_the_annotation
from syphus.answers.scoring.heuristics import HEURISTICS, score_all
from syphus.answers.scoring.invented import things_of_the_annotation

__all__ = [
    "HEURISTICS",
    "Candidate",
    "Heuristic",
    "Scored",
    "ScoringContext",
    "changes_of_the_annotation",
    "colours_of_the_annotation",
    "names_of_the_annotation",
    "numbers_of_the_annotation",
    "score_all",
    "things_of_the_annotation",
]
