"""Follows a run from outside: shows how far it is, and stops it if it works in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from syphus.pipeline.admission import AdmissionController
    from syphus.pipeline.session_context import SessionStats

T = TypeVar("T")


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
    phase: str = "queries"  #: what the stage does, as people call it
    batches: Callable[[], str] = str  #: the open batches by state, as text; "" without any


class Observer:
    """Follows a run. This one does nothing: it is the base of those that show something, and for tests."""

    def reading(self, rows: int, share: float | None = None) -> None:
        """Called now and then with the number of input rows, or answers, that have been read; `share` is of all."""

    def converting(self, line: str) -> None:
        """Called with the progress of a conversion after each image."""

    def say(self, line: str) -> None:
        """Called with one line for a person to read now."""

    def note(self, line: str) -> None:
        """Called with one line for a log: what happened, for those who look later."""

    def event(self, line: str) -> None:
        """Called with one line about something that has just happened, such as an outage; it is shown with its time."""
        self.say(line)

    def confirm(self, question: str) -> bool | None:
        """Ask a person; return None if nobody is there to ask."""
        del question
        return None

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

    def note(self, line: str) -> None:
        self._observer.note(line)

    def event(self, line: str) -> None:
        self._observer.event(line)

    def confirm(self, question: str) -> bool | None:
        return self._observer.confirm(question)

    def reading(self, rows: int, share: float | None = None) -> None:
        """Raise `KeyboardInterrupt` if the work is to stop: nothing was sent yet."""
        self._check()
        self._observer.reading(rows, share)

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
