"""Rules that hold for every dataset: an answer must speak of what is seen, and not of what the model was told.

A plugin that wants one of them otherwise names it in `without_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.cleaning.rules import Check, Context, Reject, Repair, Rule, at, in_small_letters, parts
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
_LEAK_NEEDS = (
    "description", "caption", "annotation", "bounding box", "metadata", "narration", "timestamp",
    "given", "provided", "above", "supplied",
)  # fmt: skip
_REFUSAL = (
    r"\bas an ai\b|\blanguage model\b"
    r"|\bi(?:'m| am) (?:sorry, (?:but )?i|unable to|not able to)\b"
    r"|\bi (?:can'?t|cannot) (?:assist|help|provide|see|view|access|answer)\b"
)


def _repeated_questions(pairs: Sequence[Pair], _: Context) -> Iterable[str]:
    seen: set[str] = set()
    for number, pair in enumerate(pairs, 1):
        words = " ".join(pair.instruction.casefold().split()).rstrip(".!?")
        if words in seen:
            yield at(f"question {number}", pair.instruction)
        seen.add(words)


def _copied(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """Whole texts of the examples; they are looked for in everything at once, since hardly any answer has one."""
    everything = in_small_letters(pairs)
    for example in context.examples:
        if example in everything:
            yield next((at(place, text) for place, text in parts(pairs) if example in text.lower()), example)


GENERAL_RULES: tuple[Rule, ...] = (
    Repair("the user (you)", r"\bthe user \(you\)", "you", needs=("user (you)",)),
    Reject("speaks of its notes", _LEAK, needs=_LEAK_NEEDS),
    Reject("refuses", _REFUSAL, part="answer", needs=("as an ai", "language model", "i'm ", "i am ", "i can")),
    Check("repeats a question", _repeated_questions),
    Check("copies an in-context example", _copied),
)
