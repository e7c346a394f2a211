"""What an answer is written from, and what a form of answers is: how it is recognised, written and spoilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from syphus.simulator.wording import lowered, pairs
from syphus.types import Pair


@dataclass(frozen=True, slots=True)
class Scene:
    """What one answer is written from: the annotation and the facts in it, how many items are wanted, and the last
    in-context answer ("" if there is none).
    """

    facts: Sequence[str]
    count: int
    about_change: bool
    example: str
    annotation: str = ""
    avoid: frozenset[str] = frozenset()  #: questions of in-context examples


Writer = Callable[[Scene, Random], str]


class DefectShares(NamedTuple):
    """Shares of what is in an answer that are spoilt: so that it can be seen, or only by who understands it."""

    damage: float = 0.0
    slips: float = 0.0


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an answer."""

    name: str
    shown: Callable[[str], int]  #: how many items of this form an in-context answer holds; 0 if it has another form
    asked: Callable[[str], bool]  #: does a system message ask for it?
    write: Writer
    defects: Mapping[str, Writer]  #: by name; every form has the names of `DEFECTS`
    spoilt: Callable[[Scene, Random, DefectShares], str] | None = None


DEFECTS = ("chatter", "unpaired", "numbered_headers", "greeting", "leak_phrase", "one_pair")


def some_pairs(scene: Scene, random: Random) -> list[Pair]:
    """As many pairs as are wanted, where the facts yield so many."""
    return pairs(scene.facts, scene.count, scene.about_change, random, scene.avoid)


def chatter(scene: Scene, random: Random) -> str:
    """No form at all."""
    told = " ".join(pair.answer for pair in some_pairs(scene, random))
    return f"There is quite a bit to see here. {told} All in all it makes for an interesting scene."


def leak(text: str) -> str:
    """The text as if it were read off the annotation."""
    return f"According to the description, {lowered(text)}"
