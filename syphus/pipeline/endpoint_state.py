"""One endpoint as the loop sees it: its limits, the calls in flight, its health, and when the next call may go.

An endpoint starts with one call alone: the first reply tells a wrong key, host, deployment or parameter before
anything else is spent, and states the limits before they can be broken. It is a real row's request, so it costs nothing
extra.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.rate_limit_headers import stated_limits
from syphus.endpoints.transport import Reply
from syphus.errors import SyphusError
from syphus.pipeline.concurrency import AdaptiveConcurrency
from syphus.pipeline.health import EndpointHealth
from syphus.pipeline.rate_limits import Reservation, TokenBucket
from syphus.types import Request


class Endpoint(Protocol):
    """What answers requests. `RemoteEndpoint` is the real one."""

    host: str

    async def send(self, body: bytes) -> Reply:
        """Posts one request; raises `NoReplyError` where no reply came."""
        ...

    def classify(self, body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
        """What the body of a good reply to a request is worth."""
        ...

    def renew_token(self) -> bool:
        """Makes the next request sign in anew; False where that changes nothing."""
        ...

    async def close(self) -> None:
        """Lets go of every connection."""
        ...


class Call(NamedTuple):
    """A call in flight: when it left, the tokens it may be charged at the most, and what the limits noted."""

    sent_at: float
    worst_case: float
    reservations: Mapping[str, Reservation]


class EndpointState:
    """An endpoint and everything that holds a call back from it. Times are seconds of a monotonic clock."""

    def __init__(
        self,
        endpoint: Endpoint,
        threads: int,
        now: float,
        per_minute: Mapping[str, float],
        max_outage: float,
        first_wait: float,
    ) -> None:
        self.endpoint = endpoint
        self.health = EndpointHealth(max_outage, first_wait, now)
        self.in_flight = 0
        self.disabled_by: SyphusError | None = None  #: why no call goes here any more
        self.paused_until = 0.0
        self.paused_for = ""  #: what the server asked to wait for, to show
        self.consecutive_refusals = 0  #: in a row
        self._given = per_minute
        self._buckets = {what: TokenBucket(limit, now) for what, limit in per_minute.items()}
        self._concurrency = AdaptiveConcurrency(threads, adaptive=not per_minute)

    @property
    def max_in_flight(self) -> int:
        """Calls that may be in flight now."""
        return self._concurrency.limit if self.health.has_answered and self.health.down_since is None else 1

    @property
    def per_minute(self) -> Mapping[str, float]:
        """The limits in force, by "requests" and "tokens"."""
        return {what: bucket.rate * 60 for what, bucket in self._buckets.items()}

    def wait(self, worst: float, now: float) -> float:
        """Seconds until a call of at most `worst` tokens can go: 0 is now, infinity means when something changes."""
        if self.disabled_by or self.in_flight >= self.max_in_flight:
            return math.inf
        held = max(self.paused_until, self.health.probe_at if self.health.down_since is not None else 0.0) - now
        waits = [bucket.wait(_charge(what, worst), now) for what, bucket in self._buckets.items()]
        return max(0.0, held, *waits)

    def start_call(self, worst: float, now: float) -> Call:
        """Lets a call go."""
        self.in_flight += 1
        return Call(now, worst, {what: bucket.reserve(_charge(what, worst)) for what, bucket in self._buckets.items()})

    def cancel_call(self, call: Call) -> None:
        """A call was let go, and is not made."""
        self.in_flight -= 1
        for what, ticket in call.reservations.items():
            self._buckets[what].settle(ticket, 0.0)

    def finish_call(self, call: Call, headers: Mapping[str, str], used_tokens: float | None, now: float) -> None:
        """A call is over; `headers` are those of its reply, if any, `used_tokens` what an answer was charged."""
        for what in ("requests", "tokens"):
            self._learn(what, call, headers, used_tokens, now)
        if used_tokens is not None:
            self.consecutive_refusals = 0
            if not self.health.has_answered:
                self._concurrency.adaptive = not self._buckets
            self._concurrency.record_answer(self.in_flight, now)
        self.in_flight -= 1

    def pause(self, call: Call, limit: str, wait: float, now: float) -> None:
        """The server asked for a pause of `wait` seconds; `limit` is "requests", "tokens", "overload" or unknown."""
        self.consecutive_refusals += 1
        if now + wait > self.paused_until:
            self.paused_until, self.paused_for = now + wait, limit
        self._concurrency.record_refusal(call.sent_at, now)
        hit = [limit] if limit in self._buckets else list(self._buckets) if not limit else []
        for what in hit:
            self._buckets[what].record_refusal(now)

    def _learn(self, what: str, call: Call, headers: Mapping[str, str], used: float | None, now: float) -> None:
        stated = stated_limits(headers, what)
        bucket, ticket = self._buckets.get(what), call.reservations.get(what)
        if stated.per_minute is None:
            if bucket is not None and ticket is not None:
                bucket.settle(ticket, _charge(what, used or 0.0))
            return
        limit = min(stated.per_minute, self._given.get(what, math.inf))
        if bucket is None:
            self._buckets[what] = TokenBucket(limit, now, stated.remaining, _charge(what, call.worst_case))
        elif ticket is not None and stated.remaining is not None:
            bucket.observe(limit, stated.remaining, ticket, self.in_flight, now)


def _charge(what: str, tokens: float) -> float:
    return tokens if what == "tokens" else 1.0
