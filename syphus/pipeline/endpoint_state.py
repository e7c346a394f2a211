"""The state of one endpoint: its limits, the requests in flight, its health, and when the next request may be sent.

An endpoint starts with a single request. The first reply shows a wrong key, host, deployment or parameter before
anything else is spent, and states the limits before they can be exceeded. It is the request of a real row, so it costs
nothing extra. If it takes long, others follow slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.connections import Reply
from syphus.endpoints.prompt_cache import CACHE_FIELDS
from syphus.endpoints.rate_limit_headers import stated_limits
from syphus.endpoints.request import UnbuiltBody
from syphus.errors import SyphusError
from syphus.exchange import Request, SharedPrefix
from syphus.pipeline.concurrency import ALONE_SECONDS, AdaptiveConcurrency, unproven_limit
from syphus.pipeline.deadlines import Latencies
from syphus.pipeline.health import EndpointHealth
from syphus.pipeline.parameters import LearnedParameters
from syphus.pipeline.prompt_caches import PromptCaches
from syphus.pipeline.rate_limits import Reservation, TokenBucket
from syphus.pipeline.session_context import SessionLimits
from syphus.pipeline.sharing import SharedLimits
from syphus.text import format_duration

MANY_ERRORS = 0.15  #: share of the newest requests; above it, no row is asked twice at once
_ERROR_WEIGHT = 0.01  #: of the newest request in that share
_LONG_PAUSE = 10.0  #: seconds; a shorter pause is not noted
_AMPLE = 0.5  #: share of a limit that must be left for asking twice


def _ignore(_: object) -> None:
    """Tell nobody."""


class Endpoint(Protocol):
    """A server that answers requests. `RemoteEndpoint` implements it."""

    host: str

    async def send(self, body: bytes) -> Reply:
        """Send one request and return its reply. Raises `NoReplyError` if none came."""
        ...

    def classify(self, body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
        """Return what the body of a 2xx reply to `request` means."""
        ...

    def renew_token(self) -> bool:
        """Sign the next request with a new token. Return False if this endpoint has a fixed key."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@runtime_checkable
class BuildsBodies(Protocol):
    """An endpoint that builds bodies with images itself, on the machine that sends them."""

    async def send_unbuilt(self, body: UnbuiltBody) -> Reply:
        """Build a body and send it. Raises what `Endpoint.send` raises, and `ImageError` if an image can't be sent."""
        ...


class Call(NamedTuple):
    """A request in flight: when it was sent, the most tokens it can be charged, and its reservations by limit.

    `cache_key` is the number of its key for the prompt cache, -1 for none.
    """

    sent_at: float
    worst_case: float
    reservations: Mapping[str, Reservation]
    prefix: SharedPrefix | None = None
    cache_key: int = -1


