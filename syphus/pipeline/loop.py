"""The one loop: rows in, a request each, a completion, an outcome in the ledger. Every stage runs on it.

    Feed -> Stage.request -> in the ledger already? -> Caller (gate, endpoint, verdict) -> Stage.judge -> Writer

A worker carries one row at a time, and only while something is done with it: a row that must wait goes back to the
feed, a call that must wait stands in line at the gate, and a place in flight is held by calls in flight alone. Every
answer is committed before its worker goes on, so a crash can lose at most as many paid answers as there are workers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from syphus.endpoints.classify import Action, ReplyVerdict
from syphus.errors import BudgetError, ImageError, PluginError, ProviderError, SyphusError
from syphus.ledger.records import Entry, NewAnswer, Records
from syphus.pipeline.admission import AdmissionClosedError, AdmissionController
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.sender import RequestSender, SendResult
from syphus.pipeline.session_stats import SessionStats
from syphus.pipeline.stage import Judgement, PluginFaultError, Stage, image_failure
from syphus.pipeline.work_queue import WorkItem, WorkQueue
from syphus.pipeline.writer import Writer
from syphus.types import Completion, Outcome, Request, State

REQUEST_LOG = logging.getLogger("syphus.requests")  #: gets each request and outcome as a debug message
SAME_FATE = 5  #: rows that all fail before any succeeds: then it is not the rows


class Loop:
    """Carries every row of `feed` to its outcome, or until `stop`.

    `trusted` settings have brought answers before: a row that is rejected is at fault itself, if it is the first, too.
    """

    def __init__(
        self,
        stage: Stage,
        queue: WorkQueue,
        gate: AdmissionController,
        caller: RequestSender,
        records: Records,
        writer: Writer,
        retry: RetryPolicy,
        stats: SessionStats,
        clock: Callable[[], float],
        max_rounds: int,
        trusted: bool,
    ) -> None:
        self._stage = stage
        self._queue = queue
        self._gate = gate
        self._caller = caller
        self._records = records
        self._writer = writer
        self._retry = retry
        self._stats = stats
        self._clock = clock
        self._max_rounds = max_rounds
        self._trusted = trusted
        self._asking: dict[tuple[bytes, int], asyncio.Event] = {}
        self._suspects: list[tuple[WorkItem, Outcome, SyphusError]] = []
        self._succeeded = False
        self._plugin_faults = 0
        self._opened = asyncio.Event()
        self.stopped_by: SyphusError | None = None
        self._workers: list[asyncio.Task[None]] = []

    async def run(self, workers: int) -> None:
        """Returns when every row has an outcome, or, after a stop, when no call is in flight any more."""
        self._workers = [asyncio.create_task(self._work(alone=not number)) for number in range(workers)]
        try:
            ended, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in ended:  # one that broke leaves its row open, and the others would wait for it for ever
                worker.result()
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
        finally:
            self.abandon()
            await asyncio.gather(*self._workers, return_exceptions=True)
        if self._suspects and self.stopped_by is None:
            if self._stats.states_before[State.OK]:  # an earlier session has shown that rows do get through
                await self._save_suspects()
            else:
                self.stop(self._suspects[0][2])

    def stop(self, error: SyphusError) -> None:
        """Sends nothing more; calls in flight are still waited for. The first reason counts."""
        if self.stopped_by is None:
            self.stopped_by = error
        self._queue.close()
        self._gate.close()
        self._opened.set()

    def abandon(self) -> None:
        """Gives up the calls in flight."""
        for worker in self._workers:
            worker.cancel()

    async def _work(self, alone: bool) -> None:
        """One worker begins alone: what it learns of the endpoint, the others need not find out again."""
        if not alone:
            await self._opened.wait()
        try:
            while (job := await self._queue.get()) is not None:
                await self._carry(job)
        finally:
            self._opened.set()

    async def _carry(self, job: WorkItem) -> None:
        try:
            request = self._stage.request(job.row, self._records.get_answer(job.row.last) if job.row.last else None)
        except PluginFaultError as fault:
            await self._plugin_failed(job, fault)
            return
        if isinstance(request, Outcome):
            if request.pairs:
                self._opened.set()  # a row that needs no endpoint says nothing about one
            await self._settle(job, request)
            return
        name = (request.key, request.sample)
        if name in self._asking:  # another row asks the very same: its answer will do for both
            await self._asking[name].wait()
            self._queue.put_back(job, self._clock())
            return
        known = self._records.find_answer(*name)
        if known is not None:
            await self._judge(job, known.completion, reused=known.n)
            return
        event = self._asking[name] = asyncio.Event()
        try:
            await self._ask(job, request)
        finally:
            del self._asking[name]
            event.set()

    async def _ask(self, job: WorkItem, request: Request) -> None:
        try:
            result = await self._caller.send(job.row.n, request)
        except (AdmissionClosedError, BudgetError) as error:
            self._queue.task_done()
            if isinstance(error, BudgetError):
                self.stop(error)
            return
        except ImageError as error:
            await self._settle(job, image_failure(error))
            return
        job.requests += 1
        REQUEST_LOG.debug("%s: %s", job.row.query.id, result)
        verdict, lane = result.verdict, result.endpoint_state
        if verdict.action is Action.ANSWER or verdict.caused_by_row:
            self._opened.set()
        match verdict.action:
            case Action.ANSWER if verdict.completion is not None:
                paid = NewAnswer(
                    self._records.next_answer_number(), request.key, request.sample, verdict.completion, result.seconds
                )
                await self._judge(job, verdict.completion, paid=paid)
            case Action.RECORD:
                await self._record(job, verdict)
            case Action.RETRY:
                await self._retry_or_fail(job, result)
            case Action.ADAPT:
                if not self._stage.adapt(verdict.parameter):
                    lane.disabled_by = ProviderError(
                        f"{lane.endpoint.host} takes no {verdict.parameter}: {verdict.message}"
                    )
                self._queue.put_back(job, self._clock())
            case Action.STOP:
                self._sign_anew_or_park(job, result)
            case _:  # a pause holds the whole lane and costs the row nothing
                self._queue.put_back(job, self._clock())
        if all(lane.disabled_by for lane in self._gate.endpoint_states):
            self.stop(self._gate.endpoint_states[0].disabled_by or ProviderError(verdict.message))

    async def _retry_or_fail(self, job: WorkItem, result: SendResult) -> None:
        """A row burns an attempt only where its endpoint is not down for everybody."""
        verdict = result.verdict
        health = result.endpoint_state.health
        if health.down_since is not None and not verdict.caused_by_row:
            self._queue.put_back(job, health.probe_at)  # so that the next try is another row's
            return
        job.attempts += 1
        if self._retry.exhausted(job.attempts, verdict):
            reason = f"{verdict.cause}, {job.attempts} attempts"
            await self._settle(job, Outcome(State.FAILED, reason=reason, detail=verdict.message))
        else:
            self._queue.put_back(job, self._clock() + self._retry.wait(job.attempts))

    def _sign_anew_or_park(self, job: WorkItem, result: SendResult) -> None:
        verdict, lane = result.verdict, result.endpoint_state
        if verdict.maybe_expired_token and not job.token_renewed and lane.endpoint.renew_token():
            job.token_renewed = True
        else:
            lane.disabled_by = ProviderError(
                f"{verdict.message.rstrip('.')}. {verdict.advice}, then run the same command."
            )
        self._queue.put_back(job, self._clock())

    async def _record(self, job: WorkItem, verdict: ReplyVerdict) -> None:
        outcome = Outcome(verdict.state, reason=verdict.cause, detail=verdict.message)
        if verdict.caused_by_row or self._succeeded or self._trusted:
            await self._settle(job, outcome)
        else:
            message = f"The first requests were all rejected: {verdict.message} Check the settings."
            self._suspect(job, outcome, ProviderError(message))

    async def _judge(
        self, job: WorkItem, completion: Completion, paid: NewAnswer | None = None, reused: int | None = None
    ) -> None:
        """An answer is there, bought now or before: what is it worth?"""
        try:
            judgement = self._stage.judge(job.row, completion)
        except PluginFaultError as fault:
            await self._plugin_failed(job, fault, paid, reused)
            return
        row = job.row
        if judgement.ask_again and row.used - row.opened < self._max_rounds:
            again = judgement.feedback
            entry = self._entry(job, None, judgement, completion, paid, reused)._replace(retry_reason=again)
            if await self._writer.put(entry):
                self._stats.asked_again += 1
                number = paid.n if paid else reused
                next_round = row._replace(used=row.used + 1, last=number, reason=again)
                self._queue.put_back(WorkItem(next_round), self._clock())
            return
        self._succeeded = True
        # first of all: it is paid for
        await self._save(self._entry(job, judgement.outcome, judgement, completion, paid, reused))
        self._queue.task_done()
        await self._save_suspects()

    def _entry(
        self,
        job: WorkItem,
        outcome: Outcome | None,
        judgement: Judgement,
        completion: Completion,
        paid: NewAnswer | None,
        reused: int | None,
    ) -> Entry:
        """What an answer comes to: an outcome, or with none another round."""
        lines = self._stage.lines(job.row, outcome, completion.model) if outcome and outcome.pairs else ""
        return Entry(
            *(job.row, outcome, job.requests, paid, reused),
            pair_lines=lines,
            rejected_by=judgement.outcome.rejected_by,
            parts=judgement.parts,
            model=completion.model,
        )

    async def _plugin_failed(
        self, job: WorkItem, fault: PluginFaultError, paid: NewAnswer | None = None, reused: int | None = None
    ) -> None:
        self._plugin_faults += 1
        error = PluginError(f"The plugin fails on every row: {fault.reason}.")
        if paid is None and reused is None and not self._succeeded:
            self._suspect(job, fault.outcome, error)
            return
        await self._settle(job, fault.outcome, paid, reused)  # a paid answer stays, for the plugin's next version
        if not self._succeeded and self._plugin_faults >= SAME_FATE:
            self.stop(error)

    def _suspect(self, job: WorkItem, outcome: Outcome, error: SyphusError) -> None:
        """A failure before the first success: the row's own, or everybody's? Until that is known it stays pending."""
        self._suspects.append((job, outcome, error))
        self._queue.task_done()
        if len(self._suspects) >= SAME_FATE:
            self.stop(error)

    async def _save_suspects(self) -> None:
        """Another row got through, so the failures before it were their own."""
        while self._suspects:
            job, outcome, _ = self._suspects.pop()
            await self._save(Entry(job.row, outcome, job.requests))

    async def _settle(
        self, job: WorkItem, outcome: Outcome, paid: NewAnswer | None = None, reused: int | None = None
    ) -> None:
        """The outcome of a row without an answer that could be judged."""
        lines = self._stage.lines(job.row, outcome, "") if outcome.pairs else ""
        await self._save(
            Entry(job.row, outcome, job.requests, paid, reused, pair_lines=lines, rejected_by=outcome.rejected_by)
        )
        self._queue.task_done()

    async def _save(self, entry: Entry) -> None:
        assert entry.outcome is not None
        if await self._writer.put(entry):
            REQUEST_LOG.debug("%s: %s %s", entry.row.query.id, entry.outcome.state, entry.outcome.reason)
            self._stats.states[entry.outcome.state] += 1
            self._stats.pairs += len(entry.outcome.pairs)
