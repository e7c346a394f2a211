"""Token buckets for requests per minute and tokens per minute, learned from the server's headers or set by the user.

A server keeps a bucket for each limit: it fills at limit / 60 per second, and every request takes its charge out.
`TokenBucket` is a copy of one. The copy drifts, since no server says how large its bucket is, nor whether a request is
charged at prompt + max_tokens (OpenAI, Azure) or at its real usage. So every reply that states what is left corrects
the copy. Admission is then simple: a request is sent if the copy holds its charge. That uses up a saved-up bucket,
needs no guess about the charging rule, and causes a 429 only if the copy is off by a whole request.

Times are seconds of a monotonic clock and are passed in; nothing here sleeps. `tests/pipeline/test_rate_limits.py` runs
the copy against model servers of every kind.
"""

from __future__ import annotations

from typing import NamedTuple

BURST_SECONDS = 10.0  #: of the rate: the largest burst, however full the server says its bucket is
SHORT_BURST_SECONDS = 1.0  #: the same once a 429 came although the copy held enough: that server allows no bursts
RESERVE = 0.03  #: share of the capacity that stays in the bucket for requests that arrive close together
GUARD = 0.02  #: share of a request's interval that is waited on top, since network latency varies
MIN_CHARGED_SHARE = 0.02  #: of the worst case: no server charges less
FULL_CHARGE = 0.75  #: a measured share above this is taken as 1, the rest being noise
FULL = 0.98  #: share of the fullest level seen above which the bucket may be overflowing and shows nothing


class Reservation(NamedTuple):
    """What a bucket noted when a request was sent; pass it back with the reply."""

    worst_case: float  #: the most that the request can be charged
    level: float  #: the level after the charge was taken out
    sent_at: float
    total: float  #: the worst cases of all requests up to this one
    corrections: float  #: the sum of all corrections of the level up to then


class _Window(NamedTuple):
    """The replies since `first`, from which the charged share is measured."""

    first: Reservation
    remaining: float  #: what the server said was left at the beginning
    began: float
    total: float  #: the worst cases of all requests sent before the window
    replies: int


