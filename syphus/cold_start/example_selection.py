"""Selection of in-context examples from candidates, and samples of queries from a stream of any size.

There are two samples: a random one, for measuring, and one that spreads over content, for choosing examples from. Both
spread over length: texts fall into strata, each twice as long as the one before, which are drawn from in proportion to
their size. No text is drawn twice. A sample depends only on the texts and on `seed`, a text: neither the order of the
queries nor other rows matter. Memory depends only on the size of the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from heapq import heappush, heapreplace
from math import inf
from random import Random
from statistics import median

from syphus.answers.scoring.candidates import Candidate, Scored
from syphus.answers.scoring.copying import question_type
from syphus.answers.scoring.words import content_stems, jaccard_similarity
from syphus.config.options import STRATEGY_NAMES
from syphus.exchange import BYTES_PER_TOKEN

Strategy = Callable[[Sequence[Scored], Sequence[Scored], Random], Scored]
"""Returns the next of `remaining`, which is not empty and sorted best first; `chosen` are those chosen so far."""

_DIVERSITY = 0.4  #: the weight of being unlike the examples chosen so far; the rest is that of the score
_ANNOTATION = 0.6  #: the weight of the annotations in the similarity; the rest is that of the types of questions


def best(remaining: Sequence[Scored], chosen: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001 - a Strategy
    """Return the one with the highest score."""
    return remaining[0]


def diverse(remaining: Sequence[Scored], chosen: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001 - a Strategy
    """Return the one with the best score after a penalty for similarity to the chosen ones.

    Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
    """

    def marginal_relevance(scored: Scored) -> float:
        nearest = max((similarity(scored.candidate, other.candidate) for other in chosen), default=0.0)
        return (1 - _DIVERSITY) * scored.total - _DIVERSITY * nearest

    return max(remaining, key=marginal_relevance)  # of equals the first, which has the best score


def random(remaining: Sequence[Scored], chosen: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001 - a Strategy
    """Return any: the baseline for the other strategies."""
    return random.choice(remaining)


STRATEGIES: dict[str, Strategy] = dict(zip(STRATEGY_NAMES, (diverse, best, random), strict=True))


def choose(
    scored: Iterable[Scored],
    size: int = 3,
    token_budget: int | None = None,
    strategy: str = "diverse",
    seed: int = 0,
    pinned: Sequence[Scored] = (),
) -> list[Scored]:
    """Choose at most `size` in-context examples within `token_budget`; return them in the order of choice.

    Never chooses a barred candidate, nor two for the same query or annotation. Chooses from the worse half only if no
    more of the better half fit. The `pinned` ones always come first, and count for both limits. A candidate that
    exceeds the rest of the budget is skipped. The order of `scored` does not matter. Raises ValueError for a strategy
    that is not in `STRATEGIES`.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"no strategy {strategy!r}; use {', '.join(STRATEGIES)}")
    random = Random(seed)
    chosen = list(pinned)
    left = inf if token_budget is None else token_budget - sum(tokens(each.candidate) for each in pinned)
    remaining = sorted((each for each in scored if not each.barred), key=_rank)
    middle = median(each.total for each in remaining) if remaining else 0.0
    while len(chosen) < size:
        remaining = [each for each in remaining if _is_new(each, chosen) and tokens(each.candidate) <= left]
        if not remaining:
            break
        better = [each for each in remaining if each.total >= middle]
        chosen.append(STRATEGIES[strategy](better or remaining, chosen, random))
        left -= tokens(chosen[-1].candidate)
    return chosen


