"""Finds out whether the share of bad answers has risen during a run, with a known rate of false alarms.

The rows of a run are answered in the order of the input. If nothing changes, the answers are exchangeable: whatever the
share of bad ones is, their order says nothing. Against that stands one rise, after any row and by any amount. The test
is an e-process: the likelihood of the answers with a rise, with both shares averaged by Jeffreys' prior (Krichevsky and
Trofimov, 1981), divided by the largest likelihood without one. For every fixed share the quotient has a mean of at most
1 at any time, so by Ville's inequality (1939) it ever exceeds 1 / alpha in at most the fraction alpha of all runs,
however long they are and however often one looks (Wasserman, Ramdas and Balakrishnan, "Universal inference", PNAS 2020;
Ramdas, Ruf, Larsson and Koolen, "Testing exchangeability", 2022). No share has to be known before.

A rise that is certain and small is no reason to stop a run. So the share after it must also be higher than the one
before by `rise`; that only makes false alarms rarer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

BLOCK = 8  #: rows; a rise is looked for at the beginning of each block
FEWEST_BEFORE = 48  #: rows that a share must have been seen in before a rise from it counts
FEWEST_AFTER = 16
_MOST_STARTS = 96  # of rises that are kept; the older ones are thinned out, which only makes alarms rarer
_WEIGHTS = 2.11  # the sum of 1 / (k ln(k)^2) over all k from 2 on


class Drift(NamedTuple):
    """A share of bad answers that has risen: bad ones and all, before and after."""

    bad_before: int
    before: int
    bad_after: int
    after: int

    @property
    def rise(self) -> float:
        """The share after it less the share before it."""
        return self.bad_after / self.after - self.bad_before / self.before


class _Start(NamedTuple):
    """Where a rise may have begun: the rows before it, and how many of them were bad; `weight` is a logarithm."""

    rows: int
    bad: int
    weight: float


class DriftTest:
    """Watches one kind of bad answers. It alarms falsely in at most `alpha` of all runs."""

    def __init__(self, alpha: float, rise: float) -> None:
        """Look for a rise of at least `rise`, a share between 0 and 1."""
        self._threshold = -math.log(alpha)
        self._rise = rise
        self._starts: list[_Start] = []
        self._blocks = 0
        self.rows = self.bad = 0

    def add(self, is_bad: bool) -> Drift | None:
        """Add the next answer; return the drift that it makes certain."""
        if self.rows % BLOCK == 0:
            self._begin_block()
        self.rows += 1
        self.bad += is_bad
        return self._find() if is_bad else None  # a good answer is no evidence for a rise

    def _begin_block(self) -> None:
        number = self._blocks + 2
        weight = -math.log(_WEIGHTS * number * math.log(number) ** 2)
        self._blocks += 1
        if self.rows >= FEWEST_BEFORE:
            self._starts.append(_Start(self.rows, self.bad, weight))
        if len(self._starts) > _MOST_STARTS:
            half = len(self._starts) // 2
            self._starts = [*self._starts[:half:2], *self._starts[half:]]

    def _find(self) -> Drift | None:
        best: Drift | None = None
        for start in self._starts:
            after = self.rows - start.rows
            if after < FEWEST_AFTER:
                break
            bad = self.bad - start.bad
            if bad / after - start.bad / start.rows < self._rise:
                continue
            found = Drift(start.bad, start.rows, bad, after)
            if self._evidence(found) + start.weight >= self._threshold and (best is None or found.rise > best.rise):
                best = found
        return best

    def _evidence(self, drift: Drift) -> float:
        """Return the logarithm of the quotient of both likelihoods."""
        with_rise = _mixed(drift.bad_before, drift.before) + _mixed(drift.bad_after, drift.after)
        return with_rise - _largest(self.bad, self.rows)


def _mixed(bad: int, rows: int) -> float:
    """Return the logarithm of the likelihood of an order of answers, averaged over all shares by Jeffreys' prior."""
    return math.lgamma(bad + 0.5) + math.lgamma(rows - bad + 0.5) - math.lgamma(rows + 1) - math.log(math.pi)


def _largest(bad: int, rows: int) -> float:
    """Return the same for the share that makes it largest."""
    return sum(count * math.log(count / rows) for count in (bad, rows - bad) if count)
