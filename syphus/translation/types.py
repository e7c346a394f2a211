"""The values of this room. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from syphus.translation.reasons import REASONS, Reason

Place = Literal["instruction", "answer", "both"]


@dataclass(frozen=True, slots=True)
class Translatable:
    """A pair of texts: the English source, or its translation."""

    instruction: str
    answer: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: its reason, where it is, and what was found there ("1,200 is missing")."""

    reason: Reason
    place: Place
    detail: str = ""

    @property
    def told(self) -> str:
        """What the model is told when it is asked again, in English: place, advice, detail."""
        place = "instruction and answer" if self.place == "both" else self.place
        return f"{place}: {REASONS[self.reason].advice}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks say about one translation: every fault, and notes on what could not be judged for certain.

    A note is a short line ("answer: too short to tell its language"), and never a reason to reject.
    """

    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return not self.faults

    @property
    def reason(self) -> str:
        """The reason of the first fault, which is the gravest one; "" where there is none."""
        return self.faults[0].reason.value if self.faults else ""


@dataclass(frozen=True, slots=True)
class Term:
    """An entry of the glossary: an English name or phrase, and how it is to be written, by the code of the language.

    A language that is not in `wanted` may write it as it likes.
    """

    source: str
    wanted: Mapping[str, str] = field(default_factory=dict)
