"""What people see while Syphus works: a few live lines on a terminal or in a notebook, plain lines anywhere else.

Everything goes to stderr, and to a log file if there is one. The displays read the numbers of the work and never touch
them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol, TextIO

from syphus.io.durable import open_log
from syphus.io.terminal import Panel
from syphus.pipeline.observer import Observer, RunView
from syphus.pipeline.progress_lines import ProgressFormatter, StopWatch, draw_bar, local_time
from syphus.storage.local_copies import fetch_notice
from syphus.text import printable

PLAIN_EVERY = 30.0  #: seconds between two plain lines
LIVE_EVERY = 0.25
_TIME, _DAY_AND_TIME = "%H:%M:%S", "%Y-%m-%d %H:%M:%S"  # of an event; of progress, as work may take days
_BAR_WIDTH = 24  # in a notebook
_YES = re.compile(r"y(es)?", re.IGNORECASE)


class _Stream(Protocol):
    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


class PlainObserver(Observer):
    """Writes plain lines: to a pipe, a log file, or a terminal without cursor control.

    Lines about progress and events begin with the time. `now` gives the time of day, and `every` is the number of
    seconds between two lines about progress.
    """

    is_live = False  #: whether lines are redrawn in place

    def __init__(self, stream: _Stream, now: Callable[[], datetime] = local_time, every: float = PLAIN_EVERY) -> None:
        self._stream = stream
        self._now = now
        self._every = every
        self._watch = StopWatch()

    def say(self, line: str) -> None:
        """Write a line. A reader that has gone away does not stop the run."""
        self._write(f"{printable(line)}\n")

    def event(self, line: str) -> None:
        """Write a line with the time of day."""
        self._say_at(_TIME, line)

    def reading(self, rows: int, share: float | None = None) -> None:
        """Show how many rows have been read, every now and then."""
        if self._watch.is_due(self._every):
            self._say_at(_DAY_AND_TIME, _reading_line(rows, share))

    def converting(self, line: str) -> None:
        """Show the progress of a conversion, every now and then."""
        if self._watch.is_due(self._every):
            self._say_at(_DAY_AND_TIME, line)

    @contextlib.asynccontextmanager
    async def watching(self, view: RunView) -> AsyncIterator[None]:
        """Show the progress of a stage while it runs."""
        task = asyncio.create_task(self._show(view))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def conclude(self, lines: Iterable[str], failed: bool) -> None:
        """Write the closing lines of the work; `failed` says that not everything is done."""
        del failed  # a quiet display looks at it
        for line in lines:
            self.say(line)

    def record(self, lines: Iterable[str]) -> None:
        """Take lines that have gone to stdout, for a log file."""

    def close(self) -> None:
        """End the display."""

    async def _show(self, view: RunView) -> None:
        formatter = ProgressFormatter(view, self._now)
        while True:
            await asyncio.sleep(self._every)
            self._say_at(_DAY_AND_TIME, formatter.line())

    def _say_at(self, form: str, line: str) -> None:
        self.say(f"{self._now():{form}} {line}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def _reading_line(rows: int, share: float | None) -> str:
    return f"reading: {rows:,} rows" + ("" if share is None else f"  {share:.0%}")


class OneLineObserver(PlainObserver):
    """Redraws one line in place: in a notebook, whose output knows a carriage return and little else."""

    def __init__(self, stream: TextIO, now: Callable[[], datetime] = local_time) -> None:
        super().__init__(stream, now)
        self.is_live = True
        self._drawn = 0  # characters of the line that stands there

    def say(self, line: str) -> None:
        """Write a line above the one that is redrawn."""
        self.close()
        super().say(line)

    def reading(self, rows: int, share: float | None = None) -> None:
        """Show how many rows have been read."""
        if self._watch.is_due(2 * LIVE_EVERY):
            self._draw(_reading_line(rows, share))

    def converting(self, line: str) -> None:
        """Show the progress of a conversion."""
        if self._watch.is_due(2 * LIVE_EVERY):
            self._draw(line)

    def close(self) -> None:
        """Remove the line that is redrawn."""
        if self._drawn:
            self._write(f"\r{' ' * self._drawn}\r")
            self._drawn = 0

    async def _show(self, view: RunView) -> None:
        formatter = ProgressFormatter(view, self._now)

        def draw() -> None:
            self._draw(f"{draw_bar(formatter.done, formatter.total, _BAR_WIDTH)} {formatter.line()}")

        try:
            while True:
                draw()
                await asyncio.sleep(2 * LIVE_EVERY)
        finally:
            draw()
            self._write("\n")
            self._drawn = 0

    def _draw(self, line: str) -> None:
        line = printable(line)
        self._write(f"\r{line.ljust(self._drawn)}")
        self._drawn = len(line)


class LiveObserver(PlainObserver):
    """Redraws two or three lines on a terminal; other lines scroll above them.

    A stage that has ended leaves one line. `columns` gives the width of the terminal; `answer` reads a line that a
    person types, and is None where nobody can.
    """

    is_live = True

    def __init__(
        self,
        stream: TextIO,
        now: Callable[[], datetime] = local_time,
        columns: Callable[[], int] | None = None,
        answer: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(stream, now)
        self._panel = Panel(stream, columns)
        self._answer = answer
        self._is_watching = False

    def say(self, line: str) -> None:
        """Write a line above the progress of a stage; how much has been read is out of date by then."""
        if not self._is_watching:
            self._panel.erase()
        self._panel.say(f"{printable(line)}\n")

    def reading(self, rows: int, share: float | None = None) -> None:
        """Show how many rows have been read."""
        if self._watch.is_due(LIVE_EVERY):
            self._panel.draw([_reading_line(rows, share)])

    def converting(self, line: str) -> None:
        """Show the progress of a conversion."""
        if self._watch.is_due(LIVE_EVERY):
            self._panel.draw([line])

    def confirm(self, question: str) -> bool | None:
        """Ask a question that is answered by y or n; anything but y is a no. None if nobody can answer."""
        if self._answer is None:
            return None
        self._panel.ask(f"{printable(question)} [y/N] ")
        return bool(_YES.fullmatch(self._answer().strip()))

    def close(self) -> None:
        """Remove the lines that are redrawn."""
        self._panel.erase()

    async def _show(self, view: RunView) -> None:
        formatter, panel, self._is_watching = ProgressFormatter(view, self._now), self._panel, True
        with panel.others_above():
            try:
                while True:
                    panel.draw(formatter.panel(panel.width))
                    await asyncio.sleep(LIVE_EVERY)
            finally:
                panel.draw(formatter.panel(panel.width))
                panel.erase()
                self._is_watching = False
                self.say(formatter.summary())


class QuietObserver(PlainObserver):
    """Writes nothing but the closing lines of work that has failed."""

    def conclude(self, lines: Iterable[str], failed: bool) -> None:
        """Write the closing lines, if the work has failed."""
        for line in lines if failed else ():
            super().say(line)

    def say(self, line: str) -> None:
        """Drop the line."""

    def reading(self, rows: int, share: float | None = None) -> None:
        """Show nothing."""

    def converting(self, line: str) -> None:
        """Show nothing."""

    async def _show(self, view: RunView) -> None:
        pass


class LogObserver(PlainObserver):
    """Writes plain lines with times to a log file, those included that went to stdout."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(_Timestamped(file))

    def _say_at(self, form: str, line: str) -> None:
        del form  # each line has its time
        self.say(line)

    def record(self, lines: Iterable[str]) -> None:
        """Write lines that have gone to stdout."""
        for line in lines:
            self.say(line)


