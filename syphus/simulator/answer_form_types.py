"""`AnswerInput`, what an answer is written from, and `Form`, how answers of one form are detected and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from syphus.simulator.wording import lower_first, make_pairs, retold
from syphus.types import Pair


class Flaws(NamedTuple):
    """Shares of pairs whose answer is made up, and of a judge's verdicts on bad and on sound pairs that are wrong."""

    pair_slips: float = 0.0
    judge_misses: float = 0.0
    judge_alarms: float = 0.0
    sound_pairs: Mapping[str, str] = {}  #: question -> the one answer to it that a judge takes for sound


_NO_FLAWS = Flaws()
MADE_UP = (  #: answers that no annotation supports
    "Nobody would expect that, but it all turned out quite differently in the end.",
    "It is rather the opposite of what one would think at first.",
    "This was so from the very beginning, and always remained like that.",
    "That is hard to overlook, since it happens again and again.",
)


@dataclass(frozen=True, slots=True)
class AnswerInput:
    """What one answer is written from.

    `count` is the number of items, such as pairs; `example` the last in-context answer, or "".
    """

    facts: Sequence[str]
    count: int
    about_change: bool
    example: str
    annotation: str = ""
    avoid_questions: frozenset[str] = frozenset()  #: questions of in-context examples
    flaws: Flaws = _NO_FLAWS
    retells: bool = False  #: put the parts of a fact in another order, instead of handing it on


Writer = Callable[[AnswerInput, Random], str]


class DefectShares(NamedTuple):
    """Shares of the translations of an answer that are damaged visibly, or have a slip that only a judge can tell."""

    damage: float = 0.0
    slips: float = 0.0


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer."""

    name: str
    count_items: Callable[[str], int]  #: the items of this form in an in-context answer; 0 for another form
    is_requested_by: Callable[[str], bool]  #: whether a system message asks for this form
    write: Writer
    defects: Mapping[str, Writer]  #: by the names in `DEFECTS`
    write_with_defects: Callable[[AnswerInput, Random, DefectShares], str] | None = None


DEFECTS = ("chatter", "unpaired", "numbered_headers", "greeting", "leak_phrase", "one_pair")


def write_pairs(source: AnswerInput, random: Random) -> list[Pair]:
    """Return `source.count` pairs, or fewer if the facts do not yield as many."""
    pairs = make_pairs(source.facts, source.count, source.about_change, random, source.avoid_questions)
    if source.retells:
        pairs = [replace(pair, answer=retold(pair.answer)) for pair in pairs]
    if not source.flaws.pair_slips:
        return pairs
    made_up = random.sample(MADE_UP, len(MADE_UP))
    return [
        replace(pair, answer=made_up[number % len(made_up)]) if random.random() < source.flaws.pair_slips else pair
        for number, pair in enumerate(pairs)
    ]


def write_chatter(source: AnswerInput, random: Random) -> str:
    """Write an answer in no form at all."""
    text = " ".join(pair.answer for pair in write_pairs(source, random))
    return f"There is quite a bit to see here. {text} All in all it makes for an interesting scene."


def with_leak_phrase(text: str) -> str:
    """Return a text that refers to the annotation."""
    return f"According to the description, {lower_first(text)}"
