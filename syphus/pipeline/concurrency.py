"""Adapts the number of concurrent requests to a server that states no rate limits.

A server without rate-limit headers shows in one of two ways that it has enough: it refuses (429, 503), or it queues and
gets slower without saying so, as vLLM and llama.cpp do. So the limit grows only as long as that pays. It starts low and
is doubled while more concurrency brings more answers per second; it steps back once it does not, and tries again after
a while, since servers recover. A refusal cuts it, but only once per episode: all requests that were sent before the cut
tell the same story. The limit never falls below a minimum, and grows only while it is really used.

A server with one slot and a long queue refuses nothing: requests time out in its queue. The answers that came while one
waited show how many it can take.

The ideas are TCP's (slow start, multiplicative decrease) and the hill climbing of adaptive thread pools.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from syphus.exchange import Request

INITIAL_LIMIT = 16
MIN_LIMIT = 2
CUT_FACTOR = 0.7  #: share of the limit that is left after a refusal
ALONE_SECONDS = 3.0  #: that the first request of an endpoint is waited for alone; as long for each further doubling
FAST_GROWTH, SLOW_GROWTH = 2.0, 1.5  #: growth factor before and after the first setback
MIN_GAIN = 0.1  #: share of the largest possible gain that a higher limit must bring, or it is taken back
QUEUE_SHARE = 0.5  #: share of the time limit that a request may wait and take, after one has timed out in the queue
SATURATED = 0.8  #: share of the limit that must be in flight for it to count as used
ROUNDS_UNTIL_GROWTH = 20  #: rounds of answers at one limit before a higher one is tried again


def unproven_limit(seconds: float) -> int:
    """Return how many requests may be in flight at an endpoint that has not answered `seconds` after the first.

    A long answer must not hold all others back for minutes: 1 at first, 2 after three seconds, then 4, 8, 16.
    """
    return 1 << min(10, int(seconds / ALONE_SECONDS))


class SlowStart:
    """Lets the workers of a run start: the first alone, all others once the endpoint works.

    If the first answer takes long, a few more start, one after the other. Set `endpoint_works` as soon as it is known.
    """

    def __init__(self) -> None:
        self.endpoint_works = asyncio.Event()
        self._starts: dict[int, asyncio.Event] = {}  # of workers that may start before the endpoint has answered

    async def wait(self, number: int) -> None:
        """Wait until the worker with this number, counted from 0, may start."""
        if 0 < number < INITIAL_LIMIT:
            await self._starts.setdefault(number, asyncio.Event()).wait()
        elif number:
            await self.endpoint_works.wait()

    async def run(self, workers: int, has_no_trouble: Callable[[], bool]) -> None:
        """Return when all `workers` may start. While there is trouble, none may."""
        waited = 0.0
        starts = [self._starts.setdefault(number, asyncio.Event()) for number in range(1, min(workers, INITIAL_LIMIT))]
        while not self.endpoint_works.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALONE_SECONDS):
                    await self.endpoint_works.wait()
            waited += ALONE_SECONDS
            if has_no_trouble():
                for start in starts[: unproven_limit(waited) - 1]:
                    start.set()
        for start in starts:
            start.set()


class Stoppable(Protocol):
    """What works through a stage, and can be stopped: by the first and the second Ctrl-C, or by a fault."""

    stopped_by: Exception | None

    def stop(self, reason: Exception) -> None:
        """Send nothing more, but wait for what is in flight."""
        ...

    def abandon(self) -> None:
        """Wait no longer."""
        ...


async def guard(run: Stoppable, work: Coroutine[Any, Any, None]) -> None:
    """Do some work beside a run, and stop the run if the work fails."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it is, the run must not continue as if nothing had happened
        fail(run, error)


def fail(run: Stoppable, error: Exception) -> None:
    """Stop a run at once, because something beside it has failed."""
    run.stop(error)
    run.abandon()


@contextlib.asynccontextmanager
async def beside(run: Stoppable, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do some work while the block runs, and stop the run if the work fails."""
    task = asyncio.create_task(guard(run, work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class WorkerPool:
    """The tasks of the workers of a run. More can be added while they work.

    `work` is what the worker with a number does, and `guard` stops everything if one that was added fails.
    """

    def __init__(
        self,
        work: Callable[[int], Coroutine[Any, Any, None]],
        guard: Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]],
    ) -> None:
        self._work, self._guard = work, guard
        self._size = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Return when all workers have ended. What one of them raises is raised."""
        self.tasks = [asyncio.create_task(self._work(number)) for number in range(self._size)]
        ended, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_EXCEPTION)
        for worker in ended:  # one that raised leaves its row open, and the others would wait for it forever
            worker.result()
        while not all(worker.done() for worker in self.tasks):
            await asyncio.wait(self.tasks)

    def grow(self, size: int) -> None:
        """Let there be at least `size` workers; there are never fewer than before, since idle ones cost nothing."""
        for _ in range(self._size, size if self.tasks else 0):
            self.tasks.append(asyncio.create_task(self._guard(self._work(INITIAL_LIMIT))))
        self._size = max(self._size, size)

    def cancel(self) -> None:
        """Cancel all of them."""
        for task in self.tasks:
            task.cancel()


