"""Runs a stage over its pending rows: puts the loop together from its parts, and listens for Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from syphus.config.secrets import SecretRedactor
from syphus.config.settings import Config, EndpointConfig
from syphus.endpoints.routes import ApiRoute
from syphus.errors import ConfigError, InterruptError, SyphusError
from syphus.formats.run_files import PairsFile
from syphus.ledger.records import Records
from syphus.ledger.store import Store
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.deadlines import AwakeClock, Deadlines
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.loop import REQUEST_LOG, Loop
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.sender import RequestSender
from syphus.pipeline.session_stats import SessionStats
from syphus.pipeline.stage import Stage
from syphus.pipeline.work_queue import WorkQueue
from syphus.pipeline.writer import Writer
from syphus.text import pluralize

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class StageRun:
    """What a stage is run with: at most `threads` calls in flight, which have `drain` seconds after a Ctrl-C."""

    stage: Stage
    route: ApiRoute
    store: Store
    records: Records
    pairs: PairsFile | None  #: grows with the answers, for people to watch
    budget: Budget
    stats: SessionStats
    redactor: SecretRedactor
    threads: int
    max_rounds: int
    trusted: bool  #: the newest session had the same settings and endpoint, and the run has answers
    seed: int
    drain_seconds: float


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class RunView:
    """What can be seen of a running stage from outside."""

    stats: SessionStats
    admission: AdmissionController
    clock: Callable[[], float]
    stop: Callable[[], None] = _do_nothing  #: acts like Ctrl-C; may be called from any thread


class Observer:
    """Is told about a run, and does nothing itself: for tests, and as the base of what people see."""

    def reading(self, rows: int) -> None:
        """So many rows of the input, or answers, have been read."""

    def say(self, line: str) -> None:
        """One line for a person, now."""

    @contextlib.asynccontextmanager
    async def watching(self, view: RunView) -> AsyncIterator[None]:  # noqa: ARG002 - for those who do look
        """Entered while the stage runs."""
        yield


async def run_stage(work: StageRun, config: Config, observer: Observer) -> SyphusError | None:
    """Asks for every pending row. Returns None when each has its outcome, or else what stopped the run.

    Raises `StorageError` where the ledger could not be written.
    """
    clock = AwakeClock()
    lanes: list[EndpointState] = []
    async with contextlib.AsyncExitStack() as opened:
        try:
            for endpoint in config.endpoints:
                lanes.append(_lane(endpoint, work, config, clock()))
                opened.push_async_callback(lanes[-1].endpoint.close)
        except ConfigError as error:  # such as a proxy that can't be used; it ends the session like everything else
            return error
        return await _ask_for_all(work, config, observer, lanes, clock)


async def _ask_for_all(
    work: StageRun, config: Config, observer: Observer, lanes: list[EndpointState], clock: AwakeClock
) -> SyphusError | None:
    estimate = TokenEstimate(config.max_tokens if work.route.generates_text else 0)
    gate = AdmissionController(lanes, work.budget, estimate, clock)
    queue = WorkQueue(work.records.pending(), window=4 * work.threads, clock=clock)
    retry = RetryPolicy(config.max_attempts, config.first_wait, random.Random(work.seed))
    loop: Loop | None = None

    def storage_failed() -> None:
        assert loop is not None
        assert writer.fault is not None
        loop.stop(writer.fault)
        loop.abandon()

    writer = Writer(work.store, work.records, work.pairs, storage_failed)
    with _few_collections():
        async with Deadlines(config.timeout, clock) as deadlines, writer:
            caller = RequestSender(gate, deadlines, retry, writer, work.stats, clock, config.max_wait)
            loop = Loop(
                work.stage,
                queue,
                gate,
                caller,
                work.records,
                writer,
                retry,
                work.stats,
                clock,
                work.max_rounds,
                work.trusted,
            )
            with _signals(loop, gate, work.drain_seconds, observer) as stop, _redacted_log(work.redactor):
                async with observer.watching(RunView(work.stats, gate, clock, stop)):
                    await loop.run(work.threads)
    stopped_by = writer.fault or loop.stopped_by
    for lane in lanes:
        if lane.disabled_by is not None and lane.disabled_by is not stopped_by:
            observer.say(f"{lane.endpoint.host} was left out: {lane.disabled_by}")
    if writer.unsaved_ids:
        names = ", ".join(writer.unsaved_ids[:5]) + (", ..." if len(writer.unsaved_ids) > 5 else "")
        observer.say(f"{pluralize(len(writer.unsaved_ids), 'answer')} came that could not be saved: {names}")
    return stopped_by


def _lane(endpoint: EndpointConfig, work: StageRun, config: Config, now: float) -> EndpointState:
    from syphus.endpoints.remote_endpoint import (
        RemoteEndpoint,  # the SDK takes its time to load: what is refused needs not wait
    )

    given: Mapping[str, float | None] = {
        "requests": endpoint.requests_per_minute,
        "tokens": endpoint.tokens_per_minute,
    }
    per_minute = {what: limit for what, limit in given.items() if limit is not None}
    remote = RemoteEndpoint(endpoint, connections=work.threads, redactor=work.redactor, route=work.route)
    return EndpointState(remote, work.threads, now, per_minute, config.max_outage, config.first_wait)


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """A thousand calls in flight are many live objects; looking through all of them all the time costs a fifth.

    What is there already stays to the end, and is not looked at again.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def _signals(loop: Loop, gate: AdmissionController, drain: float, observer: Observer) -> Iterator[Callable[[], None]]:
    """The first Ctrl-C sends nothing more and waits for the calls in flight, the second leaves at once.

    Yields a function that does the same from any thread.
    """
    running = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if isinstance(loop.stopped_by, InterruptError):
            loop.stopped_by.immediate = True
            loop.abandon()
            return
        loop.stop(InterruptError(f"Stopped by {number.name}."))
        if gate.in_flight:
            calls = pluralize(gate.in_flight, "call")
            observer.say(f"stopping: {calls} in flight, up to {drain:g} s (again to leave at once)")
        running.call_later(drain, loop.abandon)

    before = {}
    with contextlib.suppress(ValueError, RuntimeError):  # not on the main thread, or not on Unix (NotImplementedError)
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:  # nohup's word counts
                running.add_signal_handler(number, stop, number)
                before[number] = handler
    try:
        yield partial(_call_in, running, partial(stop, signal.SIGINT))
    finally:
        for number, handler in before.items():
            running.remove_signal_handler(number)
            signal.signal(number, handler)  # the loop leaves the system's own behind


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(function)


@contextlib.contextmanager
def _redacted_log(redactor: SecretRedactor) -> Iterator[None]:
    """Keep secrets out of the debug messages about requests."""

    def redact(record: logging.LogRecord) -> bool:
        record.msg, record.args = redactor.scrub(record.getMessage()), ()
        return True

    REQUEST_LOG.addFilter(redact)
    try:
        yield
    finally:
        REQUEST_LOG.removeFilter(redact)
