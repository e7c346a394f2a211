"""Finds mentions of the source: the notes (annotation, captions, sentences) that the model was given.

"According to the description", "caption five says", "the sentences do not mention it", "it is not specified". What the
annotation itself mentions is allowed, such as a caption on a screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syphus.answers.cleaning.rules import (
    LIKE_ASCII,
    Check,
    Context,
    OneOfEach,
    Rule,
    describe_match,
    searchable,
    straighten_apostrophes,
    texts_with_places,
)
from syphus.types import Pair

_NOTES = r"(?:descriptions?|captions?|annotations?|narrations?|bounding box(?:es)?|metadata|timestamps?)"
_WEAK_NOTES = r"(?:sentences?|input|summary|ground truth|texts?|notes|data|information)"  # a sign may have a text, too
_POSSIBLE_NOTES = rf"(?:{_WEAK_NOTES}|lists?|context|scenario|details?)"
_GIVEN = r"(?:given|provided|above|supplied)"
_ADJECTIVES = rf"(?:(?:{_GIVEN}|image|video|scene|dense) )*"
_SAYS = r"(?:mention|state|specif(?:y|ie)|indicate|provide|describe|say|suggest)(?:s|d|ed)?\b"
_SAYS_OR_NOT = rf"(?:do(?:es)? not |do(?:es)?n't |did not |didn't )?{_SAYS}"
_SOURCE = (
    r"(?:based on|according to|judging by|from|per"
    r"|(?:stated|mentioned|described|noted|indicated|given|provided) (?:in|by))"
)
_NOT_A_PLACE = r"\b(?! (?:on|under|below|beside|at|by) )"  # "the price is not stated on the tag"
_NOTES_WORDS = (
    "description", "caption", "annotation", "narration", "bounding box", "metadata", "timestamp",
)  # fmt: skip
_WEAK_WORDS = ("sentence", "input", "summary", "ground truth", "text", "notes", "data", "information")
_POSSIBLE_WORDS = (*_WEAK_WORDS, "list", "context", "scenario", "detail")
_GIVEN_PHRASES = tuple(
    f"{first} {given} "
    for first in ("the", "this", "these", "your")
    for given in ("given", "provided", "above", "supplied")
)
_SAYS_WORDS = ("mention", "state", "specif", "indicate", "provide", "describe", "say", "suggest")
_SOURCE_WORDS = (
    "based on ", "according to ", "judging by ", "from ", "per ",
    "stated ", "mentioned ", "described ", "noted ", "indicated ", "given ", "provided ",
)  # fmt: skip
_ORDINAL = r"first|second|third|fourth|fifth|sixth|seventh|eighth|last|next|[0-9]{1,2}(?:st|nd|rd|th)"
_ORDINAL_WORDS = (
    "first ", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "last ", "next ",
    *(f"{digit}{ending} " for digit in range(10) for ending in ("st", "nd", "rd", "th")),
)  # fmt: skip
_COUNT = r"one|two|three|four|five|six|seven|eight|nine|ten"
_NUMBERED_NOTES = r"(?:captions?|sentences?|descriptions?|annotations?|notes|lines?|timestamps?)"
_NUMBERED_WORDS = ("caption", "sentence", "description", "annotation", "notes", "line", "timestamp")
_SPEAKERS = r"(?:captions?|sentences?|descriptions?|annotations?|annotators?|notes?|lines?|inputs?|summary)"
_SPEAKERS_WORDS = (*_NUMBERED_WORDS, "note", "annotator", "input", "summary")
_SPEAKS = (
    r"(?:mention|state|say|tell|specif(?:y|ie)|indicate|describe|suggest|claim|call|agree|contain|give|note)(?:s|d|ed)?\b"
    r"(?! (?:it|them|him|her) to\b)"
)
_SPEAKS_WORDS = (
    *_SAYS_WORDS, "tell", "claim", "call", "agree", "contain", "give", "note",
)  # fmt: skip
_SURE_NOTES = r"(?:descriptions?|captions?|annotations?|narrations?|metadata|sentences|notes)"
_NOTES_WORDS_TOO = (*_NOTES_WORDS, "sentences", "notes", "object list", "annotation list")
_SPEAKING = (
    rf"\b(?:the|these|those|this|all|both|each|one|an?|any|some|no|as)(?: \w+){{0,2}}? {_SPEAKERS}"
    rf"(?: \w+ly| also| only)? (?:do(?:es)? not |do(?:es)?n't |did not |didn't )?{_SPEAKS}"
)
_FROM_NOTES = (
    rf"\b(?:from|in|on|by|per|based on|according to|judging by) (?:the|these|those|this|your) {_ADJECTIVES}"
    rf"(?:{_SURE_NOTES}|(?:object|annotation) lists?)\b(?=[,.;:?!]|\Z)"
)
_PASSIVE = r"(?:stated|mentioned|described|noted|listed|given|provided|written)"
#: Each form of a mention, with groups of words: every match of the form contains a word of each of its groups, those of
#: the first group being the rarest. All patterns take 300 microseconds an answer, and hardly any answer needs one.
_LEAK_FORMS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        rf"\b{_SOURCE} (?:the|these|those|this|your) {_ADJECTIVES}{_NOTES}{_NOT_A_PLACE}",
        (_NOTES_WORDS, _SOURCE_WORDS),
    ),
    (
        rf"\b(?:based on|according to|as per|as (?:stated|mentioned) in) the {_WEAK_NOTES}(?=[,.;])",
        (
            ("based on the ", "according to the ", "as per the ", "as stated in the ", "as mentioned in the "),
            _WEAK_WORDS,
        ),
    ),
    (
        rf"\b(?:the|this|these|your) {_GIVEN} (?:{_NOTES}|{_POSSIBLE_NOTES})\b",
        (_GIVEN_PHRASES, (*_NOTES_WORDS, *_POSSIBLE_WORDS)),
    ),
    (
        rf"\bthe {_POSSIBLE_NOTES} (?:that (?:is|was|were) |you (?:have )?)?(?:given|provided|supplied){_NOT_A_PLACE}",
        (("given", "provided", "supplied"), _POSSIBLE_WORDS),
    ),
    (rf"\b(?:the|these|those) {_ADJECTIVES}{_NOTES} {_SAYS_OR_NOT}", (_NOTES_WORDS, _SAYS_WORDS)),
    (
        rf"\b(?:the|these|those) (?:\w+ )?(?:sentences?|input|summary|ground truth) {_SAYS_OR_NOT}",
        (("sentence", "input", "summary", "ground truth"), _SAYS_WORDS),
    ),
    (
        r"\bthe notes (?:also |only |do not |don't )?(?:mention|state|specify|indicate|provide|describe|say|suggest)\b",
        (("the notes ",), _SAYS_WORDS),
    ),
    (
        rf"\bas the (?:{_NOTES}|{_POSSIBLE_NOTES}) {_SAYS}",
        (("as the ",), _SAYS_WORDS, (*_NOTES_WORDS, *_POSSIBLE_WORDS)),
    ),
    (rf"\bin the {_ADJECTIVES}{_NOTES}, ", (_NOTES_WORDS, ("in the ",))),
    (
        rf"(?:\bnot|n't) (?:(?:explicitly|clearly|directly) )?(?:mentioned|specified|stated){_NOT_A_PLACE}",
        (("mentioned", "specified", "stated"), ("not ", "n't ")),
    ),
    (
        rf"\bthere (?:is|was) (?:no|not enough) (?:information|mention|details?){_NOT_A_PLACE}",
        (("there is no", "there was no"), ("information", "mention", "detail")),
    ),
    # Notes that are numbered, that speak, or that are spoken of as many: "the third line tells", "caption five says".
    (_SPEAKING, (_SPEAKS_WORDS, _SPEAKERS_WORDS)),
    (
        r"\bthe texts? (?:mention|specif(?:y|ie)|describe|do(?:es)? not|do(?:es)?n't|(?:that )?(?:i|we) )",
        (("the text",),),
    ),
    (
        rf"\b{_PASSIVE} (?:in|by|from) (?:the )?(?:\w+ )?{_NUMBERED_NOTES}\b{_NOT_A_PLACE}",
        (_NUMBERED_WORDS, ("stated", "mentioned", "described", "noted", "listed", "given", "provided", "written")),
    ),
    (_FROM_NOTES, (_NOTES_WORDS_TOO,)),
    (rf"\bwhat [\w ]{{0,40}}\b(?:is|are|was|were) (?:also )?mentioned\b{_NOT_A_PLACE}", (("mentioned",), ("what ",))),
    (
        rf"\b(?:{_ORDINAL}) (?:\w+ )?{_NUMBERED_NOTES}\b(?! of (?:the|a|his|her|their)\b)",
        (_NUMBERED_WORDS, _ORDINAL_WORDS),
    ),
    (
        rf"\b{_NUMBERED_NOTES} (?:number )?(?:{_COUNT}|[0-9]{{1,2}})\b(?=[^.?!]*\b{_SPEAKS}|[.,;?!])",
        (_NUMBERED_WORDS, (*_COUNT.split("|"), *"0123456789")),
    ),
)
_NOTE = re.compile(rf"\b(?:{_NOTES}|{_POSSIBLE_NOTES}|lines?|notes?|annotators?)\b")
#: A note or a line may be in the image: then the question asks what it says.
_ASKED_OF = re.compile(
    r"(?<!first )(?<!second )(?<!third )(?<!fourth )(?<!last )\b(?:note|line|input)(?: (?:say|tell|give|state|read)|\Z)"
)
_LABEL = re.compile(r"^[\w ]+:", re.MULTILINE)  # "sentences: ..." names a field of the annotation


class _Mention:
    """Finds one form of a mention. What the annotation itself mentions is allowed, such as a caption on a screen."""

    def __init__(self, form: str) -> None:
        self._form = re.compile(form, re.IGNORECASE)
        self._lower_form = re.compile(form)  # for text in lower case: without regard to case a search takes longer

    def __call__(self, pairs: Sequence[Pair], context: Context) -> Iterable[str]:
        """Yield the place of each mention."""
        is_ascii = searchable(pairs).lowered.isascii()
        for place, text in texts_with_places(pairs):
            straight = straighten_apostrophes(text)
            if is_ascii and not self._lower_form.search(straight.lower()):
                continue
            for match in self._form.finditer(straight):
                mention = match[0].lower()
                question = "" if place[0] == "q" else pairs[int(place[7:]) - 1].instruction.lower()
                if _ASKED_OF.search(mention) and (not question or _ASKED_OF.search(question)):
                    continue  # a note or a line in the image, which the pair is about
                annotation = _LABEL.sub("", context.query.text.lower())
                if not any(note.rstrip("s") in annotation for note in _NOTE.findall(mention)):
                    yield describe_match(place, match[0])


#: One rule for each form: hardly any answer has the words that a form needs.
MENTION_RULES: tuple[Rule, ...] = tuple(
    Check("speaks of its notes", _Mention(form), needs=(OneOfEach(groups), *LIKE_ASCII)) for form, groups in _LEAK_FORMS
)
