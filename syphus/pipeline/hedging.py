"""Sends a second request for the last rows of a run whose first takes long: the first answer wins.

A call that takes thirty times as long as the others delays nothing in the middle of a run, but at its end the whole run
waits for it. A second request costs a whole answer, also if it is cancelled, so it is sent only where it shortens the
run: no new rows are left, a place is free, limits and budget are ample, errors are few, and at most one percent of all
answers has been requested twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from syphus.pipeline.admission import AdmissionController, Permit
from syphus.pipeline.sender import Ask
from syphus.pipeline.session_context import SessionStats
from syphus.pipeline.work_queue import WorkQueue

MAX_SHARE = 0.01  #: hedges for each answer of the session
DELAY_FACTOR = 1.1  #: times the usual latency: how long a request must have taken
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

    def _hedge(self, asks: Iterable[Ask]) -> float:
        """Send what is due; return the seconds until it is worth looking again."""
        tick = LONGEST_TICK
        for ask in asks:
            if ask.is_decided or ask.is_hedged or not ask.attempts:
                continue
            wait = self._seconds_until_due(ask)
            if wait is None:
                continue
            if wait > 0:
                tick = min(tick, wait)
                continue
            permit = self._permit(ask)
            if permit is None:
                return SHORTEST_TICK if self._has_share else LONGEST_TICK
            ask.is_hedged = True
            ask.in_flight += 1
            self._stats.hedges += 1
            self._send(ask, permit)
        return max(SHORTEST_TICK, tick)

    def _seconds_until_due(self, ask: Ask) -> float | None:
        attempt = ask.attempts[0]
        usual = attempt.latencies.usual() if attempt.latencies is not None else None
        return None if usual is None else DELAY_FACTOR * usual - (self._clock() - attempt.sent_at)

    @property
    def _has_share(self) -> bool:
        return self._stats.hedges + 1 <= MAX_SHARE * self._stats.answers

    def _permit(self, ask: Ask) -> Permit | None:
        if not self._has_share or self._queue.has_due or self._queue.closed:
            return None
        return self._admission.admit_spare(ask.request, self._queue.open_rows)
