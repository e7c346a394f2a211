"""Lets people change a stage while it works: threads, limits, budget, pause and stop.

What they have left at the desk (`syphus.ledger.control_desk`) is looked for a few times a second. A change is applied
in two steps around the commit that notes it: first whatever makes the run more careful, then the rest. So a budget, a
number of threads or a pause that the ledger promises is always kept, also if the process is killed in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from syphus.ledger.control_desk import STOP, ControlDesk, ControlName, ControlRequest, ControlSettings
from syphus.ledger.controls import ControlChange, SessionControls, write_changes
from syphus.ledger.records import Records
from syphus.ledger.store import Store
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.concurrency import Stoppable, guard
from syphus.pipeline.work_queue import WorkQueue
from syphus.pipeline.writer import Writer

LOOK_EVERY = 0.25  #: seconds; a look takes about ten microseconds
_ROWS_PER_WORKER = 4  # that are handed out ahead


@dataclass(frozen=True, slots=True)
class StageControl:
    """What a stage needs so that people can change it. `allow_threads` returns how many are possible, and a warning."""

    desk: ControlDesk
    controls: SessionControls
    store: Store
    allow_threads: Callable[[int], tuple[int, str]]


class SteeredRun(Stoppable, Protocol):
    """What works through a stage: a `Loop`, or the passes of a batch."""

    def grow(self, workers: int, /) -> None:
        """Let at least `workers` rows be worked on at once."""


@dataclass(frozen=True, slots=True)
class ControlledParts:
    """The parts of a stage that changes act on. `stop` stops it for a reason, `announce` shows people a line."""

    loop: SteeredRun
    queue: WorkQueue | None  #: None if there is one for each pass
    admission: AdmissionController
    writer: Writer
    records: Records
    stop: Callable[[str], None]
    clock: Callable[[], float]
    announce: Callable[[str], None]


@contextlib.asynccontextmanager
async def controlled(stage_control: StageControl | None, parts: ControlledParts) -> AsyncIterator[None]:
    """Apply what people change while the block runs; nothing without a `stage_control`."""
    if stage_control is None:
        yield
        return
    control = RunControl(stage_control, parts)
    watching = asyncio.create_task(guard(parts.loop, control.run()))
    try:
        yield
    finally:
        control.end()
        await watching


class RunControl:
    """Applies what people change while one stage works. `run` it until `end`."""

    def __init__(self, stage_control: StageControl, parts: ControlledParts) -> None:
        self._desk = stage_control.desk
        self._given, self._settings = stage_control.controls
        self._store = stage_control.store
        self._allow_threads = stage_control.allow_threads
        self._parts = parts
        self._applied = ControlSettings(**{**self._settings.as_json(), "paused": False})  # type: ignore[arg-type]  # of one
        self._paused_at = 0.0
        self._ended = asyncio.Event()
        self._apply(self._settings)  # it may have been paused in the stage before

    async def run(self) -> None:
        """Look for changes and apply them."""
        while not self._ended.is_set():
            for request in self._desk.look():
                await self._handle(request)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._ended.wait()

    def end(self) -> None:
        """Let `run` return; what is left then waits for the next stage."""
        self._ended.set()

    async def _handle(self, request: ControlRequest) -> None:
        parts, before, now = self._parts, self._settings, time.time()
        warning, after = "", before
        problem = request.problem or self._refusal(request)
        if problem:
            rows = [ControlChange(now, request.who, "", None, None, problem)]
        else:
            after = before.with_changes(request.changes)
            if after.threads > before.threads:
                threads, warning = self._allow_threads(after.threads)
                after = after.with_changes({ControlName.THREADS: threads})
            self._apply(before.stricter(after))
            rows = self._rows(request, after, now)
        if request.stop and not problem:
            parts.stop(f"{request.who or 'somebody'} (control)")
        await self._note(request, rows, after)
        if not problem:
            self._desk.changed.update({name: getattr(after, name) for name in request.changes})
            self._settings = after
            self._apply(after)
            if before.max_cost is not None and after.max_cost is None:  # what was noted before is too little now
                await parts.writer.perform(partial(parts.records.note_reservation, None))
        self._desk.remove(request)
        for each in rows:
            parts.announce(f"{each.who or 'Somebody'}: {each.problem or each.describe()}")
        if warning:
            parts.announce(warning)

    def _rows(self, request: ControlRequest, after: ControlSettings, now: float) -> list[ControlChange]:
        before = self._settings
        rows = [
            ControlChange(now, request.who, name, getattr(before, name), getattr(after, name))
            for name in request.changes
        ]
        return [*rows, ControlChange(now, request.who, STOP, False, True)] if request.stop else rows

    async def _note(self, request: ControlRequest, rows: list[ControlChange], after: ControlSettings) -> None:
        """Write what became of a request, and return once that is on the disk."""
        records, budget, has_new_budget = self._parts.records, self._parts.admission.budget, False
        if self._settings.max_cost is None and after.max_cost is not None:
            has_new_budget = True

        def write() -> None:
            write_changes(self._store, records.session, request, rows, SessionControls(self._given, after))
            if has_new_budget:  # what is in flight was sent when nobody had to know what it may cost
                records.raise_reservation(budget.reserved)

        await self._parts.writer.perform(write)

    def _refusal(self, request: ControlRequest) -> str:
        """Return why changes can't be made, or ""."""
        if self._parts.loop.stopped_by is not None and not request.stop:
            return "The run is stopping already."
        budget = self._parts.admission.budget
        if request.changes.get(ControlName.MAX_COST) is not None and budget.max_cost is None and budget.why_unbounded:
            return budget.why_unbounded
        return ""

    def _apply(self, now: ControlSettings) -> None:
        """Let the parts work under these settings."""
        parts, was = self._parts, self._applied
        admission, self._applied = parts.admission, now
        if now.threads != was.threads:
            if parts.queue is not None:
                parts.queue.widen(_ROWS_PER_WORKER * now.threads)
            parts.writer.serve(now.threads)
            parts.loop.grow(now.threads)
            if len(admission.endpoint_states) > 1:
                admission.max_in_flight = now.threads
            for state in admission.endpoint_states:
                state.change_threads(now.threads)
        for what, limit, before in (("requests", now.rpm, was.rpm), ("tokens", now.tpm, was.tpm)):
            for state in admission.endpoint_states if limit != before else ():
                state.change_limit(what, limit, parts.clock())
        if (now.max_cost, now.max_requests) != (was.max_cost, was.max_requests):
            admission.budget.change_limits(now.max_cost, now.max_requests)
        if now.paused and not was.paused:
            admission.is_paused, self._paused_at = True, parts.clock()
        elif was.paused and not now.paused:
            admission.is_paused = False
            for state in admission.endpoint_states:
                state.record_idle(parts.clock() - self._paused_at, parts.clock())
        admission.notify()
