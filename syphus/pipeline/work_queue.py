"""Where workers get their next row: rows whose wait is over first, then fresh ones, as the ledger yields them.

A row that has to be asked again goes back here, and its worker takes another: no worker and no connection sleeps.
Retries leave in the same stream as everything else, so that the limits hold for them too. At most `window` rows are
open at a time, whatever happens, which is what bounds memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from syphus.ledger.records import Row


@dataclass(slots=True)
class WorkItem:
    """A row on its way to an outcome. `attempts` count towards its limit, `requests` all that were made."""

    row: Row
    attempts: int = 0
    requests: int = 0
    token_renewed: bool = False


class WorkQueue:
    """Hands out jobs to workers until none is left, or until it is closed."""

    def __init__(self, fresh: Iterator[Row], window: int, clock: Callable[[], float]) -> None:
        self._fresh: Iterator[Row] | None = fresh
        self._window = window
        self._clock = clock
        self._later: list[tuple[float, int, WorkItem]] = []
        self._open = 0
        self._count = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self.closed = False

    async def get(self) -> WorkItem | None:
        """The next job, or None when there is no more to do."""
        async with self._turn:
            while not self.closed:
                self._changed.clear()
                job = self._due() or self._fresh_one()
                if job is not None:
                    return job
                if not self._open:
                    return None
                await self._wait()
        return None

    def put_back(self, job: WorkItem, due: float) -> None:
        """Brings a job back at `due`, or as soon after as there is a worker."""
        self._count += 1
        heapq.heappush(self._later, (due, self._count, job))
        self._changed.set()

    def task_done(self) -> None:
        """A job has its outcome, or is given up for this session."""
        self._open -= 1
        if not self._open or self._open == self._window - 1:
            self._changed.set()

    def close(self) -> None:
        """No more jobs: what is still open stays pending in the ledger."""
        self.closed = True
        self._changed.set()

    def _due(self) -> WorkItem | None:
        if self._later and self._later[0][0] <= self._clock():
            return heapq.heappop(self._later)[2]
        return None

    def _fresh_one(self) -> WorkItem | None:
        if self._fresh is None or self._open >= self._window:
            return None
        row = next(self._fresh, None)
        if row is None:
            self._fresh = None
            return None
        self._open += 1
        return WorkItem(row)

    async def _wait(self) -> None:
        seconds = max(0.0, self._later[0][0] - self._clock()) if self._later else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
