"""What an answer is written from, and what a form of answers is: how it is recognised, written and spoilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from syphus.simulator.wording import lower_first, make_pairs
from syphus.types import Pair


@dataclass(frozen=True, slots=True)
class AnswerInput:
    """What one answer is written from: the annotation and the facts in it, how many items are wanted, and the last
    in-context answer ("" if there is none).
    """

    facts: Sequence[str]
    count: int
    about_change: bool
    example: str
    annotation: str = ""
    avoid_questions: frozenset[str] = frozenset()  #: questions of in-context examples


Writer = Callable[[AnswerInput, Random], str]


class DefectShares(NamedTuple):
    """Shares of what is in an answer that are spoilt: so that it can be seen, or only by who understands it."""

    damage: float = 0.0
    slips: float = 0.0


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer."""

    name: str
    count_items: Callable[
        [str], int
    ]  #: how many items of this form an in-context answer holds; 0 if it has another form
    is_requested_by: Callable[[str], bool]  #: does a system message ask for it?
    write: Writer
    defects: Mapping[str, Writer]  #: by name; every form has the names of `DEFECTS`
    write_with_defects: Callable[[AnswerInput, Random, DefectShares], str] | None = None


DEFECTS = ("chatter", "unpaired", "numbered_headers", "greeting", "leak_phrase", "one_pair")


def write_pairs(source: AnswerInput, random: Random) -> list[Pair]:
    """As many pairs as are wanted, where the facts yield so many."""
    return make_pairs(source.facts, source.count, source.about_change, random, source.avoid_questions)


def write_chatter(source: AnswerInput, random: Random) -> str:
    """No form at all."""
    told = " ".join(pair.answer for pair in write_pairs(source, random))
    return f"There is quite a bit to see here. {told} All in all it makes for an interesting scene."


def with_leak_phrase(text: str) -> str:
    """The text as if it were read off the annotation."""
    return f"According to the description, {lower_first(text)}"
