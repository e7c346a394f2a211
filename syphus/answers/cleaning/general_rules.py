"""Rules that hold for every dataset: an answer must speak of what is seen, and not of what the model was told.

A plugin that wants one of them otherwise names it in `without_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.rules import Check, Context, Reject, Repair, Rule, at, in_small_letters, parts, straight
from syphus.types import Pair

# FOLDED from leaks.py:
# Words about the notes that a model was given, in what should speak of what is seen.

_NOTES = r"(?:descriptions?|captions?|annotations?|narrations?|bounding box(?:es)?|metadata|timestamps?)"
_SAID = r"(?:sentences?|input|summary|ground truth|texts?|notes|data|information)"  # a sign may hold a text
_PERHAPS = rf"(?:{_SAID}|lists?|context|scenario|details?)"
_GIVEN = r"(?:given|provided|above|supplied)"
_KIND = rf"(?:(?:{_GIVEN}|image|video|scene|dense) )*"
_TELL = r"(?:mention|state|specif(?:y|ie)|indicate|provide|describe|say|suggest)(?:s|d|ed)?\b"
_TELL_OR_NOT = rf"(?:do(?:es)? not |do(?:es)?n't |did not |didn't )?{_TELL}"
_SOURCE = (
    r"(?:based on|according to|judging by|from|per"
    r"|(?:stated|mentioned|described|noted|indicated|given|provided) (?:in|by))"
)
_NOT_THERE = r"\b(?! (?:on|under|below|beside|at|by) )"  # "the price is not stated on the tag"
_LEAK = re.compile(
    "|".join((
        rf"\b{_SOURCE} (?:the|these|those|this|your) {_KIND}{_NOTES}{_NOT_THERE}",
        rf"\b(?:based on|according to|as per|as (?:stated|mentioned) in) the {_SAID}(?=[,.;])",
        rf"\b(?:the|this|these|your) {_GIVEN} (?:{_NOTES}|{_PERHAPS})\b",
        rf"\bthe {_PERHAPS} (?:that (?:is|was|were) |you (?:have )?)?(?:given|provided|supplied){_NOT_THERE}",
        rf"\b(?:the|these|those) {_KIND}{_NOTES} {_TELL_OR_NOT}",
        rf"\b(?:the|these|those) (?:\w+ )?(?:sentences?|input|summary|ground truth) {_TELL_OR_NOT}",
        rf"\bas the (?:{_NOTES}|{_PERHAPS}) {_TELL}",
        rf"\bin the {_KIND}{_NOTES}, ",
        rf"(?:\bnot|n't) (?:(?:explicitly|clearly|directly) )?(?:mentioned|specified|stated){_NOT_THERE}",
        rf"\bthere (?:is|was) (?:no|not enough) (?:information|mention|details?){_NOT_THERE}",
    )),
    re.IGNORECASE,
)  # fmt: skip
#: One of them is in whatever the pattern finds; looking for them is a hundred times as fast.
_NEEDS = (
    "description", "caption", "annotation", "narration", "bounding box", "metadata", "timestamp",
    "text", "sentence", "notes", "list", "data", "input", "summary", "ground truth", "context", "scenario",
    "information", "detail", "mention", "specified", "stated",
)  # fmt: skip
_NOTE = re.compile(rf"\b(?:{_NOTES}|{_PERHAPS})\b")
_LABEL = re.compile(r"^[\w ]+:", re.MULTILINE)  # "sentences: ..." is no sentence that can be seen


def _leaks(pairs: Sequence[Pair], context: Context) -> Iterable[str]:
    """What the annotation itself tells of, a caption that appears on a screen, may be spoken of."""
    small = in_small_letters(pairs)
    if not any(word in small for word in _NEEDS):
        return
    annotation = _LABEL.sub("", context.query.text.lower())
    for place, text in parts(pairs):
        for found in _LEAK.finditer(straight(text)):
            if not any(note.rstrip("s") in annotation for note in _NOTE.findall(found[0].lower())):
                yield at(place, found[0])


#: "According to the description", "the sentences do not mention it", "it is not specified".
speaks_of_its_notes: Rule = Check("speaks of its notes", _leaks)


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
