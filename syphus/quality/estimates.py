"""How large a share of a run's pairs is bad, from a sample, with an interval; and when enough is known.

The unit of the sample is a query, because the pairs of one answer tend to be good or bad together. The interval is
Wilson's (1927) with the effective number of pairs: their number divided by the design effect, which is the variance
between queries (ratio estimator, Cochran, Sampling Techniques, chapter 6) divided by that of independent pairs.

A sample that grows until its interval is narrow stops at a moment that depends on the data. The usual interval would
then hold too rarely, so `LOOKS_Z` replaces 1.96; `benchmarks/judge.py` shows how often the interval holds.

A judge errs. With its recall and its false alarms known from calibration, the share that it reports is corrected
(Rogan and Gladen, 1978). Intervals of ratios of sums are by MOVER (Donner and Zou, "Closed-form confidence intervals
for functions of the normal mean and standard deviation", 2012).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from random import Random
from typing import NamedTuple

Z = 1.96  #: of a 95% interval
LOOKS_Z = 2.17  #: of an interval that is looked at after each batch until it is narrow; measured to hold in 95%
_DRAWS = 4_000  # of an interval that has no formula
FEWEST = 100  #: pairs of a sample that may stop early; with fewer, the variance itself is hardly known


class ShareEstimate(NamedTuple):
    """A share between 0 and 1 with its interval, and how many pairs and queries it comes from."""

    share: float
    low: float
    high: float
    pairs: int
    queries: int

    @property
    def margin(self) -> float:
        """The larger distance of an end of the interval from the share."""
        return max(self.share - self.low, self.high - self.share)


class BadCount(NamedTuple):
    """The pairs of one query, and how many of them are bad."""

    pairs: int
    bad: int


class BadSums:
    """Sums over queries, from which the share of bad pairs is estimated without keeping the queries."""

    def __init__(self, counts: Iterable[BadCount] = ()) -> None:
        self.queries = self.pairs = self.bad = 0
        self._pairs_squared = self._bad_squared = self._product = 0
        for each in counts:
            self.add(each)

    def add(self, count: BadCount, times: int = 1) -> None:
        """Add a query, or `times` queries with the same count."""
        pairs, bad = count
        self.queries += times
        self.pairs += times * pairs
        self.bad += times * bad
        self._pairs_squared += times * pairs * pairs
        self._bad_squared += times * bad * bad
        self._product += times * pairs * bad

    def estimate(self, z: float = Z) -> ShareEstimate:
        """Return the share of bad pairs; of no pairs it is 0 with the interval from 0 to 1."""
        if not self.pairs:
            return ShareEstimate(0.0, 0.0, 1.0, 0, 0)
        share = self.bad / self.pairs
        low, high = wilson(share, self.pairs / self._design_effect(share), z)
        return ShareEstimate(share, low, high, self.pairs, self.queries)

    @property
    def independent(self) -> tuple[float, float]:
        """Return the effective numbers of bad pairs and of all pairs, as if all were independent."""
        if not self.pairs:
            return 0.0, 0.0
        share = self.bad / self.pairs
        count = self.pairs / self._design_effect(share)
        return share * count, count

    def _design_effect(self, share: float) -> float:
        """Return by how much the variance is larger than that of independent pairs, at least 1."""
        independent = self.pairs * share * (1 - share)
        if self.queries < 2 or not independent:
            return self.pairs / self.queries  # the pairs of a query may be alike: each query counts once
        between = self._bad_squared - 2 * share * self._product + share * share * self._pairs_squared
        return max(1.0, between * self.queries / (self.queries - 1) / independent)


def wilson(share: float, count: float, z: float = Z) -> tuple[float, float]:
    """Return Wilson's interval of a share that was seen in `count` cases."""
    if count <= 0:
        return 0.0, 1.0
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def is_known(estimate: ShareEstimate, margin: float) -> bool:
    """Return whether a growing sample may stop: its interval is within `margin` of the share."""
    return estimate.pairs >= FEWEST and estimate.margin <= margin


