"""A deadline over a whole attempt.

A timeout on each read is not enough: a server that drips a byte every ten seconds never trips it. One task ticks and
ends what is overdue: a single timer for a thousand calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import TracebackType

MAX_TICK = 1.0  #: seconds


class Deadlines:
    """Ends attempts that take more than `seconds` by `clock`. Use it as an async context manager around the run."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends: dict[asyncio.Timeout, float] = {}
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Deadlines:
        self._ticker = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._ticker is not None
        self._ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticker

    def limit(self) -> _Limit:
        """An async context manager; raises `TimeoutError` where its block takes too long."""
        return _Limit(self._ends, self._clock() + self.seconds)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(MAX_TICK, self.seconds / 4))
            now = self._clock()
            for timeout in [timeout for timeout, end in self._ends.items() if end <= now]:
                del self._ends[timeout]
                timeout.reschedule(asyncio.get_running_loop().time())


class _Limit:
    """asyncio's own timeout, which knows how to cancel and to undo it, with its end kept by us."""

    def __init__(self, ends: dict[asyncio.Timeout, float], end: float) -> None:
        self._ends = ends
        self._end = end
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._ends[self._timeout] = self._end

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.pop(self._timeout, None)
        await self._timeout.__aexit__(kind, error, trace)  # turns its own cancellation into a TimeoutError


# FOLDED from clock.py:
# Seconds that this process was awake.
#
# A laptop sleeps, a job is stopped and continued; the system's monotonic clock runs on. Every deadline would
# then pass at
# once on waking, with the answers waiting in the sockets' buffers, and every outage would look hours long. This clock
# leaves out such gaps. Somebody must look at it every second or so, or idling would look like sleeping:
# `Deadlines` does.

MAX_GAP = 4.0  #: seconds between two looks; more was sleep


class AwakeClock:
    """Called for the time in seconds, from any start. `monotonic` is the clock underneath."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._slept = 0.0

    def __call__(self) -> float:
        """The time now, without the gaps."""
        now = self._monotonic()
        gap, self._last = now - self._last, now
        if gap > MAX_GAP:
            self._slept += gap - 1.0
        return now - self._slept