class ObserverGroup(PlainObserver):
    """Passes everything on to several observers, such as a terminal and a log file."""

    def __init__(self, *observers: PlainObserver) -> None:
        self._observers = observers
        self.is_live = any(observer.is_live for observer in observers)

    def say(self, line: str) -> None:
        """Write a line to each."""
        for observer in self._observers:
            observer.say(line)

    def event(self, line: str) -> None:
        """Write a line about what has just happened to each."""
        for observer in self._observers:
            observer.event(line)

    def note(self, line: str) -> None:
        """Write a line to each log."""
        for observer in self._observers:
            observer.note(line)

    def confirm(self, question: str) -> bool | None:
        """Ask on the first that can."""
        answers = (observer.confirm(question) for observer in self._observers)
        return next((answer for answer in answers if answer is not None), None)

    def reading(self, rows: int, share: float | None = None) -> None:
        """Show how many rows have been read, on each."""
        for observer in self._observers:
            observer.reading(rows, share)

    def converting(self, line: str) -> None:
        """Show the progress of a conversion, on each."""
        for observer in self._observers:
            observer.converting(line)

    def conclude(self, lines: Iterable[str], failed: bool) -> None:
        """Write the closing lines to each."""
        lines = list(lines)
        for observer in self._observers:
            observer.conclude(lines, failed)

    def record(self, lines: Iterable[str]) -> None:
        """Pass on lines that have gone to stdout."""
        lines = list(lines)
        for observer in self._observers:
            observer.record(lines)

    @contextlib.asynccontextmanager
    async def watching(self, view: RunView) -> AsyncIterator[None]:
        """Show the progress of a stage while it runs, on each."""
        async with contextlib.AsyncExitStack() as shown:
            for observer in self._observers:
                await shown.enter_async_context(observer.watching(view))
            yield

    def close(self) -> None:
        """End each display."""
        for observer in self._observers:
            observer.close()


class _Timestamped:
    """The stream of a log file: each line begins with the time."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str, /) -> int:
        now = f"{datetime.now().astimezone().isoformat(timespec='seconds')} "
        return self._file.write("".join(f"{now}{line}\n" for line in text.splitlines()))

    def flush(self) -> None:
        self._file.flush()


class _DebugLines(logging.Handler):
    """Shows the debug messages of Syphus as lines."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.DEBUG)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        self._observer.say(record.getMessage())


def make_observer(stream: TextIO | None = None) -> PlainObserver:
    """Return the display that suits the stream, by default stderr: a terminal, a notebook, or anything else."""
    stream = stream or sys.stderr
    if type(stream).__module__.startswith("ipykernel"):
        return OneLineObserver(stream)
    if not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return PlainObserver(stream)
    return LiveObserver(stream, answer=sys.stdin.readline if sys.stdin is not None and sys.stdin.isatty() else None)


@contextlib.contextmanager
def open_observer(quiet: bool = False, verbose: bool = False, log_file: Path | None = None) -> Iterator[PlainObserver]:
    """Open a display on stderr, unless `quiet`, and a log file if one is named; `verbose` adds each request's outcome.

    The log file is appended to, and gets everything even if `quiet`. Raises `ConfigError` if it can't be written.
    """
    with contextlib.ExitStack() as opened:
        observers = [QuietObserver(sys.stderr) if quiet else make_observer()]
        if log_file is not None:
            observers.append(LogObserver(opened.enter_context(open_log(log_file))))
        observer = observers[0] if len(observers) == 1 else ObserverGroup(*observers)
        opened.callback(observer.close)
        opened.callback(fetch_notice.set, fetch_notice.get())
        fetch_notice.set(observer.say)
        if verbose:
            opened.enter_context(_debug_lines(observer))
        yield observer


@contextlib.contextmanager
def _debug_lines(observer: Observer) -> Iterator[None]:
    logger, handler = logging.getLogger("syphus"), _DebugLines(observer)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
