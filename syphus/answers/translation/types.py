"""The types of the translation checks, and the closed list of reasons. All types are immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Reason(StrEnum):
    """What can be wrong with a translation, from the most to the least severe. The values are stored and counted."""

    EMPTY = "empty"  #: nothing is there, or only dots
    JSON = "left-over JSON"  #: keys, braces or quotes of the structured answer are in the text
    ESCAPED = "escaped characters"  #: escapes (\\u4f60, &amp;, %20) that are not in the source, or invisible characters
    SWAPPED = "instruction and answer swapped"  #: each field has the text of the other one
    MERGED = "instruction and answer in one"  #: one field has both texts, or both have the same
    COPIED = "copy of the source"  #: the English text, or a part of it, is untranslated
    WRONG_SCRIPT = "wrong script"  #: the text is not in the script of the language
    WRONG_LANGUAGE = "wrong language"  #: the text is in another language
    COMMENT = "comment of the model"  #: the model adds something of its own ("Here is the translation:")
    ANSWERED = "answered instead of translated"  #: a question in the source, but not in the translation
    TOO_SHORT = "too short"  #: much shorter than usual in this language
    TOO_LONG = "too long"  #: much longer than usual in this language, or everything is there twice
    CUT_OFF = "cut off"  #: the text stops before its end
    PLACEHOLDERS = "placeholders"  #: a placeholder ({name}, %s, <image>, [1], $x$) is missing, changed or new
    CODE = "code"  #: code between backticks is not that of the source
    LINKS = "links"  #: a web or e-mail address is missing, changed or new
    TIMES = "times"  #: a time or timestamp is missing, changed or new
    NUMBERS = "numbers"  #: a number is missing, changed or new
    UNITS = "units"  #: a number has another unit
    CHOICES = "choices"  #: the letters or numbers of choices are not those of the source
    LAYOUT = "layout"  #: lines, list items, headings or markup are not those of the source
    QUOTES = "quotes"  #: a quote is no longer quoted, or something new is
    EMOJI = "emoji"  #: an emoji is missing, changed or new
    MARKS = "doubled marks"  #: a sentence ends in two marks (？?, 。., ..) and in the source in one
    TERMS = "terms"  #: a term is not written as in the glossary


#: The feedback to the model for each reason when it is asked again. Requests contain these texts: do not change them.
ADVICE: dict[Reason, str] = {
    Reason.EMPTY: "Translate the whole text.",
    Reason.JSON: "Write only the translated text into the field, without JSON inside of it.",
    Reason.ESCAPED: "Write every character as itself, never escaped, and none that cannot be seen.",
    Reason.SWAPPED: "Translate the instruction in its own field and the answer in its own.",
    Reason.MERGED: "Keep instruction and answer apart: each field holds the translation of its own text alone.",
    Reason.COPIED: "Translate it; do not repeat the English.",
    Reason.WRONG_SCRIPT: "Write in the language and script asked for.",
    Reason.WRONG_LANGUAGE: "Write in the language asked for, and no other.",
    Reason.COMMENT: "Write the translation alone, with nothing before or after it.",
    Reason.ANSWERED: "Do not answer the question: translate it, so that it stays a question.",
    Reason.TOO_SHORT: "Translate all of it, to the end.",
    Reason.TOO_LONG: "Add nothing that the text does not say.",
    Reason.CUT_OFF: "Translate all of it, to the last word.",
    Reason.PLACEHOLDERS: "Keep placeholders exactly as they are in the source.",
    Reason.CODE: "Keep code exactly as it is, untranslated.",
    Reason.LINKS: "Keep addresses exactly as they are.",
    Reason.TIMES: "Keep all times and timestamps as they are.",
    Reason.NUMBERS: "Keep all numbers as they are.",
    Reason.UNITS: "Keep all units; convert nothing.",
    Reason.CHOICES: "Keep the letters or numbers of the choices.",
    Reason.LAYOUT: "Keep line breaks, lists, headings, bold and other markup as they are.",
    Reason.QUOTES: "Keep quotes around what is quoted.",
    Reason.EMOJI: "Keep every emoji.",
    Reason.MARKS: "End each sentence with one mark, as the source does.",
    Reason.TERMS: "Write the terms as the glossary does.",
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
        return f"{place}: {ADVICE[self.reason]}" + (f" ({self.detail})" if self.detail else "")


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