class TokenBucket:
    """A copy of one of the server's buckets.

    `per_minute` is the limit; `remaining` is what the server said is left, or None for a limit that the user has set.
    `first_worst_case` is the worst case of the only request answered so far: if a full bucket was lowered by less, that
    shows how the server charges.
    """

    def __init__(
        self, per_minute: float, now: float, remaining: float | None = None, first_worst_case: float = 1.0
    ) -> None:
        self.rate = per_minute / 60
        self._burst = SHORT_BURST_SECONDS if remaining is None else BURST_SECONDS
        self.capacity = max(1.0, self.rate * self._burst)
        self.charged_share = 1.0  #: share of the worst case that a request seems to be charged
        if remaining is not None:
            self.capacity = max(1.0, min(self.capacity, remaining + 1))
            if 0 < per_minute - remaining <= first_worst_case:
                self.charged_share = max(MIN_CHARGED_SHARE, (per_minute - remaining) / first_worst_case)
        self.level = self.capacity if remaining is None else min(self.capacity, remaining)
        self._updated_at = now
        self._total = 0.0
        self._corrections = 0.0
        self._error_then = self._error_now = 0.0  # moving averages
        self._fullest = 0.0
        self._window: _Window | None = None

    def wait(self, worst_case: float, now: float) -> float:
        """Return the seconds until a request that is charged at most `worst_case` can be sent; 0 is now."""
        self._fill(now)
        charge = self.charged_share * worst_case
        missing = min(charge + RESERVE * self.capacity, self.capacity) - self.level
        return 0.0 if missing <= 0 else missing / self.rate + min(0.05, GUARD * charge / self.rate)

    def reserve(self, worst_case: float) -> Reservation:
        """Take the charge of a request out of the copy, at the time of the last `wait`."""
        self.level -= self.charged_share * worst_case
        self._total += worst_case
        return Reservation(worst_case, self.level, self._updated_at, self._total, self._corrections)

    def settle(self, reservation: Reservation, used: float) -> None:
        """Record that a request has ended and was charged `used`: for limits that no header reports."""
        worst_case = reservation.worst_case
        self.level = min(self.capacity, self.level + self.charged_share * worst_case - used)
        if used and worst_case > 1:
            self.charged_share = min(1.0, self.charged_share + 0.05 * (1.1 * used / worst_case - self.charged_share))

    def observe(
        self, per_minute: float, remaining: float, reservation: Reservation, in_flight: int, now: float
    ) -> None:
        """Correct the copy by what the server states in the reply to a request.

        Servers state what was left when they admitted the request, or when they replied. Whichever level is closer
        shows which of the two: the one then (with the corrections since), or the one now. Requests that were sent
        together arrive in any order, so one reply corrects an error only by its share of the requests in flight.
        """
        self._fill(now)
        self.rate = per_minute / 60
        self.capacity = min(max(1.0, self.rate * self._burst), max(self.capacity, remaining + 1))
        self._fullest = max(self._fullest, remaining)
        stated_level = min(remaining, self.capacity)
        error_then = stated_level - (reservation.level + self._corrections - reservation.corrections)
        error_now = stated_level - self.level
        self._error_then += 0.05 * (abs(error_then) - self._error_then)
        self._error_now += 0.05 * (abs(error_now) - self._error_now)
        error = error_then if self._error_then <= self._error_now else error_now
        before = self.level
        self.level = min(self.capacity, self.level + error / (in_flight + 1))
        self._corrections += self.level - before
        if reservation.worst_case > 1:
            self._learn_charged_share(remaining, error, reservation, now)

    def change_rate(self, per_minute: float, now: float) -> None:
        """Replace the limit; what is in the bucket stays there, if it still fits."""
        self._fill(now)
        self.rate = per_minute / 60
        self.capacity = max(1.0, self.rate * self._burst)
        self.level = min(self.level, self.capacity)

    def record_refusal(self, now: float) -> None:
        """Record a 429: nothing is left in the server's bucket."""
        self._fill(now)
        no_bursts = self.level > RESERVE * self.capacity and self._fullest <= self.rate * BURST_SECONDS
        if no_bursts and self._burst > SHORT_BURST_SECONDS:
            self._burst = SHORT_BURST_SECONDS
            self.capacity = max(1.0, min(self.capacity, self.rate * self._burst))
        self.level = min(self.level, 0.0)

    def _fill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self._updated_at) * self.rate)
        self._updated_at = now

    def _learn_charged_share(self, remaining: float, error: float, reservation: Reservation, now: float) -> None:
        """Measure what was taken out during a window of replies, relative to the worst cases sent in it.

        It is measured twice, for servers that report the level at admission and at the reply: if both results agree,
        the flow is steady and the share is known. A bucket that stays full under load shows that the share is smaller.
        """
        if remaining >= FULL * self._fullest:
            if error > 2 * reservation.worst_case:
                self.charged_share = max(MIN_CHARGED_SHARE, 0.97 * self.charged_share)
            self._window = None
            return
        if self._window is None:
            self._window = _Window(reservation, remaining, now, self._total, 0)
            return
        first, remaining_before, began, total, replies = self._window
        self._window = self._window._replace(replies=replies + 1)
        if replies < 20 or now - began < 1.0 or reservation.total <= first.total:
            return
        lowered_by = remaining_before - remaining
        by_admission = (self.rate * (reservation.sent_at - first.sent_at) + lowered_by) / (
            reservation.total - first.total
        )
        by_reply = (self.rate * (now - began) + lowered_by) / max(self._total - total, reservation.worst_case)
        if abs(by_admission - by_reply) < 0.2 * by_reply:
            share = (self.charged_share + (by_admission + by_reply) / 2) / 2
            self.charged_share = 1.0 if share > FULL_CHARGE else max(MIN_CHARGED_SHARE, share)
        self._window = None
