"""One limit per minute that several clients share: a token bucket that follows what the server states to any of them.

The gate can't follow each request as `pipeline.rate_limits.TokenBucket` does: it hears of them in groups, and late. So
it does not copy the server's level. It hands out the limit evenly, and lets the level that the server states decide how
much of it: all of it while the server's bucket is well filled, less as it empties. If another program uses the same
key, the server's bucket empties, until both take together what is filled in. A burst is half a second of the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BURST_SECONDS = 0.5  #: of the limit: the most that is handed out at once, so that no minute has 101%
TARGET_SECONDS = 10.0  #: of the limit: with less left at the server, less is handed out
LEAST = 0.02  #: share of the limit that is handed out whatever the server states, so that news come
SMOOTHING_SECONDS = 0.5  #: over which what the server states is averaged
MIN_CHARGED_SHARE = 0.02  #: of the worst case: no server charges less
FULL_CHARGE = 0.75  #: a measured share above this is taken as 1, the rest being noise
FULL_SECONDS = 0.3  #: of the limit: a bucket that lacks less may be overflowing
LOWERED_EACH_SECOND = 0.005  #: of the charged share, while the server's bucket stays full
PATIENCE = 3.0  #: seconds that it must have been full before
WINDOW_SECONDS = 5.0  #: over which the charged share is measured
TIMELINE_STEP, TIMELINE_LENGTH = 0.5, 60


@dataclass(slots=True)
class SharedBucket:
    """The bucket of one limit. Times are seconds of one clock, amounts are worst cases unless they are called charges.

    All its fields are JSON values, so that it can be kept in a file.
    """

    rate: float  #: charges per second
    now: float  #: when it was filled last
    is_stated: bool = False  #: whether the server states what is left
    level: float = -1.0  #: charges; -1 is full
    share: float = 1.0  #: of the worst case that a request seems to be charged
    factor: float = 1.0  #: share of the limit that is handed out
    fullest: float = 0.0  #: the most that the server has stated
    seen: float = math.inf  #: what it stated lately, averaged
    seen_at: float = -math.inf
    wanted_since: float | None = None  #: since when clients have wanted more than there is
    full_since: float | None = None  #: since when requests have found the server's bucket full in spite of that
    window: list[float] = field(
        default_factory=list
    )  #: the first of a measurement: time, age, left, sent by then, by now
    timeline: list[list[float]] = field(default_factory=list)  #: (time, worst cases sent in total)

    def __post_init__(self) -> None:
        if self.level == -1.0:
            self.level = self.capacity

    @property
    def capacity(self) -> float:
        """The most charges that are handed out at once."""
        return max(1.0, BURST_SECONDS * self.rate)

    def fill(self, now: float) -> None:
        """Add what has come in until `now`."""
        self.level = min(self.capacity, self.level + max(0.0, now - self.now) * self.rate * self.factor)
        self.now = now

    def allows(self, amount: float) -> bool:
        """Return whether a request fits. One that is larger than the bucket fits if the bucket is full."""
        return self.level >= min(self.share * amount, self.capacity) - 1e-9

    def take(self, amount: float) -> None:
        """Take out the charge of `amount`; a negative one gives it back."""
        self.level = min(self.capacity, self.level - self.share * amount)

    def settle(self, amount: float, used: float, requests: int) -> None:
        """Record that `requests` of this worst case have ended and used so much: for a limit that no header states."""
        if self.is_stated or amount <= 0:
            return
        self.level = min(self.capacity, self.level + self.share * amount - used)
        if used:
            weight = 1 - 0.95**requests
            self.share = min(1.0, self.share + weight * (1.1 * used / amount - self.share))

    def change_rate(self, per_minute: float) -> None:
        """Replace the limit; what is in the bucket stays there, if it still fits."""
        self.rate = per_minute / 60
        self.level = min(self.level, self.capacity)

    def record_refusal(self) -> None:
        """Record a 429: nothing is left at the server."""
        self.level = min(self.level, 0.0)
        self.seen = 0.0 if self.is_stated else self.seen
        self.window = []

    def observe(self, remaining: float, age: float, unit: float, sent: float, is_wanted: bool) -> None:
        """Learn from what the server stated to a request of `unit`, sent `age` seconds ago; call `fill` before.

        `sent` is what was sent in total, `is_wanted` whether clients want more than there is. The first call must be
        about the only request that was ever sent: it shows how much of the worst case the server charges.
        """
        now, charge = self.now, self.share * unit
        if not self.is_stated:
            self.is_stated = True
            missing = self.rate * 60 - remaining
            if 0 < missing <= unit:
                self.share = 1.0 if missing > FULL_CHARGE * unit else max(MIN_CHARGED_SHARE, missing / unit)
                charge = self.share * unit
        before = remaining + charge  # a bucket that holds one request is empty after each, and yet not used up
        self.fullest = max(self.fullest, before)
        weight = 1.0 if math.isinf(self.seen) else 1 - math.exp(-max(0.01, now - self.seen_at) / SMOOTHING_SECONDS)
        self.seen = before if math.isinf(self.seen) else self.seen + weight * (before - self.seen)
        self.seen_at = now
        target = min(TARGET_SECONDS * self.rate, self.fullest / 2)
        self.factor = min(1.0, max(LEAST, self.seen / target)) if target > 0 else 1.0
        if unit > 1:
            self.wanted_since = (now if self.wanted_since is None else self.wanted_since) if is_wanted else None
            self._note_sent(sent)
            if self._is_full(charge):
                self._notice_full(age)
            else:
                self.full_since = None
                self._measure(remaining, age, sent, unit)

    def _is_full(self, charge: float) -> bool:
        return self.seen >= self.fullest - max(FULL_SECONDS * self.rate, 2 * charge)

    def _notice_full(self, age: float) -> None:
        """Lower the charged share slowly while all that is handed out does not empty the server's bucket."""
        self.window = []
        sent_at = self.now - age
        if self.wanted_since is None:
            self.full_since = None
        elif sent_at < self.wanted_since:
            return
        elif self.full_since is None:
            self.full_since = sent_at
        elif (seconds := sent_at - self.full_since - PATIENCE) > 0:
            lowered = LOWERED_EACH_SECOND * min(1.0, seconds) / (1 + age)  # what it does shows only later
            self.share = max(MIN_CHARGED_SHARE, self.share * (1 - lowered))
            self.full_since = sent_at - PATIENCE

    def _note_sent(self, sent: float) -> None:
        if not self.timeline or self.now - self.timeline[-1][0] >= TIMELINE_STEP:
            self.timeline.append([self.now, sent])
            del self.timeline[:-TIMELINE_LENGTH]

    def _sent_at(self, time: float, sent: float) -> float:
        """Return what had been sent at an earlier time, by linear interpolation."""
        later = [self.now, sent]
        for mark in reversed(self.timeline):
            if mark[0] <= time:
                span = later[0] - mark[0]
                return mark[1] + ((time - mark[0]) / span * (later[1] - mark[1]) if span > 0 else 0.0)
            later = mark
        return later[1]

    def _measure(self, remaining: float, age: float, sent: float, unit: float) -> None:
        """Measure what was taken out at the server during some seconds, relative to the worst cases sent in them.

        It is measured twice, for servers that state the level at admission and at the reply: if both results agree, the
        flow is steady and the share is known.
        """
        at_admission = self._sent_at(self.now - age, sent)
        if not self.window:
            self.window = [self.now, age, remaining, at_admission, sent]
            return
        began, age_then, before, sent_then, sent_by_then = self.window
        seconds = self.now - began
        if seconds < WINDOW_SECONDS or at_admission - sent_then < 5 * unit:
            return
        lowered = before - remaining
        by_admission = (self.rate * (seconds - age + age_then) + lowered) / (at_admission - sent_then)
        by_reply = (self.rate * seconds + lowered) / max(sent - sent_by_then, unit)
        if abs(by_admission - by_reply) < 0.2 * by_reply:
            share = (self.share + (by_admission + by_reply) / 2) / 2
            self.share = 1.0 if share > FULL_CHARGE else max(MIN_CHARGED_SHARE, share)
        self.window = []
