"""What a client may send, by the leases that it has got: the other side of the gate, without clock, network or disk.

    holder.wait(...) == 0 -> holder.take(...) -> holder.end(...)        for each request
    lease = gate.exchange(holder.message(now), ...); holder.accept(lease, asked_at)      every `ask_again` seconds

`pipeline` calls the first line through `EndpointState`; an actor can as well. A lease that is not renewed in time runs
out, so a client that hears nothing of its gate sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from syphus.cluster.messages import Lease, LeaseRequest
from syphus.endpoints.rate_limit_headers import stated_limits

AHEAD_SECONDS = 1.0  #: of the own rate: what is asked for in advance
CAREFUL_AHEAD_SECONDS = 0.2  #: the same for a while after a request was refused
CAREFUL_SECONDS = 10.0
COST_AHEAD_SECONDS = 2.0  #: of the own spending, since each promise of dollars is made durable


@dataclass(frozen=True, slots=True)
class RunSpending:
    """What a run has spent over all its sessions, and the most that its next request may cost, in dollars."""

    committed: float = 0.0  #: spent or reserved
    reserved: float = 0.0  #: of that, what is only reserved
    requests: int = 0
    next_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """With what a client joins: its limits per minute, and the budget that all runs share; None is no limit."""

    limits: Mapping[str, float]
    max_cost: float | None = None
    max_requests: int | None = None


class LeaseHolder:
    """The leases of one client of one key. Times are seconds of its own monotonic clock; tokens are worst cases."""

    def __init__(self, client: str, group: str, terms: Terms, run: str = "") -> None:
        self.client, self.group, self.run, self.terms = client, group, run, terms
        self.lease = Lease()  #: the newest one
        self.in_flight = 0
        self.paused_until = 0.0
        self.wake: Callable[[], None] = lambda: None  #: called if the next message should not wait
        self._has_asked = False  # the newest message has said that it wants to send
        self._limits_changed = False
        self._number = 0
        self._requests, self._tokens = 0, 0.0  # that may be sent
        self._valid_until = -math.inf
        self._sent, self._sent_tokens = 0, 0.0
        self._returned, self._returned_tokens = 0, 0.0
        self._answers, self._ended_tokens, self._used_tokens = 0, 0.0, 0.0
        self._unit, self._rate = 0.0, 0.0  # moving averages: tokens of a request, requests per second
        self._counted_at, self._counted = -math.inf, 0
        self._stated: dict[str, tuple[float, float, float]] = {}
        self._refused: tuple[str, float, float] | None = None
        self._timed_out: tuple[float, int] | None = None
        self._careful_until = -math.inf
        self._cost_limit: float | None = None
        self._request_limit: int | None = None

    @property
    def slots(self) -> float:
        """Requests that may be in flight; infinity if the limits per minute say enough."""
        return math.inf if self.lease.slots is None else self.lease.slots

    @property
    def per_minute(self) -> Mapping[str, float]:
        """The limits of all clients together, by "requests" and "tokens"."""
        return self.lease.limits

    @property
    def runs(self) -> int:
        """The number of clients."""
        return max(1, self.lease.clients)

    @property
    def is_ample(self) -> bool:
        """Whether a request beyond the necessary ones would delay no other run."""
        return self.lease.ample

    def wait(self, tokens: float, now: float) -> float:
        """Return 0 if a request of `tokens` may be sent now, infinity if not before the next lease."""
        if now >= self._valid_until or self._requests < 1 or self._tokens < tokens - 1e-6:
            self._unit = max(self._unit, tokens)
            if not self._has_asked:
                self.wake()
            return math.inf
        return 0.0

    def take(self, tokens: float) -> None:
        """Count a request that is sent now."""
        self._requests, self._tokens = self._requests - 1, self._tokens - tokens
        self._sent, self._sent_tokens = self._sent + 1, self._sent_tokens + tokens
        self._unit = tokens if not self._unit else self._unit + 0.05 * (tokens - self._unit)
        self.in_flight += 1

    def cancel(self, tokens: float) -> None:
        """Undo `take` for a request that was not sent."""
        self._requests, self._tokens = self._requests + 1, self._tokens + tokens
        self._sent, self._sent_tokens = self._sent - 1, self._sent_tokens - tokens
        self.in_flight -= 1

    def end(self, tokens: float, used: float | None, headers: Mapping[str, str], sent_at: float) -> None:
        """Count a request that has ended; `used` tokens is what an answer took, None without one."""
        self.in_flight -= 1
        self._ended_tokens += tokens
        if used is not None:
            self._answers += 1
            self._used_tokens += used
        for what in ("requests", "tokens"):
            stated = stated_limits(headers, what)
            if stated.per_minute is not None:
                remaining = -1.0 if stated.remaining is None else stated.remaining
                self._stated[what] = (stated.per_minute, remaining, sent_at)

    def refuse(self, limit: str, wait: float, sent_at: float, now: float) -> None:
        """Record that the server refused a request and asks to wait; `limit` is what was exceeded, "" if unknown."""
        if self._refused is None or wait > self._refused[1]:
            self._refused = (limit, wait, sent_at)
        self._careful_until = now + CAREFUL_SECONDS
        self.paused_until = max(self.paused_until, now + wait)
        self.wake()

    def time_out(self, sent_at: float, answers: int) -> None:
        """Record that a request timed out in a queue in which `answers` came meanwhile."""
        self._timed_out = (sent_at, answers)

    def change_limits(self, limits: Mapping[str, float]) -> None:
        """Replace the limits that the user has set, for all clients."""
        self.terms = Terms(dict(limits), self.terms.max_cost, self.terms.max_requests)
        self._limits_changed = True
        self.wake()

    @property
    def has_news(self) -> bool:
        """Whether something happened that the others should know at once."""
        return self._refused is not None or self._limits_changed

    def message(
        self, now: float, threads: int, waiting: int, spending: RunSpending | None = None, leaves: bool = False
    ) -> LeaseRequest:
        """Return the next message, and give back what is not needed: `waiting` requests wait to be sent."""
        want = self._wanted(now, threads, waiting)
        self._return_surplus(0 if leaves else want, now)
        spending = spending or RunSpending()
        want_cost = self._want_cost(spending, want)
        self._return_budget(spending, want, want_cost)
        self._has_asked = want > 0
        return replace(
            self._report(now),
            threads=threads,
            want=want,
            waiting=waiting,
            committed=spending.committed,
            reserved=spending.reserved,
            requests=spending.requests,
            want_cost=want_cost,
            next_cost=spending.next_cost,
            leaves=leaves,
        )

    def _report(self, now: float) -> LeaseRequest:
        """Return a message about what has happened so far, which asks for nothing. News are in one message only."""
        self._number += 1
        report = LeaseRequest(
            client=self.client,
            group=self.group,
            number=self._number,
            run=self.run,
            unit=max(1.0, self._unit),
            in_flight=self.in_flight,
            sent=self._sent,
            sent_tokens=self._sent_tokens,
            returned=self._returned,
            returned_tokens=self._returned_tokens,
            answers=self._answers,
            ended_tokens=self._ended_tokens,
            used_tokens=self._used_tokens,
            stated={what: [limit, left, now - sent_at] for what, (limit, left, sent_at) in self._stated.items()},
            refused=None if self._refused is None else [*self._refused[:2], now - self._refused[2]],
            timed_out=None if self._timed_out is None else [now - self._timed_out[0], self._timed_out[1]],
            limits=self.terms.limits,
            limits_changed=self._limits_changed,
            max_cost=self.terms.max_cost,
            max_requests=self.terms.max_requests,
        )
        self._stated, self._refused, self._timed_out, self._limits_changed = {}, None, None, False
        return report

    def accept(self, lease: Lease, asked_at: float) -> None:
        """Take up the reply to the newest message, which was made at `asked_at`."""
        self.lease, self._cost_limit, self._request_limit = lease, lease.cost_limit, lease.request_limit
        self._requests = lease.requests - self._sent - self._returned
        self._tokens = lease.tokens - self._sent_tokens - self._returned_tokens
        self._valid_until = asked_at + lease.valid
        if lease.pause:
            self.paused_until = max(self.paused_until, asked_at + lease.pause)
            self._careful_until = max(self._careful_until, asked_at + lease.pause + CAREFUL_SECONDS)

    def forget(self, message: LeaseRequest, now: float) -> None:
        """Record that a message may not have arrived: what it said once is said again by the next one."""
        if message.refused is not None and self._refused is None:
            limit, wait, age = message.refused
            self._refused = (limit, wait, now - age)
        self._limits_changed = self._limits_changed or message.limits_changed

    def _wanted(self, now: float, threads: int, waiting: int) -> int:
        """Return how many requests to be allowed: those that wait, and those of about a second of the own rate."""
        seconds = now - self._counted_at
        if math.isinf(seconds):
            self._counted_at, self._counted = now, self._sent
        elif seconds > 0:
            weight = 1 - math.exp(-seconds)
            self._rate += weight * ((self._sent - self._counted) / seconds - self._rate)
            self._counted_at, self._counted = now, self._sent
        ahead = CAREFUL_AHEAD_SECONDS if now < self._careful_until else AHEAD_SECONDS
        return min(threads, waiting) + int(self._rate * ahead)

    def _return_surplus(self, want: int, now: float) -> None:
        """Give back what is more than wanted, and what has run out, which others may have got by now."""
        if now >= self._valid_until:  # the gate counts it as sent, since it could not know
            self._requests, self._tokens = 0, 0.0
            return
        requests = max(0, self._requests - want)
        tokens = max(0.0, self._tokens - want * max(1.0, self._unit) - self._unit)
        self._requests, self._returned = self._requests - requests, self._returned + requests
        self._tokens, self._returned_tokens = self._tokens - tokens, self._returned_tokens + tokens

    def _return_budget(self, spending: RunSpending, want: int, want_cost: float) -> None:
        """Give back the dollars and requests that are not wanted, and dollars that are too few for one request."""
        if self._cost_limit is not None:
            kept = want_cost if self._cost_limit - spending.committed >= spending.next_cost else 0.0
            self._cost_limit = min(self._cost_limit, spending.committed + kept)
        if self._request_limit is not None:
            self._request_limit = min(self._request_limit, spending.requests + want)

    def _want_cost(self, spending: RunSpending, want: int) -> float:
        """Return how many dollars to be allowed beyond those that are committed."""
        limit = self._cost_limit
        target = spending.next_cost * max(1.0, want, COST_AHEAD_SECONDS * self._rate) if want else 0.0
        if limit is None:
            return target
        left = max(0.0, limit - spending.committed)
        return left if max(target / 2, spending.next_cost) <= left <= 2 * target else target

    def can_spend(self, spending: RunSpending, cost: float) -> bool:
        """Return whether the shared budget allows a request that may cost `cost` dollars."""
        if self._request_limit is not None and spending.requests + 1 > self._request_limit:
            return False
        return self._cost_limit is None or spending.committed + cost <= self._cost_limit + 1e-9
