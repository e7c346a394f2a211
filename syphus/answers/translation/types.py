"""The types of the translation checks, and the closed list of reasons. All types are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple


class Reason(StrEnum):
    """What can be wrong with a translation, from the most to the least severe. The values are stored and counted."""

    EMPTY = "empty"
    JSON = "left-over JSON"
    ESCAPED = "escaped characters"
    SWAPPED = "instruction and answer swapped"
    MERGED = "instruction and answer in one"
    COPIED = "copy of the source"
    WRONG_SCRIPT = "wrong script"
    WRONG_LANGUAGE = "wrong language"
    COMMENT = "comment of the model"
    ANSWERED = "answered instead of translated"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    CUT_OFF = "cut off"
    PLACEHOLDERS = "placeholders"
    CODE = "code"
    LINKS = "links"
    TIMES = "times"
    NUMBERS = "numbers"
    UNITS = "units"
    CHOICES = "choices"
    LAYOUT = "layout"
    QUOTES = "quotes"
    EMOJI = "emoji"
    TERMS = "terms"


class ReasonText(NamedTuple):
    """A reason in words: `meaning` is for people, `advice` is for the model when it is asked again."""

    meaning: str
    advice: str


REASONS: dict[Reason, ReasonText] = {
    Reason.EMPTY: ReasonText("Nothing is there, or only dots.", "Translate the whole text."),
    Reason.JSON: ReasonText(
        "Keys, braces or quotes of the structured answer are inside of the text.",
        "Write only the translated text into the field, without JSON inside of it.",
    ),
    Reason.ESCAPED: ReasonText(
        "Characters are escaped (\\u4f60, &amp;, %20) that the source writes as they are, or cannot be seen at all.",
        "Write every character as itself, never escaped, and none that cannot be seen.",
    ),
    Reason.SWAPPED: ReasonText(
        "The instruction stands where the answer belongs, and the answer where the instruction does.",
        "Translate the instruction in its own field and the answer in its own.",
    ),
    Reason.MERGED: ReasonText(
        "One field holds both texts, or both hold the same.",
        "Keep instruction and answer apart: each field holds the translation of its own text alone.",
    ),
    Reason.COPIED: ReasonText(
        "The English text, or a good part of it, stands there untranslated.", "Translate it; do not repeat the English."
    ),
    Reason.WRONG_SCRIPT: ReasonText(
        "The text is not written in the script of the language.", "Write in the language and script asked for."
    ),
    Reason.WRONG_LANGUAGE: ReasonText(
        "The text is in another language.", "Write in the language asked for, and no other."
    ),
    Reason.COMMENT: ReasonText(
        'The model says something of its own ("Here is the translation:").',
        "Write the translation alone, with nothing before or after it.",
    ),
    Reason.ANSWERED: ReasonText(
        "The instruction is a question in the source, and here it is something else.",
        "Do not answer the question: translate it, so that it stays a question.",
    ),
    Reason.TOO_SHORT: ReasonText(
        "Much shorter than such a text is in this language.", "Translate all of it, to the end."
    ),
    Reason.TOO_LONG: ReasonText(
        "Much longer than such a text is in this language.", "Add nothing that the text does not say."
    ),
    Reason.CUT_OFF: ReasonText("The text stops before its end.", "Translate all of it, to the last word."),
    Reason.PLACEHOLDERS: ReasonText(
        "A placeholder ({name}, %s, <image>, [1], $x$) is missing, changed or new.",
        "Keep placeholders exactly as they are in the source.",
    ),
    Reason.CODE: ReasonText(
        "Code between backticks is not the code of the source.", "Keep code exactly as it is, untranslated."
    ),
    Reason.LINKS: ReasonText(
        "A web or e-mail address is missing, changed or new.", "Keep addresses exactly as they are."
    ),
    Reason.TIMES: ReasonText(
        "A time or timestamp is missing, changed or new.", "Keep all times and timestamps as they are."
    ),
    Reason.NUMBERS: ReasonText("A number is missing, changed or new.", "Keep all numbers as they are."),
    Reason.UNITS: ReasonText("The unit of a number is another one.", "Keep all units; convert nothing."),
    Reason.CHOICES: ReasonText(
        "The letters or numbers of the choices are not those of the source.",
        "Keep the letters or numbers of the choices.",
    ),
    Reason.LAYOUT: ReasonText(
        "Lines, list items, headings or markup are not those of the source.",
        "Keep line breaks, lists, headings, bold and other markup as they are.",
    ),
    Reason.QUOTES: ReasonText(
        "What is in quotes is no longer, or something new is.", "Keep quotes around what is quoted."
    ),
    Reason.EMOJI: ReasonText("An emoji is missing, changed or new.", "Keep every emoji."),
    Reason.TERMS: ReasonText(
        "A term of the glossary is not written as it is there.", "Write the terms as the glossary does."
    ),
}


Place = Literal["instruction", "answer", "both"]


@dataclass(frozen=True, slots=True)
class Translatable:
    """A pair of texts: the English source, or its translation."""

    instruction: str
    answer: str


@dataclass(frozen=True, slots=True)
class TranslationFault:
    """One fault: its reason, the place, and a detail ("1,200 is missing")."""

    reason: Reason
    place: Place
    detail: str = ""

    @property
    def feedback(self) -> str:
        """The feedback for the model when it is asked again, in English: place, advice, detail."""
        place = "instruction and answer" if self.place == "both" else self.place
        return f"{place}: {REASONS[self.reason].advice}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result for one translation: all faults, and notes on what could not be judged for certain.

    A note is a short line ("answer: too short to tell its language") and never a reason to reject.
    """

    faults: tuple[TranslationFault, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    @property
    def reason(self) -> str:
        """The reason of the first and most severe fault, or ""."""
        return self.faults[0].reason.value if self.faults else ""


@dataclass(frozen=True, slots=True)
class Term:
    """An entry of the glossary: an English name or phrase, and its translations by language code.

    A language that is not in `translations` may write it freely.
    """

    source: str
    translations: Mapping[str, str] = field(default_factory=dict)
