"""Which candidates become in-context examples: one function, and a table of strategies that it may follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from random import Random
from statistics import median

from syphus.selection.candidates import Candidate, Scored
from syphus.selection.variety import question_type
from syphus.selection.words import alike, content

Strategy = Callable[[Sequence[Scored], Sequence[Scored], Random], Scored]
"""Gives the next of `remaining`, which is never empty and best first, after those that are `taken`."""

BYTES_PER_TOKEN = 4  #: a guess
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


def by_lot(remaining: Sequence[Scored], taken: Sequence[Scored], random: Random) -> Scored:  # noqa: ARG001
    """Any that may be chosen: what the others are compared with."""
    return random.choice(remaining)


STRATEGIES: dict[str, Strategy] = {"diverse": diverse, "best": best, "random": by_lot}


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
    texts = alike(content(one.query.text), content(other.query.text))
    return _OF_INPUT * texts + (1 - _OF_INPUT) * alike(*kinds)


def _rank(scored: Scored) -> tuple[float, str, str]:
    return -scored.total, scored.candidate.query.id, scored.candidate.key


def _is_new(scored: Scored, taken: Sequence[Scored]) -> bool:
    query = scored.candidate.query
    return all(query.id != each.candidate.query.id and query.text != each.candidate.query.text for each in taken)
