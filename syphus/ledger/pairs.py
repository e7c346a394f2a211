"""Pairs as the ledger keeps them: [[id, instruction, answer, related numbers], ...], JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from syphus.types import Pair


class Kept(NamedTuple):
    """A pair as it is kept: what a `Pair` has, in the order of the JSON.

    A tuple, since every export makes millions of them: one takes a fifth of the time of a `Pair`.
    """

    id: str
    instruction: str
    answer: str
    related: Sequence[int] = ()

    def as_pair(self) -> Pair:
        """The same as a `Pair`."""
        return Pair(self.instruction, self.answer, self.id, tuple(self.related))


def load_kept(text: str) -> list[Kept]:
    """Reads what `dump_pairs` wrote, for those that only look at it."""
    return list(map(Kept._make, orjson.loads(text)))


def load_pairs(text: str) -> tuple[Pair, ...]:
    """Reads what `dump_pairs` wrote."""
    return tuple(kept.as_pair() for kept in load_kept(text))


def dump_pairs(pairs: Sequence[Pair]) -> str:
    """Writes pairs."""
    return orjson.dumps([(pair.id, pair.instruction, pair.answer, pair.related) for pair in pairs]).decode()
