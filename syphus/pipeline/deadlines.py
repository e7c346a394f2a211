"""The timeout of a whole request, by a clock that does not count the time that the computer slept.

A timeout on each read is not enough: a server that sends a byte every ten seconds never exceeds it. One task looks
at the clock and ends what is overdue: a single timer for a thousand requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import TracebackType

MAX_TICK = 1.0  #: seconds between two looks at the clock
MAX_GAP = 4.0  #: seconds between two readings of the clock; a longer gap was sleep


class AwakeClock:
    """Called for the time: the seconds that this process was awake. `monotonic` is the underlying clock.

    A laptop sleeps, a process is stopped and continued, and the system's monotonic clock keeps running. On waking,
    every deadline would have passed, with the answers waiting in the sockets' buffers, and every outage would look
    hours long. This clock leaves such gaps out. It must be read every second or so, or idling would look like sleep;
    `Deadlines` does that.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._slept = 0.0

    def __call__(self) -> float:
        """Return the time in seconds, without the gaps."""
        now = self._monotonic()
        gap, self._last = now - self._last, now
        if gap > MAX_GAP:
            self._slept += gap - 1.0
        return now - self._slept


class Deadlines:
    """Ends requests that take longer than `seconds` by `clock`. Use it as an async context manager around a session."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends: dict[asyncio.Timeout, float] = {}
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Deadlines:
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watcher is not None
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    def limit(self) -> _Limit:
        """Return an async context manager that raises `TimeoutError` if its block takes too long."""
        return _Limit(self._ends, self._clock() + self.seconds)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(MAX_TICK, self.seconds / 4))
            now = self._clock()
            for timeout in [timeout for timeout, end in self._ends.items() if end <= now]:
                del self._ends[timeout]
                timeout.reschedule(asyncio.get_running_loop().time())


class _Limit:
    """asyncio's own timeout, which knows how to cancel and to undo that; only its end is managed here."""

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
