"""Requests a minute and tokens a minute: how much may go out now, learnt from what the server says or given by the
user.

A server keeps a bucket for each limit: it fills at limit / 60 a second and every request takes its charge out. `Bucket`
is a copy of it. The copy drifts, since nobody says how large the bucket is, nor whether a request is charged at prompt
+ max_tokens (OpenAI, Azure) or at its real usage; so every reply that states what is left pulls the copy back.
Admission is then simple: a request goes when the copy holds its charge. That uses up a saved-up bucket, needs no guess
about the charging rule, and earns a 429 only where the copy is off by a whole request.

Times are seconds of a monotonic clock and are handed in; nothing here sleeps. `tests/test_limits.py` plays it against
model servers of every kind.
"""

from __future__ import annotations

from typing import NamedTuple

BURST_SECONDS = 10.0  #: of the rate: the most that goes out in one burst, however full the server says its bucket is
SHORT_BURST_SECONDS = 1.0  #: ... once a 429 came although the copy held enough: that server does not allow bursts
RESERVE = 0.03  #: of the capacity stays in the bucket, so that two requests that arrive close together both find theirs
GUARD = 0.02  #: of a request's interval is waited on top: the network delivers no two requests equally fast
LEAST_SHARE = 0.02  #: of the worst case: no server charges less
WORST_CASE = 0.75  #: a share above this is measured noise around 1
FULL = 0.98  #: of the fullest that was seen: above this a bucket may be overflowing, and tells nothing


class Reservation(NamedTuple):
    """What one bucket noted when a request went: hand it back with the reply."""

    worst_case: float  #: the most that it can be charged
    level: float  #: the level after it went
    sent_at: float  #: when
    total: float  #: the worst cases of all requests up to this one
    corrections: float  #: all corrections of the level up to then


class TokenBucket:
    """A copy of one of the server's buckets.

    `per_minute` is the limit; `remaining` what the server said is left, or None for a limit that the user gave.
    `first_worst` is the worst case of the one request that has been answered so far: where a full bucket was lowered
    by less, that tells how the server charges.
    """

    def __init__(
        self, per_minute: float, now: float, remaining: float | None = None, first_worst_case: float = 1.0
    ) -> None:
        self.rate = per_minute / 60
        self._burst = SHORT_BURST_SECONDS if remaining is None else BURST_SECONDS
        self.capacity = max(1.0, self.rate * self._burst)
        self.share = 1.0  #: of the worst case that a request seems to be charged
        if remaining is not None:
            self.capacity = max(1.0, min(self.capacity, remaining + 1))
            if 0 < per_minute - remaining <= first_worst_case:
                self.share = max(LEAST_SHARE, (per_minute - remaining) / first_worst_case)
        self.level = self.capacity if remaining is None else min(self.capacity, remaining)
        self._at = now
        self._total = 0.0
        self._mended = 0.0
        self._miss_then = self._miss_now = 0.0
        self._fullest = 0.0
        self._window: tuple[Reservation, float, float, float, int] | None = None

    def wait(self, worst_case: float, now: float) -> float:
        """Seconds until a request that is charged `worst` at the most can go; 0 is now."""
        self._fill(now)
        needed = min(self.share * worst_case + RESERVE * self.capacity, self.capacity)
        missing = needed - self.level
        return 0.0 if missing <= 0 else missing / self.rate + min(0.05, GUARD * self.share * worst_case / self.rate)

    def reserve(self, worst_case: float) -> Reservation:
        """Takes a request's charge out of the copy, at the time of the last `wait`."""
        self.level -= self.share * worst_case
        self._total += worst_case
        return Reservation(worst_case, self.level, self._at, self._total, self._mended)

    def settle(self, ticket: Reservation, used: float) -> None:
        """The request is over and was charged `used`: for limits that no header reports."""
        self.level = min(self.capacity, self.level + self.share * ticket.worst_case - used)
        if used and ticket.worst_case > 1:
            self.share = min(1.0, self.share + 0.05 * (1.1 * used / ticket.worst_case - self.share))

    def observe(self, per_minute: float, remaining: float, ticket: Reservation, in_flight: int, now: float) -> None:
        """Pulls the copy towards the server's word.

        Servers state what was left when they admitted the request, or when they replied. Which of the two shows in
        which level is closer: the one then (with what has been mended since), or the one now. Requests that left
        together arrive in any order, so one reply mends one error only by its share of the calls in flight.
        """
        self._fill(now)
        self.rate = per_minute / 60
        self.capacity = min(max(1.0, self.rate * self._burst), max(self.capacity, remaining + 1))
        self._fullest = max(self._fullest, remaining)
        seen = min(remaining, self.capacity)
        if_then, if_now = seen - (ticket.level + self._mended - ticket.corrections), seen - self.level
        self._miss_then += 0.05 * (abs(if_then) - self._miss_then)
        self._miss_now += 0.05 * (abs(if_now) - self._miss_now)
        error = if_then if self._miss_then <= self._miss_now else if_now
        before = self.level
        self.level = min(self.capacity, self.level + error / (in_flight + 1))
        self._mended += self.level - before
        if ticket.worst_case > 1:
            self._learn_share(remaining, error, ticket, now)

    def record_refusal(self, now: float) -> None:
        """A 429 said that nothing is left."""
        self._fill(now)
        no_bursts = self.level > RESERVE * self.capacity and self._fullest <= self.rate * BURST_SECONDS
        if no_bursts and self._burst > SHORT_BURST_SECONDS:
            self._burst = SHORT_BURST_SECONDS
            self.capacity = max(1.0, min(self.capacity, self.rate * self._burst))
        self.level = min(self.level, 0.0)

    def _fill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self._at) * self.rate)
        self._at = now

    def _learn_share(self, remaining: float, error: float, ticket: Reservation, now: float) -> None:
        """What was taken out in a window of replies, over the worst cases that were sent in it.

        Counted twice, for servers that report the level at admission and at the reply: where both counts agree, the
        flow is steady, and the share is known. A bucket that stays full under load says that the share is smaller.
        """
        if remaining >= FULL * self._fullest:
            if error > 2 * ticket.worst_case:
                self.share = max(LEAST_SHARE, 0.97 * self.share)
            self._window = None
            return
        if self._window is None:
            self._window = (ticket, remaining, now, self._total, 0)
            return
        first, at_first, began, total, replies = self._window
        self._window = (first, at_first, began, total, replies + 1)
        if replies < 20 or now - began < 1.0 or ticket.total <= first.total:
            return
        by_admission = (self.rate * (ticket.sent_at - first.sent_at) + at_first - remaining) / (
            ticket.total - first.total
        )
        by_reply = (self.rate * (now - began) + at_first - remaining) / max(self._total - total, ticket.worst_case)
        if abs(by_admission - by_reply) < 0.2 * by_reply:
            share = (self.share + (by_admission + by_reply) / 2) / 2
            self.share = 1.0 if share > WORST_CASE else max(LEAST_SHARE, share)
        self._window = None
