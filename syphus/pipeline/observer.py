"""Follows a run from outside: shows how far it is, and stops it if it works in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from syphus.errors import InterruptError

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


class Observer:
    """Follows a run. This one does nothing: it is the base of those that show something, and for tests."""

    def reading(self, rows: int) -> None:
        """Called now and then with the number of input rows, or answers, that have been read."""

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
        """Raise `InterruptError` if the work is to stop: nothing was sent yet."""
        if self._stopped:
            raise InterruptError("Stopped.")
        self._observer.reading(rows)

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

    In that thread Ctrl-C, or "Interrupt" in a notebook, stops it as it does on the command line.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work(observer)
    stoppable = _StoppableObserver(observer)
    with ThreadPoolExecutor(1, "syphus") as thread:
        future = thread.submit(copy_context().run, work, stoppable)
        while True:
            try:
                return future.result()
            except KeyboardInterrupt:
                if future.done():
                    raise
                stoppable.stop()


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
