"""What a format is written from: the accepted pairs of a run, as often as they are wanted, and their conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from syphus.ledger.pairs import Kept
from syphus.ledger.results import Result


class Source(NamedTuple):
    """A run on its way out. `name` is the plugin's `short_name`, with which the names of files begin.

    `results` gives the accepted pairs, query by query, in input order. `images` is the largest number of images that
    any pair has, `meta` the header of a MIMIC-IT file.
    """

    name: str
    results: Callable[[], Iterator[Result]]
    images: int
    meta: dict[str, object]


def conversations(pairs: Sequence[Kept]) -> list[list[Kept]]:
    """The pairs of one query as conversations: those that are each other's context, directly or not, in their order.

    So the rounds of a conversation stay together, and a pair without context is a conversation of its own.
    """
    leader = list(range(len(pairs)))
    for number, pair in enumerate(pairs):
        for other in pair.related:
            mine, its = leader[number], leader[other - 1]
            if mine != its:
                first, second = sorted((mine, its))
                leader = [first if each == second else each for each in leader]
    found: dict[int, list[Kept]] = {}
    for number, pair in enumerate(pairs):
        found.setdefault(leader[number], []).append(pair)
    return list(found.values())
