"""How many calls may be in flight at a server that states no limits.

A server without rate-limit headers shows in one of two ways that it has enough: it refuses (429, 503), or, as vLLM and
llama.cpp do, it queues and gets slower without a word. So the limit climbs while that pays and no further: it starts
low, is doubled as long as more calls in flight bring more answers a second, steps back once they don't, and tries again
after a while, since servers recover. A refusal cuts it, once an episode: all calls that left before the cut tell the
same story. It never falls below a floor, and it climbs only while it is really used.

The ideas are TCP's (slow start, multiplicative decrease) and the hill climbing of adaptive thread pools.
"""

from __future__ import annotations

INITIAL_LIMIT = 16  #: calls in flight to begin with
MIN_LIMIT = 2
CUT = 0.7  #: of the limit is left after a refusal
DOUBLE, STEP = 2.0, 1.5  #: the climb before and after the first setback
GAIN = 0.1  #: of what a climb could bring at the most must come, or it is taken back
USED = 0.8  #: of the limit in flight counts as used
PATIENCE = 20  #: rounds of answers at one limit before a higher one is tried again


class AdaptiveConcurrency:
    """A limit on the calls in flight, at most `ceiling`; with `adaptive=False` it is always the ceiling."""

    def __init__(self, ceiling: int, adaptive: bool = True) -> None:
        self.ceiling = ceiling
        self.adaptive = adaptive
        self._limit = float(min(INITIAL_LIMIT, ceiling))
        self._step = DOUBLE
        self._climbed_from: tuple[float, float] | None = None  # the limit and its answers a second, until judged
        self._calm = PATIENCE  # rounds since the last move; the first climb need not wait
        self._answers = 0
        self._began = 0.0
        self._cut_at = float("-inf")

    @property
    def limit(self) -> int:
        """The calls that may be in flight now."""
        return int(self._limit) if self.adaptive else self.ceiling

    def record_answer(self, in_flight: int, now: float) -> None:
        """A call came back with an answer; `in_flight` calls were out at that moment, itself included.

        The first answers after a move still belong to calls from before it, so a round is the second half of them.
        """
        if not self.adaptive:
            return
        self._answers += 1
        if self._answers == self.limit:
            self._began = now
        elif self._answers >= 3 * self.limit:
            rate = (self._answers - self.limit) / max(now - self._began, 1e-9)
            self._answers = 0
            if in_flight >= USED * self._limit:
                self._judge(rate)

    def record_refusal(self, sent_at: float, now: float) -> None:
        """The server would not take a call that left at `sent`: cuts the limit, once for all calls of that time."""
        if self.adaptive and sent_at >= self._cut_at:
            self._cut_at = now
            self._set_back(max(float(MIN_LIMIT), self._limit * CUT))

    def _judge(self, rate: float) -> None:
        """One round at this limit brought `rate` answers a second."""
        self._calm += 1
        if self._climbed_from is not None:
            before, rate_before = self._climbed_from
            if rate < rate_before * (1 + GAIN * (self._limit / before - 1)):
                self._set_back(before)
                return
        if self._climbed_from is not None or self._calm >= PATIENCE:
            self._climb(rate)

    def _climb(self, rate: float) -> None:
        target = min(float(self.ceiling), self._limit * self._step)
        self._climbed_from = (self._limit, rate) if target > self._limit else None
        self._limit, self._calm, self._answers = target, 0, 0

    def _set_back(self, limit: float) -> None:
        self._limit, self._step = limit, STEP
        self._climbed_from, self._calm, self._answers = None, 0, 0
