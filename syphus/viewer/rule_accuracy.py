"""What rules and the judge are worth, from the decisions of reviewers: precision and recall with 95% intervals.

A stratum is what is drawn from: the accepted answers of a run, the answers that one rule rejected, the pairs that the
judge found bad, and those that it found good. Only units that were drawn at random in their stratum count, and each
stratum is weighted by its size, so the estimates are unbiased whatever else people have looked at. The unit is an
answer; one random pair represents an accepted answer.

Intervals of a share are Wilson's (1927), with the finite population correction; those of ratios of sums are by MOVER
(`quality.estimates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

from syphus.quality.estimates import Bounds, Z, part_of, wilson


class Stratum(NamedTuple):
    """A part of all answers: its size, and the judgements of the units drawn from it at random."""

    name: str  #: "accepted", "rule NAME", "judge bad", "judge good"
    size: int
    good: int = 0
    bad: int = 0
    undecided: int = 0  #: as many people say good as bad

    @property
    def judged(self) -> int:
        """The number of units judged good or bad."""
        return self.good + self.bad

    @property
    def bad_share(self) -> Bounds:
        """The share of bad ones."""
        return share_of(self.bad, self.judged, self.size)

    @property
    def bad_mass(self) -> Bounds:
        """The number of bad ones."""
        return self.bad_share.times(self.size)


def share_of(hits: int, count: int, size: float = inf) -> Bounds:
    """Return a share and its interval, of `count` units drawn from `size`; the interval is empty if all were drawn."""
    if not count:
        return Bounds(0.5, 0.0, 1.0)
    share = hits / count
    if count >= size:
        return Bounds(share, share, share)
    low, high = wilson(share, count, Z * (sqrt((size - count) / (size - 1)) if size < inf else 1.0))
    return Bounds(share, min(share, low), max(share, high))


def total(parts: Sequence[Bounds]) -> Bounds:
    """Return the sum of independent estimates."""
    value = sum(each.value for each in parts)
    below = sqrt(sum((each.value - each.low) ** 2 for each in parts))
    above = sqrt(sum((each.high - each.value) ** 2 for each in parts))
    return Bounds(value, max(0.0, value - below), value + above)


def precision(rule: Stratum) -> Bounds | None:
    """Return which share of what a rule rejects is bad; None if nobody has judged any of it."""
    return rule.bad_share if rule.judged else None


def recall(found: Sequence[Stratum], missed: Sequence[Stratum]) -> Bounds | None:
    """Return which share of all bad answers is `found`; None if a stratum that has answers has no judgement yet."""
    if any(each.size and not each.judged for each in (*found, *missed)):
        return None
    return part_of(total([each.bad_mass for each in found]), total([each.bad_mass for each in missed]))


def gain(stratum: Stratum, everything: int, strata: int) -> float:
    """Return how much one more judgement in a stratum narrows the intervals, as a number to compare.

    It counts for the interval of the stratum itself, and by the stratum's size for those of recall (Neyman, 1934).
    """
    if stratum.judged + stratum.undecided >= stratum.size:
        return 0.0
    share = (stratum.bad + 1) / (stratum.judged + 2)
    spread = sqrt(share * (1 - share))
    less = 1 / sqrt(stratum.judged + 1) - 1 / sqrt(stratum.judged + 2)
    return spread * less * (stratum.size / max(everything, 1) + 1 / max(strata, 1))


def allocate(strata: Sequence[Stratum], count: int) -> dict[str, int]:
    """Return how many of the next `count` units to draw from each stratum, so that the intervals narrow most."""
    now = {each.name: each for each in strata}
    everything = sum(each.size for each in strata)
    taken = dict.fromkeys(now, 0)
    for _ in range(count):
        best = max(now.values(), key=lambda each: gain(each, everything, len(strata)), default=None)
        if best is None or gain(best, everything, len(strata)) == 0:
            break
        taken[best.name] += 1
        now[best.name] = _with_one_more(best)
    return {name: number for name, number in taken.items() if number}


def _with_one_more(stratum: Stratum) -> Stratum:
    """Return a stratum with one more judgement, like the majority of its judgements."""
    is_bad = stratum.bad > stratum.good
    return stratum._replace(bad=stratum.bad + is_bad, good=stratum.good + (not is_bad))
