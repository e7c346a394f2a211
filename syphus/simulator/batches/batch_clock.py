"""The clock of files and batches: it can run faster than time does, and be moved."""

from __future__ import annotations

import time
from collections.abc import Callable


class BatchClock:
    """Tells the simulated time, in seconds since the epoch. It starts at the time of the day, or later at `start`.

    `ticks` returns seconds of a clock that does not go back; `speed` is how many simulated seconds pass in one of them.
    """

    def __init__(self, ticks: Callable[[], float], speed: float, start: float = 0.0) -> None:
        self._ticks = ticks
        self._speed = speed
        self._since = ticks()
        self._reached = max(time.time(), start)

    def now(self) -> float:
        """Return the simulated time."""
        return self._reached + (self._ticks() - self._since) * self._speed

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._reached += seconds

    def run_at(self, speed: float) -> None:
        """Go on at another speed."""
        self._reached, self._since = self.now(), self._ticks()
        self._speed = speed
