"""Rules that hold for every dataset: an answer must speak of what is seen, and not of what the model was told.

A plugin that wants one of them otherwise names it in `without_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.cleaning.rules import Check, Context, Reject, Repair, Rule, at, folded, parts
from syphus.types import Pair

_SURELY = r"(?:descriptions?|captions?|annotations?|bounding box(?:es)?|metadata|narrations?|timestamps?)"
_PERHAPS = r"(?:texts?|sentences?|notes|context|information|scenario|list)"  # a sign in the image may hold a text
_GIVEN = r"(?:given|provided|above|supplied)"
_LEAK = (
    r"\b(?:based on|according to|judging by|from|"
    r"(?:stated|mentioned|described|noted|indicated|given|provided) (?:in|by)) "
    rf"(?:the|these|those|this|your) (?:(?:{_GIVEN}|image|video|scene|dense) )*{_SURELY}\b"
    rf"|\b(?:the|this|these|your) {_GIVEN} (?:{_SURELY}|{_PERHAPS})\b"
    rf"|\b(?:the|these|those) {_SURELY} (?:do(?:es)? not |do(?:es)?n't |did not |didn't )?"
    r"(?:mention|state|specif(?:y|ie)|indicate|provide|describe|say|suggest)(?:s|d|ed)?\b"
    rf"|\b(?:is not|isn't|are not|aren't|not) (?:mentioned|specified|stated|provided) (?:in|by) the {_SURELY}\b"
)
_REFUSAL = (
    r"\bas an ai\b|\blanguage model\b"
    r"|\bi(?:'m| am) (?:sorry, (?:but )?i|unable to|not able to)\b"
    r"|\bi (?:can'?t|cannot) (?:assist|help|provide|see|view|access|answer)\b"
)


def _repeated_questions(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    seen: set[str] = set()
    for number, pair in enumerate(pairs, 1):
        words = folded(pair.instruction)
        if words in seen:
            yield at(f"question {number}", pair.instruction)
        seen.add(words)


def _copied(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Whole texts of some length; a short question such as "What is on the table?" may come of itself."""
    for place, text in parts(pairs):
        words = folded(text)
        if words in context.examples and words.count(" ") >= 7:
            yield at(place, text)


GENERAL_RULES: tuple[Rule, ...] = (
    Repair("the user (you)", r"\bthe user \(you\)", "you"),
    Reject("speaks of its notes", _LEAK),
    Reject("refuses", _REFUSAL, part="answer"),
    Check("repeats a question", _repeated_questions),
    Check("copies an in-context example", _copied),
)
