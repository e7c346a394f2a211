"""Pairs with another context than the one that their plugin's `related` gave: by a rule, within each query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from syphus.formats.conversations import conversations
from syphus.ledger.pairs import Kept
from syphus.ledger.results import Result
from syphus.types import Relation


def related_anew(results: Iterable[Result], relation: Relation) -> Iterator[Result]:
    """The results, their pairs related by `relation`: siblings, earlier rounds or none."""
    for result in results:
        numbers = _RULES[relation](result.pairs)
        pairs = [pair._replace(related=each) for pair, each in zip(result.pairs, numbers, strict=True)]
        yield result._replace(pairs=pairs)


def _siblings(pairs: Sequence[Kept]) -> list[list[int]]:
    every = range(1, len(pairs) + 1)
    return [[other for other in every if other != number] for number in every]


def _earlier(pairs: Sequence[Kept]) -> list[list[int]]:
    numbers = {pair.id: number for number, pair in enumerate(pairs, 1)}
    earlier: dict[int, list[int]] = {}
    for conversation in conversations(pairs):
        rounds = [numbers[pair.id] for pair in conversation]
        earlier.update({number: rounds[:place] for place, number in enumerate(rounds)})
    return [earlier[number] for number in range(1, len(pairs) + 1)]


def _none(pairs: Sequence[Kept]) -> list[list[int]]:
    return [[] for _ in pairs]


_RULES = {Relation.SIBLINGS: _siblings, Relation.EARLIER: _earlier, Relation.NONE: _none}
