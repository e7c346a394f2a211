"""Seconds that this process was awake.

A laptop sleeps, a job is stopped and continued; the system's monotonic clock runs on. Every deadline would then pass at
once on waking, with the answers waiting in the sockets' buffers, and every outage would look hours long. This clock
leaves out such gaps. Somebody must look at it every second or so, or idling would look like sleeping: `Deadlines` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_GAP = 4.0  #: seconds between two looks; more was sleep


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
        if gap > LONGEST_GAP:
            self._slept += gap - 1.0
        return now - self._slept
