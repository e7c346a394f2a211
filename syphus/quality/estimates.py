"""How large a share of a run's pairs is bad, from a sample, with an interval; and when enough is known.

The unit of the sample is a query, because the pairs of one answer tend to be good or bad together. The interval is
Wilson's (1927) with the effective number of pairs: their number divided by the design effect, which is the variance
between queries (ratio estimator, Cochran, Sampling Techniques, chapter 6) divided by that of independent pairs.

A sample that grows until its interval is narrow stops at a moment that depends on the data. The usual interval would
then hold too rarely, so `LOOKS_Z` replaces 1.96; `benchmarks/judge.py` shows how often the interval holds.

A judge errs. With its recall and its false alarms known from calibration, the share that it reports is corrected
(Rogan and Gladen, 1978).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

Z = 1.96  #: of a 95% interval
LOOKS_Z = 2.17  #: of an interval that is looked at after each batch until it is narrow; measured to hold in 95%
FEWEST = 100  #: pairs of a sample that may stop early; with fewer, the variance itself is hardly known


class ShareEstimate(NamedTuple):
    """A share between 0 and 1 with its interval, from so many pairs of so many queries."""

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
        """Add a query, or so many alike."""
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


class JudgeErrors(NamedTuple):
    """How often a judge finds a bad pair bad (recall), and a sound one (false alarms), with the numbers seen."""

    found: int
    bad: int
    alarms: int
    sound: int

    @property
    def recall(self) -> tuple[float, float, float]:
        """The share of bad pairs that it finds, and its 95% interval."""
        return _with_interval(self.found, self.bad)

    @property
    def false_alarms(self) -> tuple[float, float, float]:
        """The share of sound pairs that it calls bad, and its 95% interval."""
        return _with_interval(self.alarms, self.sound)

    def precision(self, share: float) -> float:
        """Return the share of bad pairs among those that it calls bad, if `share` of all are bad."""
        hits, alarms = self.recall[0] * share, self.false_alarms[0] * (1 - share)
        return hits / (hits + alarms) if hits + alarms else 0.0

    def corrected(self, reported: ShareEstimate) -> ShareEstimate:
        """Return the true share of bad pairs behind the reported one; 0 to 1 for a judge no better than chance."""
        recall, alarms = self.recall[0], self.false_alarms[0]
        gain = recall - alarms
        if gain <= 0:
            return reported._replace(low=0.0, high=1.0)
        share = min(1.0, max(0.0, (reported.share - alarms) / gain))
        variance = (
            _variance(reported.margin)
            + share * share * _binomial_variance(recall, self.bad)
            + (1 - share) ** 2 * _binomial_variance(alarms, self.sound)
        ) / gain**2
        half = Z * math.sqrt(variance)
        return reported._replace(share=share, low=max(0.0, share - half), high=min(1.0, share + half))


def _with_interval(part: int, whole: int) -> tuple[float, float, float]:
    share = part / whole if whole else 0.0
    return (share, *wilson(share, whole))


def _variance(margin: float) -> float:
    return (margin / Z) ** 2


def _binomial_variance(share: float, count: int) -> float:
    """Return the variance of a share, by its Agresti-Coull estimate, so that 0 of 20 is not taken for certain."""
    if not count:
        return 0.25
    better = (share * count + 2) / (count + 4)
    return better * (1 - better) / (count + 4)
