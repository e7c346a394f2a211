"""A sample of queries that is spread over length and content, drawn by lot, from a stream of any size."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from heapq import heappush, heapreplace

from syphus.selection.words import alike, content

_POOL = 8  #: times as many are kept of each stratum as are wanted in all

Drawn = tuple[str, str]  # id and text


def sample_spread(queries: Iterable[Drawn], count: int, seed: int, held_out: int) -> tuple[list[str], list[str]]:
    """The ids of `count` queries for examples, and of `held_out` others that never become one.

    Takes (id, text) of each query. Texts fall into strata by length, each twice as long as the one before; of each
    stratum a pool is drawn by lot (the lowest hashes of seed and id, so that neither the order nor other rows matter).
    The strata are drawn from in proportion to their size, and from a pool that text is taken next which has the least
    in common with those taken. No text is in both lists. Fewer come where there are not enough. Memory depends on the
    counts alone.
    """
    pools, sizes = _pools(queries, max(32, _POOL * (count + held_out)), seed)
    taken = _spread(pools, sizes, count, set())
    texts = {text for _, text in taken}
    apart = _spread(pools, sizes, held_out, texts)
    return [name for name, _ in taken], [name for name, _ in apart]


def _pools(queries: Iterable[Drawn], most: int, seed: int) -> tuple[dict[int, list[Drawn]], dict[int, int]]:
    heaps: dict[int, list[tuple[int, str, str]]] = {}
    sizes: dict[int, int] = {}
    for name, text in queries:
        stratum = len(text).bit_length()
        sizes[stratum] = sizes.get(stratum, 0) + 1
        heap = heaps.setdefault(stratum, [])
        lot = -int.from_bytes(blake2b(f"{seed}\0{name}".encode(errors="surrogatepass"), digest_size=8).digest())
        if len(heap) < most:
            heappush(heap, (lot, name, text))
        elif lot > heap[0][0]:
            heapreplace(heap, (lot, name, text))
    return {s: [(name, text) for _, name, text in sorted(heap, reverse=True)] for s, heap in heaps.items()}, sizes


def _spread(pools: dict[int, list[Drawn]], sizes: dict[int, int], count: int, without: set[str]) -> list[Drawn]:
    """Takes `count` out of the pools, one after the other from the stratum that is furthest behind its share."""
    taken: list[Drawn] = []
    drawn = dict.fromkeys(pools, 0)
    texts = set(without)
    while len(taken) < count:
        order = sorted(pools, key=lambda s: ((drawn[s] + 1) / sizes[s], s))
        found = next(((s, each) for s in order if (each := _furthest(pools[s], taken, texts))), None)
        if found is None:
            break
        stratum, query = found
        drawn[stratum] += 1
        taken.append(query)
        texts.add(query[1])
    return taken


def _furthest(pool: list[Drawn], taken: list[Drawn], texts: set[str]) -> Drawn | None:
    free = [each for each in pool if each[1] not in texts]
    bags = [content(text) for _, text in taken]
    return min(free, key=lambda each: max((alike(content(each[1]), bag) for bag in bags), default=0.0), default=None)
