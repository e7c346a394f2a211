"""The queue that the workers take rows from: first rows whose retry is due, then new ones as the ledger yields them.

A row that has to be retried goes back to the queue, and its worker takes another: no worker and no connection sleeps.
Retries go through the same queue as everything else, so the limits hold for them too. At most `window` rows are open at
a time; that bounds the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from syphus.errors import SyphusError
from syphus.ledger.records import Row
from syphus.pipeline.parameters import RowChanges
from syphus.types import Outcome

FIRST_JUMP, LAST_JUMP = 30, 300  #: rows; how far further on the next one is taken after failures at the start


@dataclass(slots=True)
class WorkItem:
    """A row on its way to an outcome."""

    row: Row
    attempts: int = 0  #: failed requests that count towards the limit of attempts
    requests: int = 0  #: all requests that were sent
    token_renewed: bool = False
    times_given_up: int = 0  #: requests that were given up because they took much longer than others
    changes: RowChanges | None = None  #: that were tried because the request was refused
    asked_after_doubt: bool = False  #: again, since others had failed alike at the same time

    def next_round(self, answer: int | None, reason: str, *, counts: bool) -> WorkItem:
        """Return the row on its way to one more answer; see `Row.next_round`."""
        row = self.row.next_round(answer, reason, counts=counts)
        return WorkItem(row, asked_after_doubt=self.asked_after_doubt)


class EarlyFailure(NamedTuple):
    """A row that failed before any had succeeded: its outcome if the row is at fault, the error if all rows fail."""

    item: WorkItem
    outcome: Outcome
    error: SyphusError


class WorkQueue:
    """Hands out items to workers until none is left, or until it is closed. Times are seconds of `clock`.

    `shares` says whether another row makes the request of a new one, so that its answer may be paid already.
    """

    def __init__(
        self,
        new_rows: Iterator[Row],
        window: int,
        clock: Callable[[], float],
        shares: Callable[[Row], bool] = lambda _: False,
    ) -> None:
        self._new_rows: Iterator[Row] | None = new_rows
        self._window = window
        self._clock = clock
        self._shares = shares
        self._waiting: list[tuple[float, int, WorkItem]] = []  # a heap: when it is due, in which order it came
        self._answered = deque[WorkItem]()
        self._open = 0
        self._count = 0
        self._first_in_line = asyncio.Lock()
        self._changed = asyncio.Event()
        self._jump = FIRST_JUMP
        self._jumps = False
        self.prefers_new: Callable[[], bool] = lambda: False  #: whether new rows come before those that have failed
        self.exhausted = asyncio.Event()  #: set when no new rows are left
        self.closed = False

    def widen(self, window: int) -> None:
        """Let up to `window` rows be handed out at once."""
        self._window = window
        self._changed.set()

    @property
    def open_rows(self) -> int:
        """Rows that have no outcome yet and were handed out before."""
        return self._open

    @property
    def has_due(self) -> bool:
        """Whether a row waits for a worker."""
        return bool(self._answered or (self._waiting and self._waiting[0][0] <= self._clock()))

    @property
    def has_new_rows(self) -> bool:
        """Whether there may be rows that were never handed out."""
        return self._new_rows is not None

    async def get(self) -> WorkItem | None:
        """Wait for the next item and return it, or None if no more will come."""
        async with self._first_in_line:
            while not self.closed:
                self._changed.clear()
                if (self._answered or self._waiting) and not self.prefers_new():
                    item = self._next_due() or self._next_new()
                else:
                    item = self._next_new() or self._next_due()
                if item is not None:
                    return item
                if not self._open:
                    return None
                await self._wait_for_change()
        return self._next_shared()

    def put_back(self, item: WorkItem, due: float) -> None:
        """Hand out an item again at `due`, or as soon after as a worker is free."""
        self._count += 1
        heapq.heappush(self._waiting, (due, self._count, item))
        self._changed.set()

    def put_answered(self, item: WorkItem) -> None:
        """Hand out an item next whose request another row has made, even if closed: its answer may be there."""
        self._answered.append(item)
        self._changed.set()

    def task_done(self) -> None:
        """Record that an item has its outcome, or is left pending for this session."""
        self._open -= 1
        if not self._open or self._open == self._window - 1:
            self._changed.set()

    def take_back(self) -> None:
        """Count an item as open again after `task_done`."""
        self._open += 1

    def look_elsewhere(self) -> None:
        """Hand out next a new row from further on: if a row fails, so may its neighbours."""
        self._jumps = self._jump <= LAST_JUMP

    def close(self) -> None:
        """Hand out only rows whose request another row has made; all others stay pending in the ledger."""
        self.closed = True
        self._changed.set()

    def _next_due(self) -> WorkItem | None:
        if self._answered:
            return self._answered.popleft()
        if self._waiting and self._waiting[0][0] <= self._clock():
            return heapq.heappop(self._waiting)[2]
        return None

    def _next_shared(self) -> WorkItem | None:
        if self._answered:
            return self._answered.popleft()
        while (item := self._next_new()) is not None:
            if self._shares(item.row):
                return item
        return None

    def _next_new(self) -> WorkItem | None:
        if self._new_rows is None or self._open >= self._window:
            return None
        row = self._jump_ahead(self._new_rows) if self._jumps else next(self._new_rows, None)
        if row is None:
            self._new_rows = None
            self.exhausted.set()
            return None
        self._open += 1
        return WorkItem(row)

    def _jump_ahead(self, rows: Iterator[Row]) -> Row | None:
        """Return a row from further on; those before it come next."""
        passed = list(islice(rows, self._jump))
        row = passed.pop() if passed else None
        self._new_rows = chain(passed, rows)
        self._jumps, self._jump = False, 10 * self._jump
        return row

    async def _wait_for_change(self) -> None:
        seconds = max(0.0, self._waiting[0][0] - self._clock()) if self._waiting else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
