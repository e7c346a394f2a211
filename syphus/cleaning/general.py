"""Rules that hold for every dataset: an answer must speak of what is seen, and not of what the model was told.

A plugin that wants one of them otherwise names it in `without_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syphus.cleaning.leaks import speaks_of_its_notes
from syphus.cleaning.rules import Check, Context, Reject, Repair, Rule, at, in_small_letters, parts, straight
from syphus.types import Pair

_NOT_SAID = r"(?<![\"\u201c])"  # by somebody in the image
_REFUSAL = (
    r"\bas an ai\b|\blanguage model\b"
    rf"|{_NOT_SAID}\bi(?:'m| am) (?:sorry, (?:but )?i|unable to|not able to)\b"
    rf"|{_NOT_SAID}\bi (?:can'?t|cannot) (?:assist|help|provide|see|view|access|answer|describe|determine|watch)\b"
    rf"|{_NOT_SAID}\bi (?:do not|don't) have (?:access|enough|the ability)\b"
    r"|\bi apologi[sz]e, but i\b|\b(?:sorry|unfortunately), (?:but )?i (?:can|am|do)"
)
_REFUSAL_NEEDS = ("as an ai", "language model", "i'm ", "i am ", "i can", "i do", "sorry, ", "unfortunately", "apologi")
_TO_WHOEVER_ASKED = (
    r"\n\s*(?:(?:please )?let me know if you(?:'d| would)? (?:need|want|like|prefer)\b|(?:please )?feel free to ask\b"
    r"|i hope (?:this|these|that|it) (?:helps?|works?|meets?)\b|(?:would you like|do you want) me to\b"
    r"|is there anything else\b|note: (?:the|these|all|both) (?:pairs?|questions?|answers?)\b|\(?word count:)"
)
_TO_WHOEVER_NEEDS = ("let me know", "feel free", "i hope", " me to", "anything else", "note:", "word count")
_MARK = r"<\|\w+\|>|</?s>|\[/?INST\]|</?(?:start|end)_of_turn>|<(?:eos|bos|pad|unk)>"
_MARK_NEEDS = ("<|", "s>", "inst]", "_of_turn>", "pad>", "unk>")


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
    copied = [example for example in context.examples if example in everything]
    for place, text in parts(pairs) if copied else ():
        if any(example in straight(text.lower()) for example in copied):
            yield at(place, text)


GENERAL_RULES: tuple[Rule, ...] = (
    Repair("the user (you)", r"\bthe user \(you\)", "you", needs=("user (you)",)),
    speaks_of_its_notes,
    Reject("refuses", _REFUSAL, part="answer", needs=_REFUSAL_NEEDS),
    Reject("speaks to whoever asked", _TO_WHOEVER_ASKED, part="answer", needs=_TO_WHOEVER_NEEDS),
    Reject("holds a token of the model", _MARK, needs=_MARK_NEEDS),
    Check("repeats a question", _repeated_questions),
    Check("copies an in-context example", _copied),
)
