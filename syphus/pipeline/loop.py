"""The loop: takes each row from the ledger to its outcome. Every stage runs on it.

    WorkQueue -> Stage.request -> answer already in the ledger? -> RequestSender -> Stage.judge -> Writer

A worker has one row at a time. A row that must wait goes back to the queue, and only requests in flight occupy a slot.
Every answer is committed before its worker continues, so a crash loses at most as many paid answers as workers.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial

from syphus.endpoints.classify import Action
from syphus.endpoints.structured import with_form, without_form
from syphus.errors import BudgetError, EnoughError, ImageError, PluginError, ProviderError, SyphusError
from syphus.exchange import Completion
from syphus.ledger.records import Entry, NewAnswer
from syphus.pipeline.admission import AdmissionClosedError, AdmissionController, Permit
from syphus.pipeline.canary import Canary, canned_suspect
from syphus.pipeline.concurrency import FormTrial, SlowStart, WorkerPool, guard
from syphus.pipeline.failures import FailureHandler
from syphus.pipeline.health import FirstAnswers
from syphus.pipeline.hedging import Hedger
from syphus.pipeline.parameters import ParameterLearning, RowChanges
from syphus.pipeline.sender import Ask, RequestSender, SendResult
from syphus.pipeline.session_context import SessionContext
from syphus.pipeline.stage import Judgement, PluginFaultError, image_failure
from syphus.pipeline.work_queue import EarlyFailure, WorkItem, WorkQueue
from syphus.types import Outcome, State

REQUEST_LOG = logging.getLogger("syphus.requests")  #: gets each request and outcome as a debug message
MAX_EARLY_FAILURES = 5  #: rows that may fail before any has succeeded; after that, the rows are not at fault


class Loop:
    """Takes every row of `queue` to its outcome, unless it is stopped before."""

    def __init__(
        self, session: SessionContext, queue: WorkQueue, admission: AdmissionController, sender: RequestSender
    ) -> None:
        self._session, self._queue, self._admission, self._sender = session, queue, admission, sender
        self._being_asked: dict[tuple[bytes, int], Ask] = {}
        self._spare: set[Ask] = set()  # a request is still in flight although another has decided the row
        self._hedges: set[asyncio.Task[None]] = set()
        self._first_answers = FirstAnswers(active=not session.stats.states_before[State.OK])
        self._early_failures, self._has_succeeded, self._plugin_faults = list[EarlyFailure](), False, 0
        learned = [state.parameters for state in admission.endpoint_states]
        self._learning = ParameterLearning(learned, session.writer.keep, session.say)
        self._breaker = session.stage.breaker.begin()
        self._canary, self._form_trial = Canary(sender, session, self._keep), FormTrial(session.clock)
        self._failures = FailureHandler(session, queue, self._canary, self._being_asked.values, self._finish)
        queue.prefers_new = lambda: any(state.is_in_doubt for state in admission.endpoint_states)
        self._start, self._workers = SlowStart(), WorkerPool(self._work, partial(guard, self))
        self.grow = self._workers.grow  #: raises the number of rows that are worked on at once
        self.stopped_by: Exception | None = None

    async def run(self, workers: int) -> None:
        """Return when every row has an outcome, or, after a stop, when no request is in flight any more."""
        helpers = [asyncio.create_task(guard(self, self._start.run(workers, self._has_no_trouble)))]
        if self._sender.gathers:
            self._start.endpoint_works.set()  # nobody is asked
        elif self._session.limits.hedging:
            hedger = Hedger(self._queue, self._admission, self._session.stats, self._session.clock, self._send_second)
            helpers.append(asyncio.create_task(guard(self, hedger.run(self._being_asked.values))))
        self._workers.grow(workers)
        try:
            await self._run_workers()
            while self._failures.suspects and self.stopped_by is None:
                await self._failures.settle()
                self._stop_if_disabled()
                if self.stopped_by is None and self._queue.open_rows:
                    await self._run_workers()
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
        finally:
            for helper in helpers:
                helper.cancel()
            self.abandon()
            await asyncio.gather(*self._workers.tasks, *helpers, *self._hedges, return_exceptions=True)
        await self._failures.keep_paid_answers(self.stopped_by)
        if self.stopped_by is None:
            await self._save_held(at_end=True)
        if self._early_failures and self.stopped_by is None:
            if not self._session.stats.states_before[State.OK]:
                self.stop(self._early_failures[0].error)
            else:  # an earlier session has shown that rows can succeed
                await self._save_early_failures()

    async def _run_workers(self) -> None:
        await self._workers.run()
        if self._hedges:
            await asyncio.wait(self._hedges)

    def _stop_if_disabled(self) -> None:
        reasons = [state.disabled_by for state in self._admission.endpoint_states]
        if reasons[0] is not None and all(reasons):
            self.stop(reasons[0])

    def stop(self, reason: Exception) -> None:
        """Send nothing more, but wait for the requests in flight. The first reason is kept."""
        if self.stopped_by is None:
            self.stopped_by = reason
        self._queue.close()
        self._admission.close()
        self._start.endpoint_works.set()
        self._drop_spare()

    def abandon(self) -> None:
        """Cancel the requests in flight."""
        self._workers.cancel()
        for task in self._hedges:
            task.cancel()

    async def _work(self, number: int) -> None:
        """Process rows until none is left. The first worker starts alone and finds out whether the endpoint works."""
        await self._start.wait(number)
        try:
            while (item := await self._queue.get()) is not None:
                await self._process(item)
        finally:
            self._start.endpoint_works.set()
            self._drop_spare()

    def _has_no_trouble(self) -> bool:
        return not (self._early_failures or self._plugin_faults or self._session.stats.errors)

    async def _process(self, item: WorkItem) -> None:
        records, entry = self._session.records, Entry(item.row, None, item.requests)
        try:
            rejected = records.get_answer(item.row.last) if item.row.last else None
            request = self._session.stage.request(item.row, rejected)
        except PluginFaultError as fault:
            await self._handle_plugin_fault(item, entry, fault)
            return
        if isinstance(request, Outcome):
            if request.pairs:
                self._start.endpoint_works.set()  # a row that needs no endpoint says nothing about one
            await self._finish(entry, request)
            return
        if (other := self._being_asked.get(name := (request.key, request.sample))) is not None:  # it serves both rows
            other.followers.append(item)
            return
        if self._failures.is_rejected_pack(item, request):
            await self._failures.ask_alone(item)
            return
        for variant in self._learning.variants(request, item.changes):
            stored = records.find_answer(variant.key, variant.sample)
            if stored is not None:
                await self._judge(item, entry._replace(reused_answer=stored.n), stored.completion)
                return
        if self._queue.closed:
            return  # it waited for an answer that has not come
        request = replace(request, form_room=None) if self._sender.gathers else request
        if not await self._form_trial.enter(request):
            self._put_back(item)
            return
        ask = self._being_asked[name] = Ask(item, request)
        self._breaker.sent(item.row)
        end_probe = await self._learning.probe.enter(request)
        try:
            await self._send(ask)
        finally:
            end_probe()
            self._form_trial.leave(request)
            self._release(ask)

    async def _send(self, ask: Ask) -> None:
        item = ask.item
        try:
            result = await self._sender.send(ask)
        except (AdmissionClosedError, BudgetError) as error:
            ask.in_flight = 0
            self._queue.task_done()
            if isinstance(error, BudgetError):
                self.stop(error)
            return
        except ImageError as error:
            ask.in_flight = 0
            await self._finish(Entry(item.row, None, item.requests), image_failure(error))
            return
        await self._handle_result(ask, result)

    def _send_second(self, ask: Ask, permit: Permit) -> None:
        """Send a request a second time, in a task of its own, while the first is still in flight."""

        async def send() -> None:
            try:
                await self._handle_result(ask, await self._sender.send_admitted(ask, permit))
            except ImageError as error:  # the file was there a moment ago
                ask.in_flight -= 1
                if not (ask.in_flight or ask.is_decided):
                    await self._finish(Entry(ask.item.row, None, ask.item.requests), image_failure(error))
            finally:
                self._release(ask)

        task = asyncio.create_task(guard(self, send()))
        self._hedges.add(task)
        task.add_done_callback(self._hedges.discard)

    async def _handle_result(self, ask: Ask, result: SendResult) -> None:
        """Handle the result of a request; of several for the same row, the first usable one decides."""
        item, verdict = ask.item, result.verdict
        item.requests, ask.in_flight = item.requests + 1, ask.in_flight - 1
        REQUEST_LOG.debug("%s: %s", item.row.query.id, result)
        if ask.is_decided:
            if not ask.in_flight:
                self._spare.discard(ask)
            await self._keep(ask, result)
            return
        if ask.in_flight and verdict.action in (Action.RETRY, Action.PAUSE):
            return  # another request for it may still succeed
        ask.is_decided = True
        if ask.in_flight:
            self._spare.add(ask)
        if result.endpoint_state.disabled_by is not None:
            self._stop_if_disabled()  # first: who waits to be admitted may hold up what follows
        await self._handle_verdict(item, result)
        self._release(ask)
        if self._queue.closed:
            self._drop_spare()
        self._stop_if_disabled()

    async def _keep(self, ask: Ask, result: SendResult) -> None:
        """Keep an answer that came too late as a further sample: if its row is asked again, it need not be paid for."""
        completion, request, sample = result.verdict.completion, result.request, ask.request.sample + 1
        if completion is None:
            return
        records, key = self._session.records, ask.request.key
        while (key, sample) in self._being_asked or records.find_answer(request.key, sample):
            sample += 1
        kept = self._being_asked[key, sample] = Ask(ask.item, replace(ask.request, sample=sample), is_decided=True)
        answer = NewAnswer(records.next_answer_number(), request.key, sample, completion, result.seconds, result.host)
        try:
            await self._session.writer.put(Entry(ask.item.row, None, 1, answer, spare=True))
        finally:
            self._release(kept)

    def _release(self, ask: Ask) -> None:
        """Once a row is decided, let those continue that wait for the answer to the same request."""
        if ask.in_flight and not ask.is_decided:
            return
        if self._being_asked.get(name := (ask.request.key, ask.request.sample)) is ask:
            del self._being_asked[name]
            for follower in ask.followers:
                self._queue.put_answered(follower)

    def _drop_spare(self) -> None:
        """Wait no longer for requests whose rows are decided: nothing else is left to do."""
        for ask in self._spare:
            ask.give_up()

    async def _handle_verdict(self, item: WorkItem, result: SendResult) -> None:
        verdict, state = result.verdict, result.endpoint_state
        if verdict.action is Action.ANSWER or verdict.caused_by_row:
            self._start.endpoint_works.set()
        match verdict.action:
            case Action.ANSWER if verdict.completion is not None:
                number, request = self._session.records.next_answer_number(), result.request
                completion = with_form(verdict.completion, request)
                learnt = state.parameters.record_answer(item.row.n, request, item.changes)
                new = NewAnswer(number, request.key, request.sample, completion, result.seconds, result.host)
                await self._judge(item, Entry(item.row, None, item.requests, new), completion, result)
                await self._learning.keep(state.parameters, learnt, request)
            case Action.ADAPT:
                await self._adapt(item, result)
            case _:
                await self._record_rejection(item, result)

    def _put_back(self, item: WorkItem, wait: float = 0.0) -> None:
        self._queue.put_back(item, self._session.clock() + wait)

    async def _adapt(self, item: WorkItem, result: SendResult) -> None:
        """Ask again without what was refused. If a change of one row did not help, that row fails."""
        verdict, state, request = result.verdict, result.endpoint_state, result.request
        verdict = without_form(verdict, request)
        if required := [change.name for change in verdict.changes if change.name in request.required]:
            state.disable(ProviderError(f"{state.endpoint.host} does not accept {required[0]}: {verdict.message}"))
        elif verdict.changes:  # or else the stage asks in a looser form
            tried = item.changes = item.changes or RowChanges()
            if not await self._learning.try_changes(item.row.n, tried, state.parameters, verdict, request):
                await self._record_rejection(item, result)
                return
        self._put_back(item)

    async def _record_rejection(self, item: WorkItem, result: SendResult) -> None:
        verdict, learned = result.verdict, result.endpoint_state.parameters
        await self._learning.note_rejection(item.row.n, item.changes, learned, verdict.message)
        if verdict.rejection:
            result = result._replace(verdict=replace(verdict, cause=verdict.rejection))
        await self._failures.handle(item, result)

    async def _judge(
        self, item: WorkItem, entry: Entry, completion: Completion, result: SendResult | None = None
    ) -> None:
        """Let the stage judge an answer, from the ledger or a new `result`; request another or save the outcome."""
        session = self._session
        try:
            judgement = session.stage.judge(item.row, completion)
        except PluginFaultError as fault:
            await self._handle_plugin_fault(item, entry, fault)
            return
        row, outcome = item.row, judgement.outcome
        entry = entry._replace(rejected_by=outcome.rejected_by, parts=judgement.parts)
        self._first_answers.note(entry, judgement)
        self._breaker.note(row, judgement)
        await self._save_held()
        is_free = judgement.another_form or (judgement.repeated and session.limits.max_rounds > 0)
        asks_again = judgement.ask_again and (is_free or row.used - row.opened < session.limits.max_rounds)
        if result is not None and await self._set_aside_if_suspect(item, entry, judgement, result, asks_again):
            return
        if asks_again:
            reason = judgement.retry_reason
            if await session.writer.put(entry._replace(retry_reason=reason, reopened=is_free)):
                session.stats.asked_again += 1
                answer = entry.new_answer.n if entry.new_answer else entry.reused_answer
                self._put_back(item.next_round(answer, reason, counts=not is_free))
            return
        self._has_succeeded = True
        if self._first_answers.hold(entry, outcome):
            if entry.new_answer is not None:
                await session.writer.put(entry._replace(spare=True))
            self._queue.task_done()
        else:
            await self._finish(entry, outcome, completion.model)  # before anything else: it is paid for
        await self._save_early_failures()

    async def _save_held(self, *, at_end: bool = False) -> None:
        if stop := self._first_answers.error:
            self.stop(stop)
        for held in self._first_answers.release(at_end=at_end):
            await self._save(Entry(held.row, held.outcome, 0, reused_answer=held.answer))

    async def _set_aside_if_suspect(
        self, item: WorkItem, entry: Entry, judgement: Judgement, result: SendResult, asks_again: bool
    ) -> bool:
        """Set a row aside if every row may get this answer; return whether it was set aside."""
        state, sent_at, kind = result.endpoint_state, result.sent_at, ""
        answer, outcome = entry.new_answer, judgement.outcome
        is_billed = answer is not None and answer.completion.usage.completion_tokens > 0
        if answer is None or outcome.state is State.OK or (judgement.is_trial and is_billed):
            self._failures.note_useful(state, sent_at)
            self._canary.note_answer(item, result.request)
        else:
            suspect = canned_suspect(item, result, outcome, answer.n)
            is_ours = not (is_billed and self._first_answers.is_active)
            if self._failures.judge_text(suspect, outcome, is_final=is_ours and not (asks_again or entry.parts)):
                if await self._session.writer.put(entry._replace(retry_reason=outcome.reason, reopened=True)):
                    again = item.next_round(answer.n, outcome.reason, counts=False)
                    await self._failures.set_aside(suspect._replace(item=again))
                return True
            kind = suspect.kind
        if self._failures.suspects:
            await self._failures.release(state, sent_at, kind)
        return False

    async def _finish(self, entry: Entry, outcome: Outcome, model: str = "") -> None:
        """Save the outcome of a row. `model` is the server's name of the model that answered, if any did."""
        self._failures.forget_pack(entry.row)
        lines = self._session.stage.lines(entry.row, outcome, model) if outcome.pairs else ""
        await self._save(entry._replace(outcome=outcome, pair_lines=lines, rejected_by=outcome.rejected_by))
        self._queue.task_done()

    async def _save(self, entry: Entry) -> None:
        assert entry.outcome is not None
        if await self._session.writer.put(entry):
            REQUEST_LOG.debug("%s: %s %s", entry.row.query.id, entry.outcome.state, entry.outcome.reason)
            self._session.stats.states[entry.outcome.state] += 1
            self._session.stats.pairs += len(entry.outcome.pairs)
            if (worse := self._breaker.finished(entry.row)) is not None:
                self.stop(worse)
            if self._session.has_enough:
                self.stop(EnoughError("The wanted number of accepted pairs is reached."))

    async def _handle_plugin_fault(self, item: WorkItem, entry: Entry, fault: PluginFaultError) -> None:
        self._plugin_faults += 1
        error = PluginError(f"The plugin fails on every row: {fault.reason}.")
        if entry.new_answer is None and entry.reused_answer is None and not self._has_succeeded:
            self._note_early_failure(item, fault.outcome, error)
            return
        await self._finish(entry, fault.outcome)  # a paid answer is kept, for the next version of the plugin
        if not self._has_succeeded and self._plugin_faults >= MAX_EARLY_FAILURES:
            self.stop(error)

    def _note_early_failure(self, item: WorkItem, outcome: Outcome, error: SyphusError) -> None:
        """Keep a failure from before the first success pending until it is known whether all rows fail."""
        self._early_failures.append(EarlyFailure(item, outcome, error))
        self._queue.task_done()
        if len(self._early_failures) >= MAX_EARLY_FAILURES:
            self.stop(error)

    async def _save_early_failures(self) -> None:
        """Save the failures from before the first success: another row has succeeded, so these rows are at fault."""
        while self._early_failures:
            failure = self._early_failures.pop()
            await self._save(Entry(failure.item.row, failure.outcome, failure.item.requests))
