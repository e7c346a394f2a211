"""Runs a stage over its pending rows: builds the loop from its parts, and handles Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.sampling import resolve_sampling
from syphus.config.secrets import SecretRedactor
from syphus.config.settings import Config
from syphus.endpoints.prompt_cache import cache_rules
from syphus.errors import ConfigError, InterruptError, ProviderError, SyphusError
from syphus.ledger.sessions import get_meta, set_meta
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import TokenEstimate
from syphus.pipeline.concurrency import Stoppable, beside, fail
from syphus.pipeline.deadlines import AwakeClock, Deadlines
from syphus.pipeline.endpoint_state import Endpoint, EndpointState
from syphus.pipeline.loop import REQUEST_LOG, Loop
from syphus.pipeline.observer import Observer, RunView
from syphus.pipeline.parameters import LearnedParameters
from syphus.pipeline.prompt_caches import PromptCaches, cache_keys_name
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.run_control import ControlledParts, SteeredRun, controlled
from syphus.pipeline.sender import RequestSender
from syphus.pipeline.session_context import SessionContext, SessionLimits
from syphus.pipeline.stage_run import Fleet, Sharing, SharingParts, StageRun
from syphus.pipeline.work_queue import WorkQueue
from syphus.pipeline.writer import Writer
from syphus.text import pluralize
from syphus.types import State

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BUG_NOTE = (
    "This is a bug in Syphus, not a fault of your data, settings or disk. Please report it with the lines above. "
    "All answers up to the last commit are saved; the same command resumes after them."
)


async def run_stage(work: StageRun, config: Config, observer: Observer) -> SyphusError | None:
    """Run a stage over every pending row.

    Return None if each has its outcome, or else what stopped the run; that is a `StorageError` if the disk failed. A
    bug in the code that writes the ledger is raised as it is, with a note that it is one.
    """
    clock = AwakeClock()
    limits = session_limits(work, config)
    async with contextlib.AsyncExitStack() as opened:
        try:
            if work.fleet is not None:
                await opened.enter_async_context(work.fleet.running(observer.event))
            states = open_endpoints(work, config, limits, observer, clock(), opened)
            if work.sharing is not None:
                await work.sharing.join(states, clock, opened)
        except (ConfigError, ProviderError) as error:  # such as an unusable proxy; it ends the session like all else
            return error
        await asyncio.sleep(0)  # end here, before the first request, if a Ctrl-C meanwhile has cancelled this task
        return await _run_loop(work, config, limits, observer, states, clock)


def _shared(way: Sharing | None, parts: SharingParts) -> contextlib.AbstractAsyncContextManager[None]:
    """Return a context in which a stage shares its limits, if there is a way to."""
    return contextlib.nullcontext() if way is None else way.joined(parts)


def _sent_by(fleet: Fleet | None, loop: Stoppable) -> contextlib.AbstractAsyncContextManager[None]:
    """Stop the stage once its fleet, if it has one, can send nothing any more. What is in flight may still arrive."""
    if fleet is None:
        return contextlib.nullcontext()

    async def wait() -> None:
        loop.stop(ProviderError(await fleet.lost()))

    return beside(loop, wait())


def session_limits(work: StageRun, config: Config) -> SessionLimits:
    """Return the limits of a session."""
    return SessionLimits(
        *(work.threads, work.max_rounds, config.max_wait, config.max_outage, config.first_wait),
        hedging=config.hedging,
        pairs=work.pairs_wanted,
    )


def open_endpoints(
    work: StageRun,
    config: Config,
    limits: SessionLimits,
    observer: Observer,
    now: float,
    opened: contextlib.AsyncExitStack,
) -> list[EndpointState]:
    """Return the endpoints with what earlier sessions have learnt about them; `opened` closes them.

    Raises `ConfigError` for settings that the SDK or the transport can't use.
    """
    states: list[EndpointState] = []
    for endpoint in config.endpoints:
        for remote in _remotes(endpoint, work):
            opened.push_async_callback(remote.close)
            caches = PromptCaches(cache_rules(config), observer.say, cache_keys_name(config, endpoint))
            caches.load(str(get_meta(work.store, caches.name) or "{}"), time.time(), now)
            states.append(EndpointState(remote, limits, _per_minute(endpoint), now, caches))
            states[-1].announce, states[-1].note = observer.event, observer.note
            states[-1].parameters = LearnedParameters.load(work.store, endpoint, config.model)
    for state in states:
        state.on_disabled = partial(_report_left_out, states, observer)
    return states


async def _run_loop(
    work: StageRun,
    config: Config,
    limits: SessionLimits,
    observer: Observer,
    states: list[EndpointState],
    clock: AwakeClock,
) -> SyphusError | None:
    estimate = TokenEstimate(resolve_sampling(config).answer_limit if work.route.generates_text else 0)
    admission = AdmissionController(states, work.budget, estimate, clock)
    queue = WorkQueue(
        work.records.pending(with_waiting=False),
        window=4 * work.threads * work.stage.pack_size,
        clock=clock,
        shares=work.stage.shares_request,
    )
    admission.rows_to_come = lambda: work.stats.states_before[State.PENDING] - work.stats.done - queue.open_rows

    def stop_on_fault() -> None:
        assert writer.fault is not None
        fail(loop, writer.fault)

    writer = Writer(work.store, work.records, work.pairs, stop_on_fault, work.threads)
    admission.note_reservation = writer.note_reservation
    session = begin_session(work, config, observer, writer, clock)
    async with Deadlines(config.timeout, clock) as deadlines:
        loop = Loop(session, queue, admission, RequestSender(session, admission, deadlines))
        parts = SessionParts(admission, writer, deadlines, clock, queue)
        shared = SharingParts(loop, admission, limits.max_outage, clock, observer.event)
        async with (
            writer,
            session_in_view(work, observer, loop, parts),
            _shared(work.sharing, shared),
            _sent_by(work.fleet, loop),
        ):
            await loop.run(work.threads)
    return close_session(work, observer, states, writer, loop.stopped_by, clock())


def begin_session(
    work: StageRun, config: Config, observer: Observer, writer: Writer, clock: AwakeClock
) -> SessionContext:
    """Return what the parts of a session share."""
    retry = RetryPolicy(config.max_attempts, config.first_wait, random.Random(work.seed))
    limits = session_limits(work, config)
    return SessionContext(
        work.stage, work.records, writer, work.stats, retry, limits, work.trusted, clock, observer.say
    )


@dataclass(frozen=True, slots=True)
class SessionParts:
    """The parts of a session that people see and change while it works."""

    admission: AdmissionController
    writer: Writer
    deadlines: Deadlines
    clock: AwakeClock
    queue: WorkQueue | None = None
    batches: Callable[[], str] = str  #: the open batches by state, as text; "" without any


@contextlib.asynccontextmanager
async def session_in_view(
    work: StageRun, observer: Observer, loop: SteeredRun, parts: SessionParts
) -> AsyncIterator[None]:
    """Open what a session works in: its signals, its log without secrets, and what people see of it and change."""
    admission, clock = parts.admission, parts.clock
    parts.deadlines.on_fault = partial(fail, loop)
    signals = stopping_signals(loop, admission, parts.deadlines, work.drain_seconds, observer)
    with _fewer_collections(), signals as stop, _redacted_log(work.redactor):
        view = RunView(
            *(work.stats, admission, clock, _from_any_thread(stop), parts.deadlines.oldest_age),
            phase=work.stage.title,
            batches=parts.batches,
        )
        controls = ControlledParts(
            *(loop, parts.queue, admission, parts.writer, work.records, stop, clock, observer.event)
        )
        async with observer.watching(view), controlled(work.control, controls):
            yield


def close_session(
    work: StageRun,
    observer: Observer,
    states: Sequence[EndpointState],
    writer: Writer,
    stopped_by: Exception | None,
    now: float,
) -> SyphusError | None:
    """Keep what was learnt about the endpoints, and return what stopped the session.

    Raises `stopped_by`, with a note, if it is a bug in Syphus.
    """
    work.stats.stated_limits = _stated_limits(states)
    for state in states:
        if state.caches.has_keys and writer.fault is None:
            set_meta(work.store, state.caches.name, state.caches.dumps(time.time(), now))
    stopped_by = writer.fault or stopped_by
    for state in states:
        if state.disabled_by is not None and state.disabled_by is not stopped_by:
            observer.say(f"{state.endpoint.host} is no longer used: {state.disabled_by}")
    if writer.unsaved_ids:
        ids = ", ".join(writer.unsaved_ids[:5]) + (", ..." if len(writer.unsaved_ids) > 5 else "")
        observer.say(f"{pluralize(len(writer.unsaved_ids), 'answer')} arrived but could not be saved: {ids}")
    if stopped_by is not None and not isinstance(stopped_by, SyphusError):
        stopped_by.add_note(_BUG_NOTE)
        raise stopped_by
    return stopped_by


def _stated_limits(states: Sequence[EndpointState]) -> dict[str, float]:
    """Return the limits per minute that the servers state together, if all of them state one."""
    kinds = [set(state.stated_limits) for state in states]
    return {what: sum(state.stated_limits[what] for state in states) for what in set.intersection(*kinds)}


def _remotes(endpoint: EndpointConfig, work: StageRun) -> Sequence[Endpoint]:
    if work.fleet is not None:
        return work.fleet.endpoints(endpoint, work.redactor, work.route)
    from syphus.endpoints.remote_endpoint import RemoteEndpoint  # loads the SDK, which takes a while

    # as many connections as requests in flight, whose number may change
    return [RemoteEndpoint(endpoint, connections=0, redactor=work.redactor, route=work.route)]


def _per_minute(endpoint: EndpointConfig) -> Mapping[str, float]:
    given = {"requests": endpoint.requests_per_minute, "tokens": endpoint.tokens_per_minute}
    return {what: limit for what, limit in given.items() if limit is not None}


def _report_left_out(states: Sequence[EndpointState], observer: Observer, left_out: EndpointState) -> None:
    """Report that an endpoint is no longer used, if others remain; the reason for a stop says it of the last one."""
    others = [state.endpoint.host for state in states if state.disabled_by is None]
    if others:
        verb = "continues" if len(others) == 1 else "continue"
        reason = str(left_out.disabled_by).rstrip(".")
        end = "" if reason.endswith(("?", "!")) else "."
        observer.event(f"{left_out.endpoint.host} is left out: {reason}{end} {' and '.join(others)} {verb}.")


@contextlib.contextmanager
def _fewer_collections() -> Iterator[None]:
    """Collect garbage less often: a thousand requests are many live objects, and scanning them costs a fifth.

    What exists already lives to the end, and is not scanned again.
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
def stopping_signals(
    loop: Stoppable, admission: AdmissionController, deadlines: Deadlines, drain_seconds: float, observer: Observer
) -> Iterator[Callable[..., None]]:
    """Stop on Ctrl-C: the first sends nothing more and waits for the requests in flight, the second leaves at once.

    Yields a function that does the same, by whatever name people know the reason.
    """
    running = asyncio.get_running_loop()

    def stop(name: str = "Ctrl-C") -> None:
        if isinstance(loop.stopped_by, InterruptError):
            loop.stopped_by.immediate = True
            loop.abandon()
            return
        loop.stop(InterruptError(f"Stopped by {name}."))
        if admission.in_flight:
            requests = pluralize(admission.in_flight, "request")
            observer.say(
                f"Stopping: waiting up to {drain_seconds:g} s for {requests} in flight (Ctrl-C again stops at once)."
            )
        deadlines.call_after(drain_seconds, loop.abandon)

    before = {}
    with contextlib.suppress(ValueError, RuntimeError):  # not on the main thread, or not on Unix (NotImplementedError)
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:  # nohup has asked for that
                running.add_signal_handler(number, stop, "Ctrl-C" if number is signal.SIGINT else number.name)
                before[number] = handler
    try:
        yield stop
    finally:
        for number, handler in before.items():
            running.remove_signal_handler(number)
            signal.signal(number, handler)  # asyncio leaves the system's default behind


def _from_any_thread(function: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls another one in the event loop that is running now."""
    loop = asyncio.get_running_loop()

    def call() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(function)

    return call


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
