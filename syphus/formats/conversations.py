"""Groups the pairs of a query into conversations."""

from __future__ import annotations

from collections.abc import Sequence

from syphus.ledger.serialization import StoredPair


def conversations(pairs: Sequence[StoredPair]) -> list[list[StoredPair]]:
    """Group pairs that are each other's context, directly or through others, and keep their order.

    So the rounds of a conversation stay together, and a pair without context is a conversation of its own.
    """
    group_of = list(range(len(pairs)))  # the number of the first pair of the group
    for number, pair in enumerate(pairs):
        for other in pair.related:
            first, second = sorted((group_of[number], group_of[other - 1]))
            if first != second:
                group_of = [first if group == second else group for group in group_of]
    groups: dict[int, list[StoredPair]] = {}
    for group, pair in zip(group_of, pairs, strict=True):
        groups.setdefault(group, []).append(pair)
    return list(groups.values())