class Bounds(NamedTuple):
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Return it as JSON values."""
        return {"share": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}

    def times(self, factor: float) -> Bounds:
        """Return the estimate of a multiple."""
        return Bounds(*(each * factor for each in self))

    def minus(self, other: Bounds) -> Bounds:
        """Return the difference from an independent estimate (MOVER; of shares it is Newcombe's interval, 1998)."""
        value = self.value - other.value
        below = math.hypot(self.value - self.low, other.high - other.value)
        above = math.hypot(self.high - self.value, other.value - other.low)
        return Bounds(value, value - below, value + above)


def part_of(one: Bounds, others: Bounds) -> Bounds | None:
    """Return which part of the sum of two independent estimates `one` is; None if both are 0."""
    if one.value + others.value == 0:
        return None
    low, high = _ratio(others, one)
    return Bounds(one.value / (one.value + others.value), 1 / (1 + high), 1 / (1 + low))


def _ratio(one: Bounds, other: Bounds) -> tuple[float, float]:
    """Return the interval of the ratio of two independent estimates, by MOVER; the wider simple one where it fails."""
    product = one.value * other.value
    low = _root(product, one.low * (2 * one.value - one.low), other.high * (2 * other.value - other.high), -1)
    high = _root(product, one.high * (2 * one.value - one.high), other.low * (2 * other.value - other.low), 1)
    simple_low = one.low / other.high if other.high else math.inf
    simple_high = one.high / other.low if other.low else math.inf
    return (simple_low if low is None else low), (simple_high if high is None else high)


def _root(product: float, first: float, second: float, sign: int) -> float | None:
    inside = product * product - first * second
    if second <= 0 or inside < 0:
        return None
    return max(0.0, (product + sign * math.sqrt(inside)) / second)


def change_by_kind(before: Mapping[str, BadCount], now: Mapping[str, BadCount]) -> Bounds | None:
    """Return by how much a share has changed, from counts by kind; None without a kind that both have.

    The weights are those of Mantel and Haenszel, so that a change of the mixture of kinds is no change of the share.
    """
    weight = value = variance = 0.0
    for kind in before.keys() & now.keys():
        first, second = before[kind], now[kind]
        if not first.pairs or not second.pairs:
            continue
        one = first.pairs * second.pairs / (first.pairs + second.pairs)
        shares = first.bad / first.pairs, second.bad / second.pairs
        weight += one
        value += one * (shares[1] - shares[0])
        variance += one**2 * sum(map(_binomial_variance, shares, (first.pairs, second.pairs)))
    if not weight:
        return None
    half = Z * math.sqrt(variance) / weight
    return Bounds(value / weight, max(-1.0, value / weight - half), min(1.0, value / weight + half))


class JudgeErrors(NamedTuple):
    """How often a judge finds a bad pair bad (recall), and a sound one (false alarms), with the numbers seen.

    Numbers of pairs that are alike are those of as many independent pairs (`BadSums.independent`).
    """

    found: float
    bad: float
    alarms: float
    sound: float

    @classmethod
    def of_sums(cls, bad: BadSums, sound: BadSums) -> JudgeErrors:
        """Return the errors on bad pairs and on sound ones; of both, the sums count what the judge calls bad."""
        return cls(*bad.independent, *sound.independent)

    @property
    def recall(self) -> Bounds:
        """The share of bad pairs that it finds, and its 95% interval."""
        return _with_interval(self.found, self.bad)

    @property
    def false_alarms(self) -> Bounds:
        """The share of sound pairs that it calls bad, and its 95% interval."""
        return _with_interval(self.alarms, self.sound)

    def precision(self, share: float) -> Bounds | None:
        """Return the share of bad pairs among those that it calls bad, if `share` of all are bad; None without one."""
        return part_of(self.recall.times(share), self.false_alarms.times(1 - share))

    def precision_behind(self, reported: ShareEstimate) -> Bounds:
        """Return the share of bad pairs among those that it called bad, where it reported this share.

        The interval is from draws: rates by their beta distributions (Jeffreys), the share by the normal one.
        """
        random = Random(0)
        deviation = reported.margin / Z
        drawn = sorted(
            _precision(
                random.betavariate(self.found + 0.5, self.bad - self.found + 0.5),
                random.betavariate(self.alarms + 0.5, self.sound - self.alarms + 0.5),
                random.gauss(reported.share, deviation),
            )
            for _ in range(_DRAWS)
        )
        value = _precision(self.recall.value, self.false_alarms.value, reported.share)
        return Bounds(value, min(value, drawn[_DRAWS // 40]), max(value, drawn[-1 - _DRAWS // 40]))

    def corrected(self, reported: ShareEstimate) -> ShareEstimate:
        """Return the true share of bad pairs behind the reported one; 0 to 1 for a judge no better than chance."""
        recall, alarms = self.recall.value, self.false_alarms.value
        gain = recall - alarms
        if gain <= 0:
            return reported._replace(low=0.0, high=1.0)
        share = _true_share(recall, alarms, reported.share)
        variance = (
            _variance(reported.margin)
            + share * share * _binomial_variance(recall, self.bad)
            + (1 - share) ** 2 * _binomial_variance(alarms, self.sound)
        ) / gain**2
        half = Z * math.sqrt(variance)
        return reported._replace(share=share, low=max(0.0, share - half), high=min(1.0, share + half))


def _true_share(recall: float, alarms: float, reported: float) -> float:
    """Return the share of bad pairs behind the reported one, of a judge that is better than chance."""
    return min(1.0, max(0.0, (reported - alarms) / (recall - alarms)))


def _precision(recall: float, alarms: float, reported: float) -> float:
    """Return the share of bad pairs among those that are called bad; 0 for a judge no better than chance."""
    if recall <= alarms:
        return 0.0
    share = _true_share(recall, alarms, reported)
    called = recall * share + alarms * (1 - share)
    return recall * share / called if called else 0.0


def _with_interval(part: float, whole: float) -> Bounds:
    share = part / whole if whole else 0.0
    return Bounds(share, *wilson(share, whole))


def _variance(margin: float) -> float:
    return (margin / Z) ** 2


def _binomial_variance(share: float, count: float) -> float:
    """Return the variance of a share, by its Agresti-Coull estimate, so that 0 of 20 is not taken for certain."""
    if not count:
        return 0.25
    better = (share * count + 2) / (count + 4)
    return better * (1 - better) / (count + 4)
