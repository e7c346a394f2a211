"""Model servers in simulated time, to try limits and concurrency on.

Everything is drawn from a seed and no clock is read, so every run gives the same figures.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from syphus.pipeline.rate_limits import Reservation, TokenBucket


@dataclass
class LimitedServer:
    """A server with a token bucket, lognormal latency, and one of four ways of charging and reporting."""

    per_minute: float
    burst_seconds: float
    charge: float
    reports_at_admission: bool
    median: float = 1.0
    sigma: float = 0.5
    wire: float = 0.002
    jitter: float = 0.003
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self.rate = self.per_minute / 60
        self.capacity = self.rate * self.burst_seconds
        self.level = self.capacity
        self.at = 0.0

    def fill(self, now: float) -> float:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        return self.level

    def latency(self) -> float:
        return self.rng.lognormvariate(math.log(self.median), self.sigma)


@dataclass(frozen=True)
class Played:
    """The result: seconds, refusals, requests sent, and the share of the limit that was used in the middle half."""

    seconds: float
    refused: int
    sent: int
    steady: float


def play_limits(server: LimitedServer, worst: float, rows: int, threads: int = 256) -> Played:
    """Send `rows` requests through a `TokenBucket`, as the loop does, and again if they are refused."""
    events: list[tuple[float, int, str, tuple[Reservation | None, float]]] = []
    count, in_flight, pending, sent, refused = 0, 0, rows, 0, 0
    bucket: TokenBucket | None = None
    answers: list[float] = []
    paused, wake = 0.0, -1.0

    def push(when: float, kind: str, ticket: Reservation | None = None, value: float = 0.0) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (when, count, kind, (ticket, value)))

    def send(now: float) -> None:
        nonlocal in_flight, pending, sent, wake
        while pending and in_flight < (1 if bucket is None else threads):
            wait = max(paused - now, bucket.wait(worst, now) if bucket else 0.0)
            if wait > 0:
                if wake <= now:
                    wake = now + max(wait, 0.001)
                    push(wake, "wake")
                return
            in_flight, pending, sent = in_flight + 1, pending - 1, sent + 1
            ticket = bucket.reserve(worst) if bucket else None
            push(now + server.wire + server.rng.random() * server.jitter, "arrive", ticket)

    send(0.0)
    while events:
        now, _, kind, (ticket, value) = heapq.heappop(events)
        if kind == "arrive":
            if server.fill(now) >= server.charge:
                server.level -= server.charge
                push(now + server.latency(), "reply", ticket, server.level)
            else:
                refused += 1
                push(now + server.wire, "refuse", ticket, (server.charge - server.level) / server.rate)
        elif kind == "reply":
            remaining = float(int(max(0.0, value if server.reports_at_admission else server.fill(now))))
            in_flight -= 1
            answers.append(now)
            if bucket is None:
                bucket = TokenBucket(server.per_minute, now, remaining, worst)
            elif ticket is not None:
                bucket.observe(server.per_minute, remaining, ticket, in_flight, now)
        elif kind == "refuse":
            in_flight, pending = in_flight - 1, pending + 1
            assert bucket is not None
            bucket.record_refusal(now)
            paused = now + value * (1 + 0.25 * server.rng.random())
        send(now)
    end = answers[-1]
    middle = [when for when in answers if 0.3 * end < when < 0.8 * end]
    return Played(end, refused, sent, len(middle) * server.charge / server.rate / (0.5 * end))


def play_concurrency(
    limit: Callable[[], int],
    answered: Callable[[int, float], None],
    refused: Callable[[float, float], None],
    capacity: Callable[[float], int],
    seconds: float,
    refuse_above: int = 10**9,
    service: float = 2.0,
) -> tuple[float, int, int]:
    """A server that works on `capacity(now)` calls at once and queues the rest, or refuses above a number of calls.

    Returns answers a second, refusals, and the last limit.
    """
    rng = random.Random(0)
    events: list[tuple[float, int, bool, float]] = []
    queue: list[float] = []
    count = in_flight = busy = done = refusals = 0
    now = 0.0

    def push(when: float, fine: bool, sent: float) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (when, count, fine, sent))

    while now < seconds:
        while in_flight < limit():
            in_flight += 1
            if busy + len(queue) >= refuse_above:
                push(now + 0.05, False, now)
            else:
                queue.append(now)
        while queue and busy < capacity(now):
            busy += 1
            push(now + rng.lognormvariate(0, 0.4) * service, True, queue.pop(0))
        now, _, fine, sent = heapq.heappop(events)
        if fine:
            busy, done = busy - 1, done + 1
            answered(in_flight, now)
        else:
            refusals += 1
            refused(sent, now)
        in_flight -= 1
    return done / now, refusals, limit()
