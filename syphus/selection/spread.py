"""Samples of queries from a stream of any size: by lot, for measuring, and spread over content, for choosing from.

Both are spread over length: texts fall into strata, each twice as long as the one before, which are drawn from in
proportion to their size. No text is taken twice. What is taken follows from the texts and from `lot`, a text that
begins each draw; neither the order of the queries nor other rows matter. Memory depends on the count alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from heapq import heappush, heapreplace

from syphus.selection.words import alike, content

_CHOICE = 8  #: times as many are looked at in each stratum as are wanted in all, to find those that differ
_LEAST = 32

Drawn = tuple[str, str]  # id and text
Pick = Callable[[list[Drawn], list[Drawn]], Drawn]
"""Gives the next of a pool, which is never empty and in the order of the lots, after those that are taken."""


def sample_by_lot(queries: Iterable[Drawn], count: int, lot: str) -> list[str]:
    """The ids of `count` queries, or of as many as there are: what is measured on them holds for all.

    Takes id and text of each query.
    """
    return _sample(queries, count, lot, count, lambda pool, _: pool[0])


def sample_spread(queries: Iterable[Drawn], count: int, lot: str) -> list[str]:
    """The same, but that text is taken next which has the least in common with those taken.

    So it has more of what is rare than all have, and nothing that is measured on it holds for all.
    """
    return _sample(queries, count, lot, max(_LEAST, _CHOICE * count), _furthest)


def _furthest(pool: list[Drawn], taken: list[Drawn]) -> Drawn:
    return min(pool, key=lambda each: max((_likeness(each[1], other) for _, other in taken), default=0.0))


def _likeness(one: str, other: str) -> float:
    """0 to 1; texts without words that carry meaning ("there is no difference") are all alike."""
    bags = content(one), content(other)
    return alike(*bags) if any(bags) else 1.0


def _sample(queries: Iterable[Drawn], count: int, lot: str, most: int, pick: Pick) -> list[str]:
    """Takes one after the other, always from the stratum that is furthest behind its share."""
    pools, sizes = _pools(queries, most, lot)
    taken: list[Drawn] = []
    drawn = dict.fromkeys(pools, 0)
    while len(taken) < count and any(pools.values()):
        stratum = min(filter(pools.get, pools), key=lambda s: ((drawn[s] + 1) / sizes[s], s))
        query = pick(pools[stratum], taken)
        pools[stratum].remove(query)
        drawn[stratum] += 1
        taken.append(query)
    return [name for name, _ in taken]


def _pools(queries: Iterable[Drawn], most: int, lot: str) -> tuple[dict[int, list[Drawn]], dict[int, int]]:
    """At most `most` different texts of each stratum, in the order of their lots; and how many queries it has."""
    heaps: dict[int, list[tuple[int, str]]] = {}
    names: dict[str, str] = {}  # of each text in a heap: the lowest id that has it
    sizes: dict[int, int] = {}
    for name, text in queries:
        stratum = len(text).bit_length()
        sizes[stratum] = sizes.get(stratum, 0) + 1
        heap = heaps.setdefault(stratum, [])
        if text in names:
            names[text] = min(names[text], name)
            continue
        drawn = -int.from_bytes(blake2b(f"{lot}\0{text}".encode(errors="surrogatepass"), digest_size=8).digest())
        if len(heap) < most:
            heappush(heap, (drawn, text))
        elif drawn > heap[0][0]:
            del names[heapreplace(heap, (drawn, text))[1]]
        else:
            continue
        names[text] = name
    return {s: [(names[text], text) for _, text in sorted(heap, reverse=True)] for s, heap in heaps.items()}, sizes