class FormTrial:
    """Holds requests back while it is found out whether a server keeps to the form that they ask for.

    If answers take long, a few more are let through, one after the other. `clock` is in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_flight: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._changed_at = clock()

    async def enter(self, request: Request) -> bool:
        """Return whether a request may be sent. If not, wait for news; then another form may have to be asked for."""
        if request.form_room is None:
            return True
        room = request.form_room()
        patience = unproven_limit(self._clock() - self._changed_at) if self._in_flight[request.form] else 1
        if room and self._in_flight[request.form] < room + patience - 1:
            self._in_flight[request.form] += 1
            return True
        if room:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALONE_SECONDS):
                    await self._changed.wait()
        return False

    def leave(self, request: Request) -> None:
        """Record that a request has ended which `enter` has let through."""
        if request.form_room is not None:
            self._in_flight[request.form] -= 1
            self._changed_at = self._clock()
            self._changed.set()  # all that wait look again
            self._changed = asyncio.Event()


class AdaptiveConcurrency:
    """A limit on concurrent requests, at most `ceiling`. With `adaptive=False` it is always the ceiling."""

    def __init__(self, ceiling: int, adaptive: bool = True) -> None:
        self.ceiling = ceiling
        self.adaptive = adaptive
        self._limit = float(min(INITIAL_LIMIT, ceiling))
        self._growth = FAST_GROWTH
        self._grown_from: tuple[float, float] | None = None  # limit and answers per second before, until evaluated
        self._rounds = ROUNDS_UNTIL_GROWTH  # since the last change; the first growth need not wait
        self._answers = 0
        self._round_began = 0.0
        self._cut_at = float("-inf")

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return int(self._limit) if self.adaptive else self.ceiling

    def change_ceiling(self, ceiling: int) -> None:
        """Replace the ceiling. A higher one is tried soon, as far as that pays."""
        self.ceiling = ceiling
        self._limit = min(self._limit, float(ceiling))
        self.begin_round(grows_soon=True)

    def begin_round(self, grows_soon: bool = False) -> None:
        """Measure from now on: what came before says nothing about the next answers."""
        self._grown_from, self._answers = None, 0
        self._rounds = ROUNDS_UNTIL_GROWTH if grows_soon else 0

    def record_answer(self, in_flight: int, now: float) -> None:
        """Record that a request was answered while `in_flight` requests, itself included, were in flight.

        The first answers after a change belong to requests from before it, so only those after them are measured.
        """
        if not self.adaptive:
            return
        self._answers += 1
        if self._answers == self.limit:
            self._round_began = now
        elif self._answers >= 3 * self.limit:
            rate = (self._answers - self.limit) / max(now - self._round_began, 1e-9)
            self._answers = 0
            if in_flight >= SATURATED * self._limit:
                self._evaluate(rate)

    def record_refusal(self, sent_at: float, now: float) -> None:
        """Record that the server refused a request sent at `sent_at`: cut the limit, once for all of that time."""
        if self.adaptive and sent_at >= self._cut_at:
            self._cut_at = now
            self._step_back(max(float(MIN_LIMIT), self._limit * CUT_FACTOR))

    def record_timeout(self, sent_at: float, answers: int, now: float) -> None:
        """Record that a request sent at `sent_at` has timed out, and that `answers` to earlier ones came meanwhile.

        So many requests the server can take in that time; with half of them in flight, none waits too long.
        """
        if self.adaptive and sent_at >= self._cut_at:
            self._cut_at = now
            self._step_back(max(1.0, min(self._limit * CUT_FACTOR, answers * QUEUE_SHARE)))

    def _evaluate(self, rate: float) -> None:
        """Decide what to do after a round at this limit, which brought `rate` answers per second."""
        self._rounds += 1
        if self._grown_from is not None:
            limit_before, rate_before = self._grown_from
            if rate < rate_before * (1 + MIN_GAIN * (self._limit / limit_before - 1)):
                self._step_back(limit_before)
                return
        if self._grown_from is not None or self._rounds >= ROUNDS_UNTIL_GROWTH:
            self._grow(rate)

    def _grow(self, rate: float) -> None:
        target = min(float(self.ceiling), max(self._limit * self._growth, self._limit + 1))
        self._grown_from = (self._limit, rate) if target > self._limit else None
        self._limit, self._rounds, self._answers = target, 0, 0

    def _step_back(self, limit: float) -> None:
        self._limit, self._growth = limit, SLOW_GROWTH
        self._grown_from, self._rounds, self._answers = None, 0, 0
