"""Proving a set of in-context examples on queries that are not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random

from syphus.answers.scoring.candidates import Scored
from syphus.answers.scoring.heuristics import COPIES_NO_EXAMPLE
from syphus.types import State

MIN_QUERIES = 6  #: queries that can tell a difference from chance: of fewer, all may go the same way by it

_Z = 1.96  # standard deviations that hold 95% of a normal distribution


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the bounds that hold with the level that was asked for."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What satisfactory means. `gain` is what the lower bound of the gain has to be above."""

    valid_share: float = 0.95
    mean_score: float = 0.6
    gain: float = 0.0
    copies: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What asking the held-out queries with the set, and without it, has shown.

    `valid_share` and `mean_score` are those with the set, `plain_share` and `plain_score` without; `gain` is of the
    mean score, over the queries that were asked both ways, and `copies` counts answers that copy an example. `missing`
    says in a line each what keeps the set from being satisfactory.
    """

    valid_share: float
    mean_score: float
    gain: Interval
    copies: int
    satisfactory: bool
    missing: tuple[str, ...]
    plain_share: float = 0.0
    plain_score: float = 0.0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class AblationResult:
    """An example that does harm: by how much the mean score is higher without it; `certain` if more than by chance."""

    example: str
    gain: Interval
    certain: bool


def paired_bootstrap(
    with_set: Sequence[float], without: Sequence[float], seed: int, rounds: int = 2000, level: float = 0.95
) -> Interval:
    """The mean of the differences, pair by pair, and its percentile interval (Efron 1979; Koehn, EMNLP 2004).

    Raises ValueError where the two have not the same length, or nothing.
    """
    differences = [one - other for one, other in zip(with_set, without, strict=True)]
    if not differences:
        raise ValueError("nothing to compare")
    random, count = Random(seed), len(differences)
    means = sorted(sum(random.choices(differences, k=count)) / count for _ in range(rounds))
    cut = int((1 - level) / 2 * rounds)
    return Interval(sum(differences) / count, means[cut], means[rounds - 1 - cut])


def share_interval(values: Sequence[bool]) -> Interval:
    """The share of what is true, and Wilson's interval of 95%: a share of 1 in a sample is none of all."""
    count, share = len(values), sum(values) / len(values) if values else 0.0
    if not count:
        return Interval(0.0, 0.0, 1.0)
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def prove(
    with_set: Sequence[Scored], without: Sequence[Scored], seed: int, thresholds: Thresholds = Thresholds()
) -> Proof:
    """Compares the held-out queries' answers with the set and without it, scored by the same heuristics.

    The answers with the set must be scored with the set in the background's `examples`, so that copies are seen. There
    may be several answers to a query. A query that is not in both counts for the shares and means, not for the gain.
    """
    one, other = _by_query(with_set), _by_query(without)
    both = sorted(one.keys() & other.keys())
    gain = paired_bootstrap([one[q] for q in both], [other[q] for q in both], seed) if both else Interval(0, 0, 0)
    share, mean = _valid(with_set), _mean(list(one.values()))
    copies = sum(COPIES_NO_EXAMPLE in each.barred for each in with_set)
    missing = []
    if share < thresholds.valid_share:
        missing.append(f"valid share {share:.0%}, at least {thresholds.valid_share:.0%} is wanted")
    if mean < thresholds.mean_score:
        missing.append(f"mean score {mean:.2f}, at least {thresholds.mean_score:.2f} is wanted")
    if gain.low <= thresholds.gain:
        missing.append(f"no better than without examples by more than chance: {gain.low:+.2f} to {gain.high:+.2f}")
    if copies > thresholds.copies:
        most = f", {thresholds.copies} at the most may" if thresholds.copies else ""
        missing.append(f"answers that copy an example: {copies} of {len(with_set)}{most}")
    plain = (_valid(without), _mean(list(other.values())))
    return Proof(share, mean, gain, copies, not missing, tuple(missing), *plain, asked=len(with_set))


def find_harmful(
    full: Sequence[Scored], without_one: Mapping[str, Sequence[Scored]], seed: int
) -> list[AblationResult]:
    """The examples without which the held-out queries fare better, the worst first.

    `full` are the answers with the whole set; `without_one` those without one example, by the example's name.
    """
    found = []
    base = _by_query(full)
    for name, scored in sorted(without_one.items()):
        left = _by_query(scored)
        both = sorted(base.keys() & left.keys())
        if both:
            gain = paired_bootstrap([left[q] for q in both], [base[q] for q in both], seed)
            found += [AblationResult(name, gain, gain.low > 0)] if gain.mean > 0 else []
    return sorted(found, key=lambda hurt: (-hurt.gain.mean, hurt.example))


def _by_query(scored: Sequence[Scored]) -> dict[str, float]:
    totals: dict[str, list[float]] = {}
    for each in scored:
        totals.setdefault(each.candidate.query.id, []).append(each.total)
    return {query: _mean(values) for query, values in totals.items()}


def _valid(scored: Sequence[Scored]) -> float:
    return _mean([float(each.candidate.state is State.OK) for each in scored])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
