"""Runs a stage by batches: passes of the loop that put requests aside and judge what has come, until nothing is open.

    take up open shards -> pass -> shards are sent, polled and taken in -> pass -> ... -> all rows have an outcome

A pass takes every pending row that waits in no shard, so each row is either in a pass, or in a shard, or done.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from syphus.batch.by_hand import ingest_by_hand, write_by_hand
from syphus.batch.creation import Creation, ShardDesk, StoppedError
from syphus.batch.gather import GatheringSender, ShardMaker, ShardTarget, SilentSender, Size
from syphus.batch.ingest import ResultIngester
from syphus.batch.open_batches import batches_by_state, what_is_left
from syphus.batch.plan import USUAL_SECONDS, BatchPlan, BatchTimes, OnlinePace, is_by_batch, keep_time, switch_at
from syphus.batch.routes import BatchApi
from syphus.batch.shard_lifecycle import ShardLifecycle
from syphus.config.sampling import resolve_sampling
from syphus.config.settings import Config
from syphus.config.values import BatchConfig
from syphus.errors import ConfigError, InterruptError, ProviderError, SyphusError
from syphus.ledger.sessions import run_id
from syphus.ledger.shards import Shard, ShardState, get_shard, read_shards
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import TokenEstimate
from syphus.pipeline.concurrency import fail, guard
from syphus.pipeline.deadlines import AwakeClock, Deadlines
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.engine import (
    SessionParts,
    begin_session,
    close_session,
    open_endpoints,
    session_in_view,
    session_limits,
)
from syphus.pipeline.loop import Loop
from syphus.pipeline.observer import Observer
from syphus.pipeline.sender import RequestSender
from syphus.pipeline.stage_run import StageRun
from syphus.pipeline.work_queue import WorkQueue
from syphus.pipeline.writer import Writer
from syphus.text import format_duration, pluralize
from syphus.types import State

if TYPE_CHECKING:
    from syphus.endpoints.remote_endpoint import RemoteEndpoint

_FIRST_SENT = 20.0  # seconds that the upload of the first shard gets before more is put aside


async def run_by_batch(work: StageRun, config: Config, observer: Observer, plan: BatchPlan) -> SyphusError | None:
    """Run a stage by batches. Return None if every row has its outcome, or else what stopped the run.

    That is a `WaitingError` if requests stay at the server, or in a file, and the same command collects them later.
    """
    clock = AwakeClock()
    limits = session_limits(work, config)
    async with contextlib.AsyncExitStack() as opened:
        try:
            states = open_endpoints(work, config, limits, observer, clock(), opened)
        except ConfigError as error:
            return error
        await asyncio.sleep(0)
        estimate = TokenEstimate(resolve_sampling(config).answer_limit if work.route.generates_text else 0)
        admission = AdmissionController(states, work.budget, estimate, clock)
        run = BatchRun(work, config, observer, plan, admission, clock)
        async with Deadlines(config.timeout, clock) as deadlines, run.writer:
            parts = SessionParts(admission, run.writer, deadlines, clock, batches=run.progress)
            async with session_in_view(work, observer, run, parts):
                await run.run(deadlines)
        return close_session(work, observer, states, run.writer, run.stopped_by, clock())


def _remote_endpoint(state: EndpointState) -> RemoteEndpoint:
    """Return an endpoint with the methods that the routes of batches need."""
    from syphus.endpoints.remote_endpoint import RemoteEndpoint  # loads the SDK, which takes a while

    assert isinstance(state.endpoint, RemoteEndpoint)
    return state.endpoint


class BatchRun:
    """One session of a stage by batches. The first Ctrl-C calls `stop`, the second `abandon`."""

    def __init__(
        self,
        work: StageRun,
        config: Config,
        observer: Observer,
        plan: BatchPlan,
        admission: AdmissionController,
        clock: AwakeClock,
    ) -> None:
        self._work, self._observer, self._plan = work, observer, plan
        self._batch = config.batch or BatchConfig()
        self._admission, self._clock = admission, clock
        self._store, self._stage = work.store, work.stage.name
        self.writer = Writer(work.store, work.records, work.pairs, self._stop_on_fault, work.threads)
        admission.note_reservation = self.writer.note_reservation
        self._session = begin_session(work, config, observer, self.writer, clock)
        self._state: EndpointState = admission.endpoint_states[0]
        self._loop: Loop | None = None
        self._threads = work.threads
        self._following: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._is_first = True
        self.stopped_by: Exception | None = None
        endpoint = _remote_endpoint(self._state)
        is_azure = endpoint.config.kind == "azure"
        url = work.route.path if is_azure else f"/v1{work.route.path}"
        self._ingester = ResultIngester(self._store, self._session, work.budget, work.redactor)
        self._desk = ShardDesk(BatchApi(endpoint), self._state, self._store, self._session, work.budget, self._batch)
        self._creation = Creation(self._desk, url)
        self._lifecycle = ShardLifecycle(self._desk, self._creation, self._ingester)
        by_hand = plan.file is not None
        target = ShardTarget(self._stage, config.model, endpoint.host, url, run_id(self._store), by_hand)
        most_requests = self._batch.most_requests(azure=is_azure)
        self._most = Size(most_requests, int(self._batch.megabytes * 1e6), float("inf"))
        self._maker = ShardMaker(target, self._store, self._session, admission, self._most, self._send_off)
        self._gatherer = GatheringSender(self._session, admission, self._store, self._maker, config.max_attempts)
        self._silent = SilentSender()
        self._gathers = plan.gathers
        self._times_name = f"{config.model} at {endpoint.host}"
        self._lifecycle.on_ended = partial(keep_time, plan.times_folder, self._times_name)

    # Stopping.

    def stop(self, reason: Exception) -> None:
        """Put nothing more aside and send nothing more. The first reason is kept."""
        if self.stopped_by is None:
            self.stopped_by = reason
        if self._loop is not None:
            self._loop.stop(reason)
        self._desk.stopping.set()
        self._changed.set()

    def grow(self, workers: int, /) -> None:
        """Let at least `workers` rows be worked on at once, in this pass and in those that follow."""
        self._threads = max(self._threads, workers)
        if self._loop is not None:
            self._loop.grow(workers)

    def abandon(self) -> None:
        """Wait for nothing any more."""
        if self._loop is not None:
            self._loop.abandon()
        for task in self._following.values():
            task.cancel()

    def _stop_on_fault(self) -> None:
        assert self.writer.fault is not None
        fail(self, self.writer.fault)

    # The course of a session.

    async def run(self, deadlines: Deadlines) -> None:
        """Return when every row has its outcome, when the plan says not to wait, or after a stop."""
        watching = asyncio.create_task(guard(self, self._watch_deadline()))
        try:
            await self._course(deadlines)
        except (SyphusError, StoppedError) as error:
            if isinstance(error, SyphusError):
                self.stop(error)
        finally:
            watching.cancel()
            self._desk.stopping.set()
            await asyncio.gather(*self._following.values(), return_exceptions=True)
            self._maker.discard()
        self._say_what_stays()

    async def _course(self, deadlines: Deadlines) -> None:
        await self._take_up_open_shards()
        self._decide()
        if self._plan.results:
            await ingest_by_hand(
                self._store, self._stage, self._plan.results, self._ingester, self._state, self._lifecycle
            )
        while self.stopped_by is None:
            held = await self._pass(deadlines)
            if self.stopped_by is not None:
                return
            if not (self._following or held or self._changed.is_set()):
                break
            if self._following:  # until one is settled, so that its rows can be judged
                await self._changed.wait()
        if self.stopped_by is None:
            self._conclude()

    async def _pass(self, deadlines: Deadlines) -> bool:
        """Run the loop once over all rows that wait in no shard; return whether some had no room."""
        self._changed.clear()
        maker = self._maker
        open_here = [shard for shard in self._open_shards() if shard.state is not ShardState.BY_HAND]
        limits = self._desk.limits
        enqueued = sum(shard.tokens for shard in open_here)
        most = self._batch.enqueued_tokens if limits.tokens is None else limits.tokens
        maker.room = float("inf") if most is None else max(0.0, most - enqueued)
        lines = min(self._most.lines, limits.lines or self._most.lines)
        maker.most = Size(lines, self._most.bytes, float("inf") if most is None else most)
        maker.open_shards = len(self._following)
        sender: RequestSender = self._gatherer
        if self._plan.results and self._plan.file is None:
            sender = self._silent
        elif not self._gathers:
            sender = RequestSender(self._session, self._admission, deadlines)
        rows = self._work.records.pending(with_waiting=False)
        queue = WorkQueue(rows, window=4 * self._threads, clock=self._clock)
        loop = self._loop = Loop(self._session, queue, self._admission, sender)
        maker.end_pass = queue.close
        before = maker.gathered
        try:
            await loop.run(self._threads)
        finally:
            self._loop = None
        if loop.stopped_by is not None:
            self.stop(loop.stopped_by)
            maker.discard()
        held = bool(maker.full)
        await maker.finish_pass()
        return held or (maker.gathered > before and not self._plan.by_hand)

    async def _take_up_open_shards(self) -> None:
        """Continue with the shards of earlier sessions."""
        shards = [shard for shard in self._open_shards() if shard.state is not ShardState.BY_HAND]
        if not shards:
            return
        states = Counter(shard.state.value for shard in shards)
        found = ", ".join(f"{count} {state}" for state, count in states.items())
        requests = sum(shard.lines for shard in shards)
        self._observer.say(
            f"{pluralize(len(shards), 'batch', 'batches')} of earlier sessions with {pluralize(requests, 'request')}: "
            f"{found}."
        )
        uncertain = [shard.sent_at for shard in shards if shard.state is ShardState.UPLOADED and shard.sent_at]
        self._creation.quiet_until = max(uncertain, default=0.0) + self._batch.listing_delay
        for shard in shards:
            await self._take_up(shard)

    async def _take_up(self, shard: Shard) -> None:
        """Follow a shard in a task of its own."""
        if shard.state is ShardState.BY_HAND:
            return
        self._following[shard.id] = asyncio.create_task(self._follow(shard))

    async def _send_off(self, shard: Shard) -> None:
        """Follow a new shard. The first of a session is sent before more is put aside, which would slow it down."""
        await self._take_up(shard)
        waits_until = time.monotonic() + (_FIRST_SENT if self._is_first else 0.0)
        self._is_first = False
        while time.monotonic() < waits_until and shard.id in self._following:
            if get_shard(self._store, shard.id).state not in (ShardState.RESERVED, ShardState.UPLOADED):
                return
            await asyncio.sleep(0.02)

    async def _follow(self, shard: Shard) -> None:
        try:
            await self._lifecycle.follow(shard, once=not self._plan.wait)
        except StoppedError:
            pass
        except SyphusError as error:
            self.stop(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must not wait for this shard
            fail(self, error)
        finally:
            self._following.pop(shard.id, None)
            self._changed.set()

    def _conclude(self) -> None:
        """Say what is left to do, if there is something."""
        if self._plan.file is not None:
            write_by_hand(self._store, self._stage, self._plan.file)
        left = what_is_left(self._open_shards(), self._lifecycle.gone, self._plan.file, self._silent.kept)
        if left is not None:
            self.stop(left)

    def _say_what_stays(self) -> None:
        """After a stop, say what is at the server, and how it is collected."""
        if not isinstance(self.stopped_by, InterruptError | ProviderError):
            return
        there = [shard for shard in self._open_shards() if shard.state in (ShardState.UPLOADED, ShardState.CREATED)]
        if there:
            requests = pluralize(sum(shard.lines for shard in there), "request")
            self._observer.say(
                f"{self._state.endpoint.host} continues {pluralize(len(there), 'batch', 'batches')} with {requests}. "
                f"The same command collects the answers; `syphus batches {self._store.folder} --cancel` cancels."
            )

    # The deadline.

    def _decide(self) -> None:
        """Choose between batches and online requests, if the plan leaves that open, and say what is chosen."""
        plan, rows = self._plan, self._rows_left()
        if not plan.decides or plan.by_hand or not rows:
            return
        left = None if plan.deadline is None else plan.deadline - time.time()
        times = BatchTimes.load(plan.times_folder, self._times_name)
        reserve = self._pace().needs(rows) + self._batch.cancel_seconds
        self._gathers = is_by_batch(self._work.budget.price, rows, left, times, reserve)
        usual = f"half of the batches end within {format_duration(times.quantile(0.5))}"
        if self._gathers:
            line = f"By batch, which is cheaper: {usual}, nine of ten within {format_duration(times.quantile(0.9))}."
        elif left is None or left - reserve >= times.quantile(0.5):
            line = "Online: batches are not known to be cheaper for this model."
        else:
            line = f"Online: {usual}, and the deadline is in {format_duration(max(0.0, left))}."
        self._observer.say(line)
        if not self._gathers:
            self._work.budget.expect_tier(None)

    def _rows_left(self) -> int:
        stats = self._work.stats
        return max(0, stats.states_before[State.PENDING] - stats.done)

    def _pace(self) -> OnlinePace:
        limits = [state.per_minute.get("requests") for state in self._admission.endpoint_states]
        known = [limit for limit in limits if limit]
        per_minute = sum(known) if len(known) == len(limits) else None
        return OnlinePace(self._work.threads, per_minute, self._state.latencies.usual() or USUAL_SECONDS)

    async def _watch_deadline(self) -> None:
        """When it is time, cancel what is still in batches, so that the rest can be asked online."""
        deadline = self._plan.deadline
        if deadline is None:
            return
        began, cancelling = time.time(), self._batch.cancel_seconds
        while self.stopped_by is None:
            now, reserve = time.time(), self._pace().needs(self._rows_left())
            wait = switch_at(began, deadline, now, reserve, cancelling) - now
            if wait <= 0:
                await self._go_online(deadline - now)
                return
            await asyncio.sleep(max(0.05, min(30.0, wait / 4)))

    async def _go_online(self, left: float) -> None:
        if self._gathers:
            rows, when = pluralize(self._rows_left(), "row"), format_duration(max(0.0, left))
            self._observer.say(f"The deadline is in {when}: batches are cancelled, and {rows} are asked online.")
        self._gathers, self._desk.is_closing = False, True
        self._work.budget.expect_tier(None)
        if self._loop is not None:
            self._maker.end_pass()
        for shard in self._open_shards():
            if shard.state is ShardState.CREATED:
                await self._lifecycle.cancel(shard)
        self._changed.set()

    # Helpers.

    def _open_shards(self) -> list[Shard]:
        return read_shards(self._store, self._stage, only_open=True)

    def progress(self) -> str:
        """Return the open batches by state, as text."""
        return batches_by_state(self._open_shards(), time.time())
