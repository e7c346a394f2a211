"""The pairs of a query as conversations: what belongs together because one is the other's context."""

from __future__ import annotations

from collections.abc import Sequence

from syphus.ledger.serialization import StoredPair


def conversations(pairs: Sequence[StoredPair]) -> list[list[StoredPair]]:
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
    found: dict[int, list[StoredPair]] = {}
    for number, pair in enumerate(pairs):
        found.setdefault(leader[number], []).append(pair)
    return list(found.values())
