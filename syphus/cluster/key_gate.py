"""The gate of one key: who of its clients may send how much.

    LeaseRequest -> totals of the client -> limits, pauses, requests in flight -> fair shares -> Lease

What comes in is put aside for the clients in turns, a request at a time, in the order of what each has got so far,
weighed by the limits. So none can take what another waits for by asking more often. A client that is not heard of for
`DEAD_AFTER` seconds is dropped. What was put aside for it goes to the others. What it had fetched may have been sent,
so it counts as sent: that is at most what it could send in a second.

Before the first answer to any client only one request is allowed, as each endpoint starts with one: its reply shows a
wrong key, and states the limits. Everything here is a function of messages and times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from syphus.cluster.messages import Lease, LeaseRequest
from syphus.cluster.shared_bucket import SharedBucket
from syphus.pipeline.concurrency import INITIAL_LIMIT, AdaptiveConcurrency, unproven_limit

VALID = 1.0  #: seconds for which a lease is valid, from when it was asked for
DEAD_AFTER = 1.5  #: seconds without a message after which a client counts as dead
ASK_AGAIN = 0.1  #: seconds between the messages of a client; more if there are many
_MESSAGES_PER_SECOND = 150  # of all clients together; each takes about a millisecond of CPU
_MANY = 1 << 20  # requests in flight; more than any clients have
_AMPLE = 0.5  #: share of a bucket that must be left for a request beyond the necessary ones
_LIMITS = ("requests", "tokens")


@dataclass(slots=True)
class GateClient:
    """What a gate knows of a client. All fields are JSON values."""

    run: str
    seen_at: float
    number: int = 0  #: of its newest message
    want: int = 0
    unit: float = 1.0
    threads: int = 1
    waiting: int = 0
    in_flight: int = 0
    slots: int = 0  #: requests in flight that it was allowed
    granted: int = 0  #: in total since it joined
    granted_tokens: float = 0.0
    sent: int = 0
    sent_tokens: float = 0.0
    returned: int = 0
    returned_tokens: float = 0.0
    answers: int = 0
    ended_tokens: float = 0.0
    used_tokens: float = 0.0
    promised: int = 0  #: put aside until its next message
    promised_tokens: float = 0.0
    turn: float = 0.0  #: seconds of the limits that it has got so far; who has got least is next
    limits: dict[str, float] = field(default_factory=dict)  #: that its user has set

    @property
    def held(self) -> int:
        """Requests that it may still send, by their number and by their tokens."""
        tokens = self.granted_tokens - self.sent_tokens - self.returned_tokens
        return min(self.granted - self.sent - self.returned, int(tokens / self.unit + 1e-6))

    @property
    def lacks(self) -> int:
        """Requests that it wants beyond those that it may send, and those put aside for it."""
        return self.want - self.held - self.promised

    @property
    def demand(self) -> int:
        """Requests that it would have in flight."""
        return min(self.threads, self.in_flight + self.waiting)


class KeyGate:
    """The limits of one key, and its clients. Times are seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self.clients: dict[str, GateClient] = {}
        self._buckets: dict[str, SharedBucket] = {}
        self._limits: dict[str, float] = {}  # per minute, that users have set
        self._stated: dict[str, float] = {}  # per minute, as the server states them
        self._concurrency = AdaptiveConcurrency(_MANY)
        self._paused_until, self._paused_for = now, ""
        self._first_sent_at: float | None = None
        self._has_answered = False
        self._sent_tokens = 0.0  # by all clients, in total

    @property
    def per_minute(self) -> dict[str, float]:
        """The limits in force, by "requests" and "tokens"."""
        return {what: bucket.rate * 60 for what, bucket in self._buckets.items()}

    def exchange(self, request: LeaseRequest, now: float) -> Lease:
        """Take in what a client says, and return what it may do."""
        if problem := self._problem(request):
            return Lease(problem=problem)
        client = self._client(request, now)
        if request.number < client.number:
            return self._lease(client, now)
        self._take_in(client, request, now)
        if request.leaves:
            self._drop(request.client)
            return Lease()
        self._share_out(now)
        client.granted += client.promised
        client.granted_tokens += client.promised_tokens
        client.promised, client.promised_tokens = 0, 0.0
        self._share_slots(client)
        return self._lease(client, now)

    def drop_dead(self, now: float) -> None:
        """Drop clients that are not heard of any more."""
        for name in [name for name, each in self.clients.items() if now - each.seen_at > DEAD_AFTER]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        client = self.clients.pop(name)
        self._give_back(client.promised, client.promised_tokens)

    def _problem(self, request: LeaseRequest) -> str:
        """Return why a client can't share these limits: its user has set others than the users of the rest."""
        if request.limits_changed or request.client in self.clients:
            return ""
        for each in self.clients.values():
            for what in _LIMITS:
                ours, theirs = request.limits.get(what), each.limits.get(what)
                if ours != theirs:
                    return (
                        f"this run has {_limit(ours, what)}, and another one that shares its key has "
                        f"{_limit(theirs, what)}. Start all with the same --{what}-per-minute, or none with it"
                    )
        return ""

    def _client(self, request: LeaseRequest, now: float) -> GateClient:
        client = self.clients.get(request.client)
        if client is None:
            if not self.clients:
                self._set_limits(dict(request.limits), now)
            turn = min((each.turn for each in self.clients.values()), default=0.0)
            client = GateClient(request.run, now, turn=turn, limits=dict(request.limits))
            for name in (
                "sent",
                "sent_tokens",
                "returned",
                "returned_tokens",
                "answers",
                "ended_tokens",
                "used_tokens",
            ):
                setattr(client, name, getattr(request, name))  # a gate that was restarted, or a client that was slow
            client.granted = client.sent + client.returned
            client.granted_tokens = client.sent_tokens + client.returned_tokens
            self.clients[request.client] = client
        return client

    def _set_limits(self, limits: dict[str, float], now: float) -> None:
        self._limits = limits
        for what in _LIMITS:
            rates = [each[what] for each in (limits, self._stated) if what in each]
            if not rates:
                self._buckets.pop(what, None)
            elif what in self._buckets:
                self._buckets[what].change_rate(min(rates))
            else:
                self._buckets[what] = SharedBucket(min(rates) / 60, now)

    def _take_in(self, client: GateClient, request: LeaseRequest, now: float) -> None:
        """Update what is known from a message."""
        for bucket in self._buckets.values():
            bucket.fill(now)
        if request.limits_changed:
            for each in self.clients.values():
                each.limits = dict(request.limits)
            self._set_limits(dict(request.limits), now)
        self._sent_tokens += max(0.0, request.sent_tokens - client.sent_tokens)
        self._give_back(request.returned - client.returned, request.returned_tokens - client.returned_tokens)
        ended, used = request.ended_tokens - client.ended_tokens, request.used_tokens - client.used_tokens
        answers = request.answers - client.answers
        if (tokens := self._buckets.get("tokens")) is not None:
            tokens.settle(ended, used, max(1, answers))
        client.seen_at = now
        for name in _REPORTED:
            setattr(client, name, getattr(request, name))
        self._concurrency.change_ceiling(max(INITIAL_LIMIT, sum(each.threads for each in self.clients.values())))
        self._hear(request, now)
        self._has_answered = self._has_answered or answers > 0
        self._concurrency.adaptive = not self._buckets
        in_flight = sum(each.in_flight for each in self.clients.values())
        for _ in range(answers if self._concurrency.adaptive else 0):
            self._concurrency.record_answer(in_flight + 1, now)

    def _hear(self, request: LeaseRequest, now: float) -> None:
        """Learn from headers, refusals and timeouts that a client met."""
        is_wanted = any(each.lacks > 0 for each in self.clients.values())
        for what, stated in request.stated.items():
            per_minute, remaining, age = stated
            if what not in _LIMITS or per_minute <= 0:
                continue
            if self._stated.get(what) != per_minute:
                self._stated[what] = per_minute
                self._set_limits(self._limits, now)
            unit = request.unit if what == "tokens" else 1.0
            if 0 <= remaining <= per_minute:
                self._buckets[what].observe(remaining, age, unit, self._sent_tokens, is_wanted)
        if request.refused is not None:
            limit, wait, age = request.refused
            if now + wait > self._paused_until:
                self._paused_until, self._paused_for = now + wait, str(limit)
            self._concurrency.record_refusal(now - age, now)
            for what in [limit] if limit in self._buckets else list(self._buckets) if not limit else []:
                self._buckets[what].record_refusal()
            for each in self.clients.values():  # nothing is left of which something could be put aside
                each.promised, each.promised_tokens = 0, 0.0
        if request.timed_out is not None and request.in_flight:
            age, answers = request.timed_out
            total = sum(each.in_flight for each in self.clients.values())
            self._concurrency.record_timeout(now - age, int(answers * total / request.in_flight), now)

    def _give_back(self, requests: int, tokens: float) -> None:
        for what, amount in (("requests", requests), ("tokens", tokens)):
            if amount > 0 and what in self._buckets:
                self._buckets[what].take(-amount)

    def _share_out(self, now: float) -> None:
        """Put aside what there is, a request at a time, for the client that has got least so far."""
        if now < self._paused_until:
            return
        if not self._has_answered:
            self._share_out_first(now)
            return
        if not self._buckets:
            for each in self.clients.values():
                each.promised += max(0, each.lacks)
                each.promised_tokens = each.promised * each.unit
            return
        wanting = [each for each in self.clients.values() if each.lacks > 0]
        while wanting:
            client = min(wanting, key=lambda each: each.turn)
            if not all(bucket.allows(_amount(what, client)) for what, bucket in self._buckets.items()):
                return
            self._put_aside(client)
            if client.lacks <= 0:
                wanting.remove(client)

    def _share_out_first(self, now: float) -> None:
        """Allow one request until something is answered, then two, four ... if that takes long."""
        allowed = 1 if self._first_sent_at is None else unproven_limit(now - self._first_sent_at)
        for client in sorted(self.clients.values(), key=lambda each: each.turn):
            open_requests = sum(each.held + each.promised + each.in_flight for each in self.clients.values())
            if client.lacks > 0 and open_requests < allowed:
                self._put_aside(client)
                self._first_sent_at = now if self._first_sent_at is None else self._first_sent_at

    def _put_aside(self, client: GateClient) -> None:
        client.promised += 1
        client.promised_tokens += client.unit
        cost = 1e-6  # seconds
        for what, bucket in self._buckets.items():
            bucket.take(_amount(what, client))
            cost = max(cost, bucket.share * _amount(what, client) / bucket.rate)
        client.turn = max(client.turn, self._oldest_turn - 1.0) + cost  # who did not want anything saves up nothing

    @property
    def _oldest_turn(self) -> float:
        return max((each.turn for each in self.clients.values()), default=0.0)

    def _share_slots(self, client: GateClient) -> None:
        """Set how many requests a client may have in flight, where no limit per minute says it."""
        if self._buckets:
            client.slots = client.threads
            return
        limit, demands = self._concurrency.limit, sorted(each.demand for each in self.clients.values())
        level = _water_level(demands, limit)
        others = [each for each in self.clients.values() if each is not client]
        taken = sum(max(each.in_flight, min(each.slots, each.demand)) for each in others)
        client.slots = max(0, min(client.threads, level, limit - taken))

    def _lease(self, client: GateClient, now: float) -> Lease:
        ask_again = max(ASK_AGAIN, len(self.clients) / _MESSAGES_PER_SECOND)
        pause = max(0.0, self._paused_until - now)
        return Lease(
            requests=client.granted,
            tokens=client.granted_tokens,
            valid=max(VALID, 4 * ask_again),
            ask_again=ask_again,
            slots=None if self._buckets else client.slots,
            pause=pause,
            paused_for=self._paused_for if pause else "",
            limits=self.per_minute,
            ample=all(bucket.level >= _AMPLE * bucket.capacity for bucket in self._buckets.values()),
            clients=len(self.clients),
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; infinities are among them."""
        own = {name.lstrip("_"): value for name, value in vars(self).items() if name not in _APART}
        clients = {name: asdict(each) for name, each in self.clients.items()}
        buckets = {what: asdict(each) for what, each in self._buckets.items()}
        return {"own": own, "clients": clients, "buckets": buckets, "concurrency": vars(self._concurrency)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> KeyGate:
        """Return the gate that `as_json` has described."""
        gate = cls(0.0)
        vars(gate).update({f"_{name}": value for name, value in values["own"].items()})
        gate.clients = {name: GateClient(**each) for name, each in values["clients"].items()}
        gate._buckets = {what: SharedBucket(**each) for what, each in values["buckets"].items()}
        vars(gate._concurrency).update(values["concurrency"])
        return gate


_APART = {"clients", "_buckets", "_concurrency"}
_TOTALS = ("sent", "sent_tokens", "returned", "returned_tokens", "answers", "ended_tokens", "used_tokens")
_REPORTED = ("number", "want", "unit", "threads", "waiting", "in_flight", *_TOTALS)


def _amount(what: str, client: GateClient) -> float:
    return client.unit if what == "tokens" else 1.0


def _limit(per_minute: float | None, what: str) -> str:
    return f"no --{what}-per-minute" if per_minute is None else f"a limit of {per_minute:,g} {what} per minute"


def _water_level(demands: list[int], limit: int) -> int:
    """Return the most that each may have if `limit` is shared by these sorted demands, at least 1."""
    left = limit
    for number, demand in enumerate(demands):
        share = left // (len(demands) - number)
        if demand > share:
            return max(1, share)
        left -= demand
    return max(1, math.ceil(limit))
