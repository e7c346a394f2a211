"""Sends a second request for the last rows of a run whose first takes long: the first answer wins.

A call that takes thirty times as long as the others delays nothing in the middle of a run, but at its end the whole run
waits for it. A second request costs a whole answer, also if it is cancelled, so it is sent only where it shortens the
run: no new rows are left, a place is free, limits and budget are ample, errors are few, and at most one percent of all
answers has been requested twice. If there are more stragglers than that, the oldest are left, since they have come the
furthest; and one second request is kept for a row that may still turn out to be slow.

A request that is overdue is sent again whatever that percentage says: it would be given up, and its row asked again, if
there were answers to others that show that the server works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from syphus.pipeline.admission import AdmissionController, Permit
from syphus.pipeline.deadlines import Latencies
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
        sent = [ask for ask in asks if ask.attempts and not ask.is_decided]
        spare = self._left - any((self._seconds_until_due(ask) or 0.0) > 0 for ask in sent)
        for ask in sorted(sent, key=lambda ask: -ask.attempts[0].sent_at):
            if ask.in_flight >= MAX_REQUESTS:
                continue
            wait = self._seconds_until_due(ask)
            if wait is None:
                continue
            if ask.in_flight <= early and ask.attempts[-1].sent_at < early_at:
                wait = min(wait, early_at - self._clock())
            if wait > 0:
                tick = min(tick, wait)
                continue
            overdue = self._overdue(ask)
            if spare <= 0 and overdue is None:
                continue
            permit = self._permit(ask)
            if permit is None:
                return SHORTEST_TICK
            if overdue is not None:
                overdue.record_give_up()
            spare -= 1
            ask.in_flight += 1
            self._stats.hedges += 1
            self._send(ask, permit)
        return max(SHORTEST_TICK, tick)

    def _early(self, asks: Sequence[Ask]) -> tuple[int, float]:
        """Return the most requests that a row may have to be sent again early, and when that is.

        The last row to be sent may be a slow one, which nobody knows yet. Where so few rows are left that all of them
        may be sent again, they are: whichever is slow, the run ends with the other answer.
        """
        open_asks = [ask for ask in asks if not ask.is_decided]
        if not all(ask.attempts for ask in open_asks):
            return 0, 0.0
        level = 0
        while level < MAX_REQUESTS and sum(ask.in_flight <= level + 1 for ask in open_asks) <= self._left:
            level += 1
        last = max((ask.attempts[0].sent_at for ask in open_asks), default=0.0)
        usual = max((state.latencies.usual() or 0.0 for state in self._admission.endpoint_states), default=0.0)
        return min(level, 2), last + EARLY_FACTOR * usual

    def _seconds_until_due(self, ask: Ask) -> float | None:
        attempt = ask.attempts[-1]  # the newest
        usual = attempt.latencies.usual() if attempt.latencies is not None else None
        return None if usual is None else DELAY_FACTOR * usual - (self._clock() - attempt.sent_at)

    def _overdue(self, ask: Ask) -> Latencies | None:
        """Return the latencies by which the newest request for a row is overdue, or None if it isn't."""
        attempt = ask.attempts[-1]
        latencies = attempt.latencies
        deadline = latencies.deadline() if latencies is not None else None
        if latencies is None or deadline is None or not latencies.may_give_up:
            return None
        return latencies if self._clock() - attempt.heard_at >= deadline else None

    @property
    def _left(self) -> int:
        """How many more second requests the share of all answers allows."""
        return int(MAX_SHARE * (self._stats.answers + self._queue.open_rows)) - self._stats.hedges

    def _permit(self, ask: Ask) -> Permit | None:
        if self._queue.has_due or self._queue.closed:
            return None
        return self._admission.admit_spare(ask.request, ask.item.changes, self._queue.open_rows)
