"""Follows a run from outside: shows how far it is, and stops it if it works in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from syphus.text import format_dollars, format_duration, pluralize
from syphus.types import State

if TYPE_CHECKING:
    from syphus.pipeline.admission import AdmissionController
    from syphus.pipeline.budget import Budget
    from syphus.pipeline.session_context import SessionStats

T = TypeVar("T")

RATE_OVER = 120.0  #: seconds that the rate is averaged over
_TOP_CAUSES = 3  #: causes of errors that are shown
_LONG_WAIT, _UNUSUAL = 20.0, 3.0  #: seconds, and times the usual latency: a request that waits longer is shown
_NOTABLE_WAIT = 5.0  #: seconds; a shorter wait for a limit is not shown


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class RunView:
    """What an observer can see of a running stage."""

    stats: SessionStats
    admission: AdmissionController
    clock: Callable[[], float]
    stop: Callable[[], None] = _do_nothing  #: acts like Ctrl-C; may be called from any thread
    oldest_age: Callable[[], float] = lambda: 0.0  #: seconds that the oldest request in flight has taken so far


class Observer:
    """Follows a run. This one does nothing: it is the base of those that show something, and for tests."""

    def reading(self, rows: int) -> None:
        """Called now and then with the number of input rows, or answers, that have been read."""

    def converting(self, line: str) -> None:
        """Called with the progress of a conversion after each image."""

    def say(self, line: str) -> None:
        """Called with one line for a person to read now."""

    @contextlib.asynccontextmanager
    async def watching(self, view: RunView) -> AsyncIterator[None]:  # noqa: ARG002 - for those who do look
        """Return a context manager that is entered while the stage runs."""
        yield


class _StoppableObserver(Observer):
    """Passes everything on to another observer, and can stop the work that reports to it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._stop_stage: Callable[[], None] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Stop the work: at its next report, or its stage as the first or second Ctrl-C does. Thread-safe."""
        self._stopped = True
        if self._stop_stage is not None:
            self._stop_stage()

    def say(self, line: str) -> None:
        self._observer.say(line)

    def reading(self, rows: int) -> None:
        """Raise `KeyboardInterrupt` if the work is to stop: nothing was sent yet."""
        self._check()
        self._observer.reading(rows)

    def converting(self, line: str) -> None:
        """Raise `KeyboardInterrupt` if the work is to stop: a conversion resumes after any end."""
        self._check()
        self._observer.converting(line)

    def _check(self) -> None:
        if self._stopped:
            raise KeyboardInterrupt

    @contextlib.asynccontextmanager
    async def watching(self, view: RunView) -> AsyncIterator[None]:
        self._stop_stage = view.stop
        if self._stopped:
            view.stop()
        try:
            async with self._observer.watching(view):
                yield
        finally:
            self._stop_stage = None


def call(work: Callable[[Observer], T], observer: Observer) -> T:
    """Do the work, in a thread of its own if an event loop is running in this one; return what it returns.

    In that thread Ctrl-C, or "Interrupt" in a notebook, stops it as it does on the command line. Raises
    `KeyboardInterrupt` if it was stopped where there is no result to return.
    """
    try:
        return _call_in_thread(work, observer) if _is_in_event_loop() else work(observer)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # what was being done at that moment is no help to the caller


def _call_in_thread(work: Callable[[Observer], T], observer: Observer) -> T:
    stoppable = _StoppableObserver(observer)
    with ThreadPoolExecutor(1, "syphus") as thread, _on_ctrl_c(stoppable.stop):
        future = thread.submit(copy_context().run, work, stoppable)
        while True:
            try:
                return future.result()
            except KeyboardInterrupt:
                if future.done():
                    raise
                stoppable.stop()


@contextlib.contextmanager
def _on_ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on Ctrl-C. The handler of `asyncio.run` would only cancel a task that is blocked meanwhile."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def call_async(work: Callable[[Observer], T], observer: Observer) -> T:
    """Do the work in a thread of its own; a cancellation stops it, and waits until it has saved what is in flight."""
    stoppable = _StoppableObserver(observer)
    thread = ThreadPoolExecutor(1, "syphus")
    future: Future[T] = thread.submit(copy_context().run, work, stoppable)
    thread.shutdown(wait=False)
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        while not waiting.done():
            stoppable.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([waiting])
        if not waiting.cancelled():
            waiting.exception()  # it is the cancellation that counts
        raise


class ProgressFormatter:
    """Formats the progress of a run: how far it is, how fast, and what it is waiting for."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._readings: deque[tuple[float, int]] = deque([(view.clock(), 0)])

    @property
    def done(self) -> int:
        """Queries with an outcome, over all sessions."""
        stats = self._view.stats
        return stats.total - stats.states_before[State.PENDING] + stats.done

    @property
    def total(self) -> int:
        """Queries of the run."""
        return self._view.stats.total

    def read(self) -> None:
        """Record the current progress, for the rate."""
        now = self._view.clock()
        self._readings.append((now, self._view.stats.done))
        while len(self._readings) > 2 and now - self._readings[0][0] > RATE_OVER:
            self._readings.popleft()

    def rate(self) -> float:
        """Return the outcomes per second of this session, averaged over the last two minutes."""
        (began, before), (now, done) = self._readings[0], self._readings[-1]
        return (done - before) / (now - began) if now > began else 0.0

    def counts(self) -> str:
        """Return `ok 5,180  invalid 21  retried 3  498/min  61k tokens  $2.07  16 min left`."""
        stats, budget = self._view.stats, self._view.admission.budget
        parts = [
            f"{state} {stats.in_state(state):,}"
            for state in State
            if state is not State.PENDING and (stats.in_state(state) or state is State.OK)
        ]
        if stats.asked_again:
            parts.append(f"retried {stats.asked_again:,}")
        rate = self.rate()
        if rate * 60 >= 1 or not self._waiting():
            parts.append(f"{rate * 60:,.0f}/min" if rate < 20 else f"{rate:,.0f}/s")
        parts.append(self._waiting())
        usage = stats.usage
        parts.append(f"{(usage.prompt_tokens + usage.completion_tokens) / 1000:,.0f}k tokens")
        if usage.cached_tokens or usage.cache_write_tokens:
            parts.append(f"{usage.read_share:.0%} from the cache")
        if money := _money(budget):
            parts.append(money)
        parts.append(self._left(rate))
        return "  ".join(filter(None, parts))

    def _waiting(self) -> str:
        """Return `16 requests wait, the oldest for 2 min`, if the oldest takes much longer than answers usually do."""
        in_flight, age = self._view.admission.in_flight, self._view.oldest_age()
        usual = max((state.latencies.usual() or 0.0 for state in self._view.admission.endpoint_states), default=0.0)
        if not in_flight or age <= max(_LONG_WAIT, _UNUSUAL * usual) or self.total - self.done <= in_flight:
            return ""
        waits = "waits" if in_flight == 1 else "wait, the oldest"
        return f"{pluralize(in_flight, 'request')} {waits} for {format_duration(age)}"

    def _left(self, rate: float) -> str:
        """Return `16 min left`, or at the end of a run what it waits for: `last 3 answers, for 42 s so far`.

        A rate says nothing about the last rows, which are all in flight: each of them takes as long as it takes.
        """
        rows = self.total - self.done
        if not rows or rate <= 0:
            return ""
        in_flight, age = self._view.admission.in_flight, self._view.oldest_age()
        usual = max((state.latencies.usual() or 0.0 for state in self._view.admission.endpoint_states), default=0.0)
        if rows <= in_flight and age > max(_NOTABLE_WAIT, usual):
            return f"last {pluralize(rows, 'answer')}, for {format_duration(age)} so far"
        return f"{format_duration(max(1.0, rows / rate, usual if in_flight else 0.0))} left"

    def trouble(self) -> str:
        """Return the errors by cause, and what the run is waiting for; "" if all is well."""
        parts = [f"{count:,} {cause}" for cause, count in self._view.stats.errors.most_common(_TOP_CAUSES)]
        now = self._view.clock()
        for lane in self._view.admission.endpoint_states:
            host = lane.endpoint.host
            if lane.disabled_by is not None:
                parts.append(f"{host} is no longer used")
            elif lane.health.down_since is not None:
                parts.append(f"{host} down since {_clock_time(lane.health.down_since - now)}")
            elif lane.paused_until > now + 1:
                limit = f" ({lane.paused_for})" if lane.paused_for else ""
                parts.append(f"waiting until {_clock_time(lane.paused_until - now)}: {host} asks to wait{limit}")
        held = self._view.admission.waiting_until - now
        if held > _NOTABLE_WAIT and not parts:
            parts.append(f"waiting until {_clock_time(held)} for the limit{self._limits()}")
        return "  ".join(parts)

    def _limits(self) -> str:
        """Return ` of 60 requests and 90,000 tokens per minute`."""
        stated = [
            f"{limit:,.6g} {what}"
            for lane in self._view.admission.endpoint_states
            for what, limit in lane.per_minute.items()
        ]
        return f" of {' and '.join(stated)} per minute" if stated else ""

    def line(self) -> str:
        """Return everything in one line."""
        self.read()
        trouble = self.trouble()
        return f"{self.done:,}/{self.total:,}  {self.counts()}" + (f"  [{trouble}]" if trouble else "")


def _money(budget: Budget) -> str:
    """Return what is spent, and beside it what may have been billed or is set aside for requests in flight."""
    if budget.price is None or not budget.committed:
        return ""
    beside = [f"{format_dollars(budget.maybe_billed)} perhaps"] if budget.maybe_billed else []
    if budget.max_cost is not None and budget.reserved > 0:
        beside.append(f"{format_dollars(budget.reserved)} reserved")
    spent = [format_dollars(budget.cost)] if budget.cost or beside else []
    return " + ".join([*spent, *beside])


def _clock_time(seconds: float) -> str:
    """Return the wall-clock time in `seconds` from now; negative for the past."""
    return f"{datetime.now().astimezone() + timedelta(seconds=seconds):%H:%M:%S}"