class EndpointState:
    """An endpoint and everything that may hold a request to it back. Times are seconds of a monotonic clock.

    `per_minute` are the limits that the user has set, by "requests" and "tokens". `caches` are those of its model.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: SessionLimits,
        per_minute: Mapping[str, float],
        now: float,
        caches: PromptCaches | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.caches = PromptCaches(None) if caches is None else caches
        self.health = EndpointHealth(limits.max_outage, limits.first_wait, now)
        self.latencies = Latencies()
        self.parameters = LearnedParameters()
        self.in_flight = 0
        self._first_sent_at: float | None = None
        self._unproven_limit = 1  # until the first answer
        self._error_share = 0.0  # a moving average
        self.disabled_by: SyphusError | None = None  #: why no more requests are sent here; set by `disable`
        self.paused_until = 0.0
        self.paused_for = ""  #: what the server asked to wait for, to show: "requests", "tokens", "overload" or ""
        self.announce: Callable[[str], None] = _ignore  #: tells people what has just happened
        self.note: Callable[[str], None] = _ignore  #: tells a log
        self.on_disabled: Callable[[EndpointState], None] = _ignore
        self._announced_down: float | None = None  # since when, as it was announced
        self.consecutive_refusals = 0  #: episodes without an answer in between
        self._refused_at = now  # when the newest of them began
        self.stated_limits: dict[str, float] = {}  #: per minute, by "requests" and "tokens", as the server states them
        self._user_limits = per_minute
        self._buckets = {what: TokenBucket(limit, now) for what, limit in per_minute.items()}
        self._concurrency = AdaptiveConcurrency(limits.threads, adaptive=not per_minute)
        self.shared: SharedLimits | None = None  #: if other runs share the limits; set by `share`

    @property
    def max_in_flight(self) -> int:
        """The number of requests that may be in flight now: few until the first answer, one during an outage."""
        if self.health.down_since is not None:
            return 1
        limit = self._concurrency.limit
        if self.shared is not None:
            limit = int(min(limit, self.shared.slots))
        return limit if self.health.has_answered else min(limit, self._unproven_limit)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the newest requests failed, so that rows that have not failed yet tell more."""
        return self.health.down_since is not None or self.consecutive_refusals > 0 or not self.health.has_answered

    @property
    def per_minute(self) -> Mapping[str, float]:
        """The limits in force per minute, by "requests" and "tokens"."""
        if self.shared is not None:
            return self.shared.per_minute
        return {what: bucket.rate * 60 for what, bucket in self._buckets.items()}

    @property
    def threads(self) -> int:
        """The number of requests that may be in flight at most."""
        return self._concurrency.ceiling

    @property
    def user_limits(self) -> Mapping[str, float]:
        """The limits per minute that the user has set, by "requests" and "tokens"."""
        return self._user_limits

    def share(self, shared: SharedLimits) -> None:
        """Leave the limits, and the number of requests in flight where there are none, to what all runs share."""
        self.shared, self._buckets, self._concurrency.adaptive = shared, {}, False

    def hear_pause(self, limit: str, until: float) -> None:
        """Pause until then, because the server refused a request of another run."""
        if until > self.paused_until:
            self.paused_until, self.paused_for = until, limit

    async def send(self, body: bytes | UnbuiltBody) -> Reply:
        """Send a body and return its reply; one that is not built goes only to an endpoint that builds bodies itself.

        Raises what the endpoint raises.
        """
        if isinstance(body, bytes):
            return await self.endpoint.send(body)
        assert isinstance(self.endpoint, BuildsBodies)
        return await self.endpoint.send_unbuilt(body)

    def change_threads(self, threads: int) -> None:
        """Replace the number of requests that may be in flight at most."""
        self._concurrency.change_ceiling(threads)

    def change_limit(self, what: str, per_minute: float | None, now: float) -> None:
        """Replace a limit that the user has set, of "requests" or "tokens", by another one or by none."""
        others = {name: limit for name, limit in self._user_limits.items() if name != what}
        self._user_limits = others if per_minute is None else {**others, what: per_minute}
        if self.shared is not None:
            self.shared.change_limits(self._user_limits)
            return
        limits = [limit for limit in (per_minute, self.stated_limits.get(what)) if limit is not None]
        if not limits:
            self._buckets.pop(what, None)
        elif what in self._buckets:
            self._buckets[what].change_rate(min(limits), now)
        else:
            self._buckets[what] = TokenBucket(min(limits), now)
        self._concurrency.adaptive = not self._buckets

    def record_idle(self, seconds: float, now: float) -> None:
        """Record that nothing was sent in the last `seconds` because people did not want it."""
        self.health.record_idle(seconds, now)
        self._concurrency.begin_round()

    def disable(self, reason: SyphusError) -> None:
        """Send no more requests here. The first reason is kept."""
        if self.disabled_by is None:
            self.disabled_by = reason
            self.on_disabled(self)

    def announce_health(self, cause: str, now: float) -> None:
        """Tell people that the endpoint has gone down, for this `cause`, or that it answers again."""
        health = self.health
        if self._announced_down is None and health.is_surely_down and self.disabled_by is None:
            self._announced_down = health.down_since
            why = cause.rstrip(".")
            self.announce(f"{self.endpoint.host} is down: {why}. It is tried again at intervals.")
        elif self._announced_down is not None and health.down_since is None:
            self.announce(f"{self.endpoint.host} answers again, after {format_duration(now - self._announced_down)}.")
            self._announced_down = None

    def wait(self, worst_case: float, now: float, prefix: SharedPrefix | None = None, demand: int = 1) -> float:
        """Return the seconds until a request of at most `worst_case` tokens can be sent.

        0 means now; infinity means not before something changes. Requests with a `prefix` wait until it is in the
        prompt cache; `demand` is how many requests will want to be sent soon.
        """
        if not self.health.has_answered and self._first_sent_at is not None:
            self._unproven_limit = unproven_limit(now - self._first_sent_at)
        if self.disabled_by or self.in_flight >= self.max_in_flight:
            return self._seconds_until_more(now)
        held = max(self.paused_until, self.health.probe_at if self.health.down_since is not None else 0.0) - now
        waits = [bucket.wait(_charge(what, worst_case), now) for what, bucket in self._buckets.items()]
        seconds = max(0.0, held, *waits)
        if self.shared is not None and not seconds:
            seconds = self.shared.wait(worst_case, now)
        if seconds or prefix is None or not self._takes_marks:
            return seconds
        return self.caches.wait(prefix, demand, self._requests_per_minute(worst_case), now)

    def can_spare(self, worst_case: float, now: float, prefix: SharedPrefix | None = None) -> bool:
        """Return whether a request beyond the necessary ones can be sent: limits are ample, and errors are few."""
        return (
            self.health.has_answered
            and self.wait(worst_case, now, prefix) <= 0
            and not self.consecutive_refusals
            and self._error_share <= MANY_ERRORS
            and all(bucket.level >= _AMPLE * bucket.capacity for bucket in self._buckets.values())
            and (self.shared is None or self.shared.is_ample)
        )

    def start_call(self, worst_case: float, now: float, prefix: SharedPrefix | None = None, demand: int = 1) -> Call:
        """Count a request that is about to be sent, and choose its key for the prompt cache."""
        prefix = prefix if self._takes_marks else None
        key = -1 if prefix is None else self.caches.take(prefix, demand, self._requests_per_minute(worst_case), now)
        self.in_flight += 1
        if self.shared is not None:
            self.shared.take(worst_case)
        if self._first_sent_at is None:
            self._first_sent_at = now
            self.health.record_first_request(now)
        reservations = {what: bucket.reserve(_charge(what, worst_case)) for what, bucket in self._buckets.items()}
        return Call(now, worst_case, reservations, prefix, key)

    def cancel_call(self, call: Call) -> None:
        """Undo `start_call` for a request that was not sent."""
        self.in_flight -= 1
        self.caches.end(call.prefix, call.cache_key, None, call.sent_at)
        if self.shared is not None:
            self.shared.cancel(call.worst_case)
        for what, reservation in call.reservations.items():
            if what in self._buckets:  # its limit may have been lifted meanwhile
                self._buckets[what].settle(reservation, 0.0)

    def finish_call(self, call: Call, headers: Mapping[str, str], used_tokens: float | None, now: float) -> None:
        """Record that a request has ended.

        `headers` are those of its reply, if any; `used_tokens` is what an answer was charged, None without an answer.
        """
        for what in ("requests", "tokens"):
            self._update_limit(what, call, headers, used_tokens, now)
        self._error_share += _ERROR_WEIGHT * ((used_tokens is None) - self._error_share)
        if used_tokens is not None:
            self.consecutive_refusals = 0
            if not self.health.has_answered and self.shared is None:
                self._concurrency.adaptive = not self._buckets
            self._concurrency.record_answer(self.in_flight, now)
        self.in_flight -= 1
        if self.shared is not None:
            self.shared.end(call.worst_case, used_tokens, headers, call.sent_at)

    def pause(self, call: Call, limit: str, wait: float, now: float) -> None:
        """Pause for `wait` seconds because the server refused `call`.

        `limit` is what was exceeded: "requests", "tokens", "overload", or "" if the server does not say.
        """
        if call.sent_at >= self._refused_at or not self.consecutive_refusals:  # those in flight are refused together
            self.consecutive_refusals += 1
            self._refused_at = now
        if now + wait > self.paused_until:
            self.paused_until, self.paused_for = now + wait, limit
            if wait >= _LONG_PAUSE:
                self.note(
                    f"{self.endpoint.host} asks to wait for {format_duration(wait)}{f' ({limit})' if limit else ''}."
                )
        if self.shared is not None:
            self.shared.refuse(limit, wait, call.sent_at, now)
        self._concurrency.record_refusal(call.sent_at, now)
        exceeded = [limit] if limit in self._buckets else list(self._buckets) if not limit else []
        for what in exceeded:
            self._buckets[what].record_refusal(now)

    def record_timeout(self, call: Call, now: float) -> None:
        """Record that `call` has timed out: with fewer requests at once, it might not have waited so long.

        Only if the server was busy all that time. A call that others overtake hangs by itself, and a server that stands
        still is down.
        """
        answers, newest = self.latencies.answers_since(call.sent_at)
        if answers and now - newest <= (now - call.sent_at) / 2 and not self.latencies.is_overtaken(call.sent_at):
            self._concurrency.record_timeout(call.sent_at, answers, now)
            if self.shared is not None:
                self.shared.time_out(call.sent_at, answers)

    def _seconds_until_more(self, now: float) -> float:
        """Return the seconds until one more request may be in flight, if that is a matter of time."""
        if self.disabled_by or self.health.has_answered or self.health.down_since is not None:
            return math.inf
        if self._first_sent_at is None or self.in_flight >= self._concurrency.limit:
            return math.inf
        return ALONE_SECONDS - (now - self._first_sent_at) % ALONE_SECONDS

    @property
    def _takes_marks(self) -> bool:
        return self.parameters.changes.keys().isdisjoint(CACHE_FIELDS)

    def _requests_per_minute(self, worst_case: float) -> float:
        """Return how many requests of this size the known limits allow in a minute."""
        if self.shared is not None:
            mine = {what: limit / self.shared.runs for what, limit in self.shared.per_minute.items()}
            return min((limit / _charge(what, worst_case) for what, limit in mine.items()), default=math.inf)
        rates = [60 * bucket.rate / _charge(what, worst_case) for what, bucket in self._buckets.items()]
        return min(rates, default=math.inf)

    def _update_limit(
        self, what: str, call: Call, headers: Mapping[str, str], used_tokens: float | None, now: float
    ) -> None:
        stated = stated_limits(headers, what)
        bucket, reservation = self._buckets.get(what), call.reservations.get(what)
        if stated.per_minute is None:
            if bucket is not None and reservation is not None:
                bucket.settle(reservation, _charge(what, used_tokens or 0.0))
            return
        self.stated_limits[what] = stated.per_minute
        if self.shared is not None:
            return
        limit = min(stated.per_minute, self._user_limits.get(what, math.inf))
        if bucket is None:
            self._buckets[what] = TokenBucket(limit, now, stated.remaining, _charge(what, call.worst_case))
        elif reservation is not None and stated.remaining is not None:
            bucket.observe(limit, stated.remaining, reservation, self.in_flight, now)


def _charge(what: str, tokens: float) -> float:
    """Return what a request of `tokens` takes out of the bucket of `what`."""
    return tokens if what == "tokens" else 1.0