def tokens(candidate: Candidate) -> int:
    """Return the estimated tokens that a candidate adds to every prompt as an in-context example."""
    return -(-len((candidate.user_turn + candidate.answer).encode(errors="surrogatepass")) // BYTES_PER_TOKEN)


def similarity(one: Candidate, other: Candidate) -> float:
    """Return the similarity of two candidates, 0 to 1, in words of the annotation and types of questions."""
    types = [frozenset(question_type(pair.instruction) for pair in each.pairs) for each in (one, other)]
    texts = jaccard_similarity(content_stems(one.query.text), content_stems(other.query.text))
    return _ANNOTATION * texts + (1 - _ANNOTATION) * jaccard_similarity(*types)


def _rank(scored: Scored) -> tuple[float, str, str]:
    return -scored.total, scored.candidate.query.id, scored.candidate.key


def _is_new(scored: Scored, chosen: Sequence[Scored]) -> bool:
    query = scored.candidate.query
    return all(query.id != each.candidate.query.id and query.text != each.candidate.query.text for each in chosen)


_POOL_FACTOR = 8  #: texts kept of each stratum, per query of the sample, to find those that differ
_MIN_POOL = 32

QueryText = tuple[str, str]  # id and text
Pick = Callable[[list[QueryText], list[QueryText]], QueryText]
"""Returns the next of a pool, which is not empty and in random order; the second list are those drawn so far."""


def sample_random(queries: Iterable[QueryText], count: int, seed: str) -> list[str]:
    """Return the ids of `count` random queries, or of as many as there are. What they measure holds for all queries."""
    return _sample(queries, count, seed, count, lambda pool, _: pool[0])


def sample_spread(queries: Iterable[QueryText], count: int, seed: str) -> list[str]:
    """Return the ids of `count` queries that differ as much as possible in their words.

    Rare content is over-represented, so what they measure does not hold for all queries.
    """
    return _sample(queries, count, seed, max(_MIN_POOL, _POOL_FACTOR * count), _furthest)


def _furthest(pool: list[QueryText], drawn: list[QueryText]) -> QueryText:
    return min(pool, key=lambda each: max((_text_similarity(each[1], other) for _, other in drawn), default=0.0))


def _text_similarity(one: str, other: str) -> float:
    """Return 0 to 1; texts without content words ("there is no difference") count as equal."""
    words = content_stems(one), content_stems(other)
    return jaccard_similarity(*words) if any(words) else 1.0


def _sample(queries: Iterable[QueryText], count: int, seed: str, pool_size: int, pick: Pick) -> list[str]:
    """Draw one query after the other, always from the stratum that is furthest behind its share."""
    pools, sizes = _pools(queries, pool_size, seed)
    drawn: list[QueryText] = []
    counts = dict.fromkeys(pools, 0)
    while len(drawn) < count and any(pools.values()):
        stratum = min(filter(pools.get, pools), key=lambda s: ((counts[s] + 1) / sizes[s], s))
        query = pick(pools[stratum], drawn)
        pools[stratum].remove(query)
        counts[stratum] += 1
        drawn.append(query)
    return [query_id for query_id, _ in drawn]


def _pools(
    queries: Iterable[QueryText], pool_size: int, seed: str
) -> tuple[dict[int, list[QueryText]], dict[int, int]]:
    """Return at most `pool_size` distinct texts of each stratum in random order, and its number of queries."""
    heaps: dict[int, list[tuple[int, str]]] = {}
    ids: dict[str, str] = {}  # the lowest id of each text in a heap
    sizes: dict[int, int] = {}
    for query_id, text in queries:
        stratum = len(text).bit_length()
        sizes[stratum] = sizes.get(stratum, 0) + 1
        heap = heaps.setdefault(stratum, [])
        if text in ids:
            ids[text] = min(ids[text], query_id)
            continue
        rank = -int.from_bytes(blake2b(f"{seed}\0{text}".encode(errors="surrogatepass"), digest_size=8).digest())
        if len(heap) < pool_size:
            heappush(heap, (rank, text))
        elif rank > heap[0][0]:
            del ids[heapreplace(heap, (rank, text))[1]]
        else:
            continue
        ids[text] = query_id
    return {s: [(ids[text], text) for _, text in sorted(heap, reverse=True)] for s, heap in heaps.items()}, sizes
