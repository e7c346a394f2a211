"""Leaks: a pair that speaks of the notes which the model was given, or shows their syntax."""

from __future__ import annotations

import re

from syphus.cleaning import GENERAL_RULES
from syphus.cleaning.rules import Context, clean, parts
from syphus.selection.candidates import Background, Candidate

_NOTES = (
    "descriptions?|captions?|annotations?|narrations?|metadata|bounding box(?:es)?|coordinates?|sentences?|notes?"
    "|prompts?"
)
_SPOKEN_OF = re.compile(
    rf"\b(?:the|this|these|those|your) (?:given |provided |above )?({_NOTES})\b(?! of (?:the|this|a)\b)", re.IGNORECASE
)
_SYNTAX = re.compile(r"\[\s*\d+(?:\.\d+)?\s*,")
_STRONG = tuple(rule for rule in GENERAL_RULES if rule.name == "speaks of its notes")


def no_leak(candidate: Candidate, _: Background) -> tuple[float, str]:
    """1 where nothing speaks of notes, 0 where something does."""
    rejections = clean(candidate.pairs, _STRONG, Context(candidate.query)).rejections
    if rejections:
        return 0.0, next(iter(rejections.values()))
    annotation = candidate.query.text.casefold()
    for place, text in parts(candidate.pairs):
        found = _SPOKEN_OF.search(text)
        if found and found[1].casefold().rstrip("s") not in annotation:
            return 0.0, f"{place}: {found[0]}"
        if _SYNTAX.search(text):
            return 0.0, f"{place}: coordinates"
    return 1.0, ""
