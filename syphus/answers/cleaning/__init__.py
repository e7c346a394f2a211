"""Cleaning rules, applied between parsing and the result: repairs to pairs, and faults that make an answer invalid.

Pure functions.

citations.py       citation marks that point at nothing
dataset_rules.py   rules that plugins choose from: boxes, people, names, counts of pairs
doubtful_lines.py  last lines that may be no part of an answer
endings.py         what models append to a text: end marks, counts, notes, remarks
general_rules.py   rules that apply to every dataset
meta_commentary.py what models say of their own work, in any language
non_answers.py     answers that do not answer their question
rules.py           the kinds of rule, and how they are applied
sent_texts.py      what was sent to the model: runs of words, and scripts
source_mentions.py mentions of the notes that the model was given
times.py           times of a video, and times of day
unfinished.py      answers that are cut off, in another language, of far too many pairs, or say nothing
"""

from syphus.answers.cleaning.dataset_rules import (
    answers_of_words,
    asked_by_the_wearer,
    images_in_order,
    instead_of,
    no_boxes,
    no_letters_for_people,
    no_names,
    no_names_of_the_annotation,
    pairs_between,
)
from syphus.answers.cleaning.general_rules import GENERAL_RULES
from syphus.answers.cleaning.rules import (
    Check,
    Cleaned,
    Context,
    Drop,
    Reject,
    Repair,
    Rule,
    RuleSet,
    clean,
    normalize_words,
)
from syphus.answers.cleaning.times import no_timestamps, times_of_the_annotation

__all__ = [
    "GENERAL_RULES",
    "Check",
    "Cleaned",
    "Context",
    "Drop",
    "Reject",
    "Repair",
    "Rule",
    "RuleSet",
    "answers_of_words",
    "asked_by_the_wearer",
    "clean",
    "images_in_order",
    "instead_of",
    "no_boxes",
    "no_letters_for_people",
    "no_names",
    "no_names_of_the_annotation",
    "no_timestamps",
    "normalize_words",
    "pairs_between",
    "times_of_the_annotation",
]
