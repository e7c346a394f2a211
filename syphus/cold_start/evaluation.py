"""Prove a set of in-context examples on queries that are not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random

from syphus.answers.scoring.candidates import Scored
from syphus.answers.scoring.heuristics import COPIES_NO_EXAMPLE
from syphus.types import State

MIN_QUERIES = 6  #: queries; with fewer, all may change in the same direction by chance

MIN_JUDGED = 2 / 3  #: share of the held-out answers that must not be refused or failed; else something else is wrong

_Z = 1.96  # standard deviations that hold 95% of a normal distribution


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the bounds of its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What satisfactory means: minimum shares and scores, and maximum copies.

    The lower bound of the gain must be above `gain`.
    """

    valid_share: float = 0.95
    mean_score: float = 0.6
    gain: float = 0.0
    copies: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of asking the held-out queries with the set and without it.

    `valid_share` and `mean_score` are those with the set, `plain_share` and `plain_score` those without. `gain` is the
    gain in mean score over the queries that were asked both ways. `copies` counts the answers that copy an example.
    Each line of `missing` says what keeps the set from being satisfactory. Refusals and failures say nothing about the
    examples, so they are in none of these numbers: `left_out` counts those with the set.
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
    left_out: int = 0

    @property
    def is_better(self) -> bool:
        """Whether answers with the set are better than without by more than chance."""
        return self.gain.low > 0


@dataclass(frozen=True, slots=True)
class AblationResult:
    """A harmful example: how much higher the mean score is without it; `certain` if that is more than chance."""

    example: str
    gain: Interval
    certain: bool


def paired_bootstrap(
    with_set: Sequence[float], without: Sequence[float], seed: int, rounds: int = 2000, level: float = 0.95
) -> Interval:
    """Return the mean of the paired differences, and its percentile interval (Efron 1979; Koehn, EMNLP 2004).

    Raises ValueError if the two differ in length or are empty.
    """
    differences = [one - other for one, other in zip(with_set, without, strict=True)]
    if not differences:
        raise ValueError("nothing to compare")
    random, count = Random(seed), len(differences)
    means = sorted(sum(random.choices(differences, k=count)) / count for _ in range(rounds))
    cut = int((1 - level) / 2 * rounds)
    return Interval(sum(differences) / count, means[cut], means[rounds - 1 - cut])


def share_interval(values: Sequence[bool]) -> Interval:
    """Return the share of true values, and its 95% Wilson interval, which is not empty for a share of 0 or 1."""
    count, share = len(values), sum(values) / len(values) if values else 0.0
    if not count:
        return Interval(0.0, 0.0, 1.0)
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def prove(
    with_set: Sequence[Scored], without: Sequence[Scored], seed: int, thresholds: Thresholds = Thresholds()
) -> Proof:
    """Compare the answers to the held-out queries with the set and without it, scored by the same heuristics.

    The answers with the set must be scored with the set as the context's `examples`, so that copies are found. A query
    may have several answers. A query that is in only one of both counts for the shares and means, but not for the gain.
    """
    all_with, with_set = with_set, _judgeable(with_set)
    refused_more, without = _is_refused_more(all_with, without), _judgeable(without)
    one, other = _by_query(with_set), _by_query(without)
    both = sorted(one.keys() & other.keys())
    gain = paired_bootstrap([one[q] for q in both], [other[q] for q in both], seed) if both else Interval(0, 0, 0)
    share, mean = _valid(with_set), _mean(list(one.values()))
    copies = sum(COPIES_NO_EXAMPLE in each.barred for each in with_set)
    missing = []
    left_out = len(all_with) - len(with_set)
    if len(with_set) < max(MIN_JUDGED * len(all_with), min(MIN_QUERIES, len(all_with))):
        missing.append(
            f"only {len(with_set)} of {len(all_with)} answers can be judged: {left_out} were refused or failed"
        )
    if refused_more:
        missing.append(f"refused with the set more often than without it by more than chance: {left_out} times")
    if share < thresholds.valid_share:
        missing.append(f"valid share {share:.0%}, at least {thresholds.valid_share:.0%} is required")
    if mean < thresholds.mean_score:
        missing.append(f"mean score {mean:.2f}, at least {thresholds.mean_score:.2f} is required")
    if gain.low <= thresholds.gain:
        missing.append(f"not better than without examples by more than chance: {gain.low:+.2f} to {gain.high:+.2f}")
    if copies > thresholds.copies:
        most = f", at most {thresholds.copies} may" if thresholds.copies else ""
        missing.append(f"answers that copy an example: {copies} of {len(with_set)}{most}")
    plain = (_valid(without), _mean(list(other.values())))
    return Proof(share, mean, gain, copies, not missing, tuple(missing), *plain, len(with_set), left_out)


def _judgeable(scored: Sequence[Scored]) -> list[Scored]:
    """Return the answers that examples could have changed: a refusal or a failure says nothing about them."""
    return [each for each in scored if each.candidate.state not in (State.REFUSED, State.FAILED)]


def _is_refused_more(with_set: Sequence[Scored], without: Sequence[Scored]) -> bool:
    """Return whether queries are refused with the set and not without it, by more than chance (McNemar's test)."""
    one, other = _unjudged_queries(with_set), _unjudged_queries(without)
    more, fewer = len(one - other), len(other - one)
    return more - fewer > _Z * sqrt(more + fewer)


def _unjudged_queries(scored: Sequence[Scored]) -> set[str]:
    judged = {each.candidate.query.id for each in _judgeable(scored)}
    return {each.candidate.query.id for each in scored} - judged


def find_harmful(
    full: Sequence[Scored], without_one: Mapping[str, Sequence[Scored]], seed: int
) -> list[AblationResult]:
    """Return the examples without which the held-out answers are better, the most harmful first.

    `full` are the answers with the whole set; `without_one` those without one example, by the example's name.
    """
    harmful = []
    base = _by_query(_judgeable(full))
    for name, scored in sorted(without_one.items()):
        left = _by_query(_judgeable(scored))
        both = sorted(base.keys() & left.keys())
        if both:
            gain = paired_bootstrap([left[q] for q in both], [base[q] for q in both], seed)
            harmful += [AblationResult(name, gain, gain.low > 0)] if gain.mean > 0 else []
    return sorted(harmful, key=lambda each: (-each.gain.mean, each.example))


def _by_query(scored: Sequence[Scored]) -> dict[str, float]:
    totals: dict[str, list[float]] = {}
    for each in scored:
        totals.setdefault(each.candidate.query.id, []).append(each.total)
    return {query: _mean(values) for query, values in totals.items()}


def _valid(scored: Sequence[Scored]) -> float:
    return _mean([float(each.candidate.state is State.OK) for each in scored])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
