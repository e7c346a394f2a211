"""Sends a second request for the last rows of a run whose first takes long: the first answer wins.

A call that takes thirty times as long as the others delays nothing in the middle of a run, but at its end the whole run
waits for it. A second request costs a whole answer, also if it is cancelled, so it is sent only where it shortens the
run: no new rows are left, a place is free, limits and budget are ample, errors are few, and at most one percent of all
answers has been requested twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from syphus.pipeline.admission import AdmissionController, Permit
from syphus.pipeline.sender import Ask
from syphus.pipeline.session_context import SessionStats
from syphus.pipeline.work_queue import WorkQueue

MAX_SHARE = 0.01  #: hedges for each answer of the session
MAX_REQUESTS = 4  #: for one row at the same time: the second may be slow as well
DELAY_FACTOR = 1.05  #: times the usual latency: how long a request must have taken
EARLY_FACTOR = 0.45  #: the same for the time since the last row was sent, once what is left may all be sent again
LONGEST_TICK, SHORTEST_TICK = 0.25, 0.01  #: seconds between two looks
LATE = 0.5  #: seconds; if the process was held up longer than this, answers may wait in the sockets


class Hedger:
    """Looks for stragglers once the queue has no new rows, and calls `send` for each that is worth a second request."""

    def __init__(
        self,
        queue: WorkQueue,
        admission: AdmissionController,
        stats: SessionStats,
        clock: Callable[[], float],
        send: Callable[[Ask, Permit], None],
    ) -> None:
        self._queue = queue
        self._admission = admission
        self._stats = stats
        self._clock = clock
        self._send = send

    async def run(self, in_flight: Callable[[], Iterable[Ask]]) -> None:
        """Watch the requests in flight until cancelled."""
        await self._queue.exhausted.wait()
        while True:
            tick = self._hedge(list(in_flight()))
            due = self._clock() + tick
            await asyncio.sleep(tick)
            if self._clock() - due > LATE:
                await asyncio.sleep(LATE)  # let the answers in that came while the process did not run

    def _hedge(self, asks: Sequence[Ask]) -> float:
        """Send what is due; return the seconds until it is worth looking again."""
        tick = LONGEST_TICK
        early, early_at = self._early(asks)
        for ask in asks:
            if ask.is_decided or not ask.attempts or ask.in_flight >= MAX_REQUESTS:
                continue
            wait = self._seconds_until_due(ask)
            if wait is None:
                continue
            if ask.in_flight <= early and ask.attempts[-1].sent_at < early_at:
                wait = min(wait, early_at - self._clock())
            if wait > 0:
                tick = min(tick, wait)
                continue
            permit = self._permit(ask)
            if permit is None:
                return SHORTEST_TICK if self._has_share else LONGEST_TICK
            ask.in_flight += 1
            self._stats.hedges += 1
            self._send(ask, permit)
        return max(SHORTEST_TICK, tick)

    def _early(self, asks: Sequence[Ask]) -> tuple[int, float]:
        """Return up to how many requests a row may have so that it is sent again early, and when that is.

        The last row to be sent may be a slow one, which nobody knows yet. Where so few rows are left that all of them
        may be sent again, they are: whichever is slow, the run ends with the other answer.
        """
        open_asks = [ask for ask in asks if not ask.is_decided]
        if not all(ask.attempts for ask in open_asks):
            return 0, 0.0
        left = int(MAX_SHARE * self._stats.answers) - self._stats.hedges
        level = 0
        while level < MAX_REQUESTS and sum(ask.in_flight <= level + 1 for ask in open_asks) <= left:
            level += 1
        last = max((ask.attempts[0].sent_at for ask in open_asks), default=0.0)
        usual = max((state.latencies.usual() or 0.0 for state in self._admission.endpoint_states), default=0.0)
        return min(level, 2), last + EARLY_FACTOR * usual

    def _seconds_until_due(self, ask: Ask) -> float | None:
        attempt = ask.attempts[-1]  # the newest
        usual = attempt.latencies.usual() if attempt.latencies is not None else None
        return None if usual is None else DELAY_FACTOR * usual - (self._clock() - attempt.sent_at)

    @property
    def _has_share(self) -> bool:
        return self._stats.hedges + 1 <= MAX_SHARE * self._stats.answers

    def _permit(self, ask: Ask) -> Permit | None:
        if not self._has_share or self._queue.has_due or self._queue.closed:
            return None
        return self._admission.admit_spare(ask.request, ask.item.changes, self._queue.open_rows)
