"""Which candidates become in-context examples: one function, and a table of strategies that it may follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from heapq import heappush, heapreplace
from math import inf
from random import Random
from statistics import median

from syphus.answers.scoring.candidates import Candidate, Scored
from syphus.answers.scoring.variety import question_type
from syphus.answers.scoring.words import content_stems, jaccard_similarity
from syphus.config.options import STRATEGY_NAMES
from syphus.types import BYTES_PER_TOKEN

Strategy = Callable[[Sequence[Scored], Sequence[Scored], Random], Scored]
"""Gives the next of `remaining`, which is never empty and best first, after those that are `taken`."""

_DIFFERENCE = 0.4  #: how much being unlike those already taken counts; the rest is the total
_OF_INPUT = 0.6  #: of likeness is that of the annotations, the rest that of the kinds of questions


def best(remaining: Sequence[Scored], taken: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001
    """The highest total."""
    return remaining[0]


def diverse(remaining: Sequence[Scored], taken: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001
    """The highest total after taking off for likeness to those already taken, in annotation and kinds of questions.

    Maximal marginal relevance: Carbonell and Goldstein, SIGIR 1998.
    """

    def worth(scored: Scored) -> float:
        nearest = max((likeness(scored.candidate, other.candidate) for other in taken), default=0.0)
        return (1 - _DIFFERENCE) * scored.total - _DIFFERENCE * nearest

    return max(remaining, key=worth)  # the first of equals, which is the best


def random(remaining: Sequence[Scored], taken: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001
    """Any that may be chosen: what the others are compared with."""
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
    """At most `size` candidates for in-context examples, in the order of choice, within `token_budget`.

    Never one that is barred, never two for the same query or annotation, and one of the worse half only where the
    better one has no more that fit. `pinned` ones come first and always, and count for both limits. One that is too
    long for what is left of the budget is passed over. The order in which the scored ones come makes no difference.
    Raises ValueError for a strategy that is not in `STRATEGIES`.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    random = Random(seed)
    taken = list(pinned)
    left = inf if token_budget is None else token_budget - sum(tokens(each.candidate) for each in pinned)
    remaining = sorted((each for each in scored if not each.barred), key=_rank)
    middle = median(each.total for each in remaining) if remaining else 0.0
    while len(taken) < size:
        remaining = [each for each in remaining if _is_new(each, taken) and tokens(each.candidate) <= left]
        if not remaining:
            break
        better = [each for each in remaining if each.total >= middle]
        taken.append(STRATEGIES[strategy](better or remaining, taken, random))
        left -= tokens(taken[-1].candidate)
    return taken


def tokens(candidate: Candidate) -> int:
    """About how many tokens it adds to every prompt as an in-context example."""
    return -(-len((candidate.user_turn + candidate.answer).encode(errors="surrogatepass")) // BYTES_PER_TOKEN)


def likeness(one: Candidate, other: Candidate) -> float:
    """0 to 1: how much two have in common, in the words of the annotation and in the kinds of their questions."""
    kinds = [frozenset(question_type(pair.instruction) for pair in each.pairs) for each in (one, other)]
    texts = jaccard_similarity(content_stems(one.query.text), content_stems(other.query.text))
    return _OF_INPUT * texts + (1 - _OF_INPUT) * jaccard_similarity(*kinds)


def _rank(scored: Scored) -> tuple[float, str, str]:
    return -scored.total, scored.candidate.query.id, scored.candidate.key


def _is_new(scored: Scored, taken: Sequence[Scored]) -> bool:
    query = scored.candidate.query
    return all(query.id != each.candidate.query.id and query.text != each.candidate.query.text for each in taken)


# FOLDED from spread.py:
# Samples of queries from a stream of any size: by lot, for measuring, and spread over content, for choosing from.
#
# Both are spread over length: texts fall into strata, each twice as long as the one before, which are drawn from in
# proportion to their size. No text is taken twice. What is taken follows from the texts and from `lot`, a text that
# begins each draw; neither the order of the queries nor other rows matter. Memory depends on the count alone.

_CHOICE = 8  #: times as many are looked at in each stratum as are wanted in all, to find those that differ
_LEAST = 32

Drawn = tuple[str, str]  # id and text
Pick = Callable[[list[Drawn], list[Drawn]], Drawn]
"""Gives the next of a pool, which is never empty and in the order of the lots, after those that are taken."""


def sample_random(queries: Iterable[Drawn], count: int, lot: str) -> list[str]:
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
    bags = content_stems(one), content_stems(other)
    return jaccard_similarity(*bags) if any(bags) else 1.0


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
