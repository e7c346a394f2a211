"""Clients that share a gate at a server with true buckets, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

from syphus.cluster.gate import Gate
from syphus.cluster.lease_holder import LeaseHolder, Terms
from syphus.simulator.rate_limiter import RateLimits

PROMPT, MAX_TOKENS = 150, 850
WORST = PROMPT + MAX_TOKENS


@dataclass
class Sent:
    """A request that the server got: when, from whom, and whether it was admitted."""

    at: float
    by: str
    charge: float
    admitted: bool


@dataclass
class Shared:
    """One key that some clients use through a gate, and others without one. Times are seconds."""

    tpm: float = 0.0
    rpm: float = 0.0
    burst_seconds: float = 60.0
    used: int | None = None  #: tokens of an answer that are charged; the worst case if None
    median: float = 1.0  #: of the latency
    clients: int = 8
    threads: int = 64
    said: dict[str, float] = field(default_factory=dict)  #: limits per minute that the users set
    state_limits: bool = True
    now: float = 0.0
    log: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = Gate()
        self.random = random.Random(1)
        self.server = RateLimits(self.rpm, self.tpm, self.burst_seconds, 0.0)
        self.holders: dict[str, LeaseHolder] = {}
        self._events: list[tuple[float, int, str, tuple[object, ...]]] = []
        self._order = itertools.count()
        for number in range(self.clients):
            self.join(f"c{number}", number * 0.0137)

    def join(self, name: str, at: float) -> None:
        self.holders[name] = LeaseHolder(name, "host model key", Terms(self.said))
        self._at(at, "ask", name)

    def foreign(self, tokens_per_second: float, at: float, until: float) -> None:
        """Another program takes so much, a request at a time, and does not come back to those that are refused."""
        while at < until:
            self._at(at, "foreign")
            at += WORST / tokens_per_second

    def kill(self, name: str) -> None:
        """A client is killed; its requests are in flight at the server."""
        del self.holders[name]

    def play(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, what, values = heapq.heappop(self._events)
            getattr(self, f"_{what}")(*values)
        self.now = until

    def taken(self, start: float, end: float, by: str = "c") -> float:
        """Charges that the server admitted in a time, of those whose names begin so."""
        return sum(
            each.charge for each in self.log if start <= each.at < end and each.admitted and each.by.startswith(by)
        )

    def refused(self, start: float = 0.0, end: float = 1e9, by: str = "c") -> float:
        """The share of requests that the server refused."""
        sent = [each for each in self.log if start <= each.at < end and each.by.startswith(by)]
        return sum(not each.admitted for each in sent) / max(1, len(sent))

    def most_in_a_minute(self) -> float:
        """The most charges that were admitted in any minute, by steps of a second."""
        seconds = [self.taken(second, second + 1) for second in range(int(self.now))]
        return max(sum(seconds[start : start + 60]) for start in range(max(1, len(seconds) - 59)))

    def _at(self, at: float, what: str, *values: object) -> None:
        heapq.heappush(self._events, (at, next(self._order), what, values))

    def _ask(self, name: str) -> None:
        holder = self.holders.get(name)
        if holder is None:
            return
        message = holder.message(self.now, self.threads, self.threads - holder.in_flight)
        self._at(self.now + 0.01, "asked", name, message)

    def _asked(self, name: str, message: object) -> None:
        holder = self.holders.get(name)
        lease = self.gate.exchange(message, self.now)  # type: ignore[arg-type]  # of this event
        if holder is None:
            return
        assert not lease.problem
        holder.accept(lease, self.now - 0.01)
        self._send(name)
        self._at(self.now + lease.ask_again, "ask", name)

    def _send(self, name: str) -> None:
        holder = self.holders[name]
        most = min(self.threads, holder.lease.slots if holder.lease.slots is not None else self.threads)
        while holder.in_flight < most and self.now >= holder.paused_until and not holder.wait(WORST, self.now):
            holder.take(WORST)
            admitted, headers = self._serve(name)
            seconds = self.random.lognormvariate(0, 0.3) * self.median if admitted else 0.02
            self._at(self.now + seconds, "end", name, self.now, admitted, headers)

    def _serve(self, name: str) -> tuple[bool, dict[str, str]]:
        charge = WORST if self.used is None else self.used
        admitted = self.server.admit(charge, self.now) is None
        self.log.append(Sent(self.now, name, charge if self.tpm else 1, admitted))
        return admitted, self.server.headers() if self.state_limits else {}

    def _end(self, name: str, sent_at: float, admitted: bool, headers: dict[str, str]) -> None:
        holder = self.holders.get(name)
        if holder is None:
            return
        holder.end(WORST, 150.0 + 200 if admitted else None, headers, sent_at)
        if not admitted:
            holder.refuse("tokens" if self.tpm else "requests", 1.0, sent_at, self.now)
        self._send(name)

    def _foreign(self) -> None:
        self._serve("foreign")
