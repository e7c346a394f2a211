"""Sends a second request for the last rows of a run whose first takes long: the first answer wins.

A call that takes thirty times as long as the others delays nothing in the middle of a run, but at its end the whole run
waits for it. A second request costs a whole answer, also if it is cancelled, so it is sent only where it shortens the
run: no new rows are left, a place is free, limits and budget are ample, errors are few, and at most one percent of all
answers has been requested twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from syphus.endpoints.classify import MAX_REFUSALS, Action
from syphus.errors import BudgetError, ImageError
from syphus.pipeline.admission import AdmissionClosedError, AdmissionController, Permit
from syphus.pipeline.sender import Ask, RequestSender, SendResult
from syphus.pipeline.session_context import SessionStats
from syphus.pipeline.work_queue import WorkItem, WorkQueue
from syphus.types import Request

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


class Canary:
    """Asks once more what was answered before, to tell an endpoint that is down from rows that it always refuses.

    `keep` stores the answer, which is paid for, as a further one to that row. Without it nobody could tell once only
    such rows are left. While other rows are answered, their answers say the same for nothing.
    """

    def __init__(self, sender: RequestSender, keep: Callable[[Ask, SendResult], Awaitable[None]]) -> None:
        self._sender = sender
        self._keep = keep
        self._one_at_a_time = asyncio.Lock()
        self._answered: Ask | None = None

    def note_answer(self, item: WorkItem, request: Request) -> None:
        """Remember a request that was answered in this session."""
        self._answered = Ask(item, request)

    async def blames_row(self, item: WorkItem, result: SendResult, *, only_failing_left: bool) -> bool:
        """Return whether a failure is that of the row. If the endpoint seems to be down, it is not.

        If only rows that have failed are left, they are all that can tell whether it is down, so it is asked.
        """
        health = result.endpoint_state.health
        if result.verdict.caused_by_row or health.down_since is None or item.row.n in health.blamed:
            return True
        return only_failing_left and item.requests > 1 and await self.endpoint_works(item, result)

    async def counts(self, item: WorkItem, result: SendResult) -> bool:
        """Return whether the failure of a request counts as an attempt of its row.

        A pause does if the row has made the endpoint ask for several of them, and it answers other rows.
        """
        verdict = result.verdict
        if verdict.action is not Action.PAUSE:
            return True
        if not verdict.maybe_caused_by_row or item.requests < MAX_REFUSALS:
            return False
        return result.endpoint_state.health.has_answered and await self.endpoint_works(item, result)

    async def endpoint_works(self, item: WorkItem, result: SendResult) -> bool:
        """Return whether the endpoint that gave a row no answer still answers others; if so, blame the row."""
        if item.row.n in result.endpoint_state.health.blamed:
            return True
        async with self._one_at_a_time:
            works = await self._answers_others(result)
        if works:
            result.endpoint_state.health.blamed.add(item.row.n)
        return works

    async def _answers_others(self, result: SendResult) -> bool:
        state, health = result.endpoint_state, result.endpoint_state.health
        if health.has_answered and health.last_answer_at > result.sent_at:
            return True
        if self._answered is None or not health.has_answered or state.disabled_by is not None:
            return False
        ask = Ask(self._answered.item, self._answered.request)
        try:
            answer = await self._sender.send(ask)
        except (AdmissionClosedError, BudgetError, ImageError):
            return False
        await self._keep(ask, answer)
        return answer.endpoint_state is state and answer.verdict.action is Action.ANSWER
