"""What people see while Syphus works: a live line on a terminal or in a notebook, plain lines anywhere else.

Everything goes to stderr, and to a log file if there is one. The displays read the numbers of the work and never touch
them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TextIO

from syphus.errors import ConfigError
from syphus.pipeline.observer import Observer, ProgressFormatter, RunView
from syphus.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY = 30.0  #: seconds between two plain lines
LIVE_EVERY = 0.25
_READING_EVERY = 5.0
_BAR_WIDTH = 24
_COLUMNS_FOR_BAR = 100  #: a narrower terminal gets no bar


class _Stream(Protocol):
    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


class PlainObserver(Observer):
    """Writes plain lines: to a pipe, a log file, or a terminal without cursor control."""

    is_live = False  #: whether a line is redrawn in place

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._shown_at = time.monotonic()

    def say(self, line: str) -> None:
        """Write a line. A reader that has gone away does not stop the run."""
        self._write(f"{printable(line)}\n")

    def reading(self, rows: int) -> None:
        """Show how many rows have been read, every few seconds."""
        if self._is_due(_READING_EVERY):
            self.say(f"reading: {rows:,} rows")

    def converting(self, line: str) -> None:
        """Show the progress of a conversion, every now and then."""
        if self._is_due(PLAIN_EVERY):
            self.say(line)

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
        formatter = ProgressFormatter(view)
        while True:
            await asyncio.sleep(PLAIN_EVERY)
            self.say(formatter.line())

    def _is_due(self, every: float) -> bool:
        now = time.monotonic()
        if now - self._shown_at < every:
            return False
        self._shown_at = now
        return True

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


class OneLineObserver(PlainObserver):
    """Redraws one line in place: in a notebook, whose output knows a carriage return and little else."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.is_live = True
        self._drawn = 0  # characters of the line that stands there

    def say(self, line: str) -> None:
        """Write a line above the one that is redrawn."""
        self.close()
        super().say(line)

    def reading(self, rows: int) -> None:
        """Show how many rows have been read."""
        if self._is_due(2 * LIVE_EVERY):
            self._draw(f"reading: {rows:,} rows")

    def converting(self, line: str) -> None:
        """Show the progress of a conversion."""
        if self._is_due(2 * LIVE_EVERY):
            self._draw(line)

    def close(self) -> None:
        """Remove the line that is redrawn."""
        if self._drawn:
            self._write(f"\r{' ' * self._drawn}\r")
            self._drawn = 0

    async def _show(self, view: RunView) -> None:
        formatter = ProgressFormatter(view)
        try:
            while True:
                self._draw(_bar(formatter) + formatter.line())
                await asyncio.sleep(2 * LIVE_EVERY)
        finally:
            self._draw(_bar(formatter) + formatter.line())
            self._write("\n")
            self._drawn = 0

    def _draw(self, line: str) -> None:
        line = printable(line)
        self._write(f"\r{line.ljust(self._drawn)}")
        self._drawn = len(line)


def _bar(formatter: ProgressFormatter) -> str:
    done = _BAR_WIDTH * formatter.done // max(1, formatter.total)
    return f"{'━' * done}{'╌' * (_BAR_WIDTH - done)} "


class LiveObserver(OneLineObserver):
    """Redraws a bar and its numbers on a terminal; other lines scroll above it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._terminal = stream
        self._progress: Progress | None = None

    def say(self, line: str) -> None:
        """Write a line above the bar, if there is one."""
        if self._progress is None:
            super().say(line)
        else:
            self._progress.console.print(printable(line), markup=False, highlight=False)

    async def _show(self, view: RunView) -> None:
        from rich.console import Console  # only a terminal needs it, and it takes its time to import
        from rich.progress import BarColumn, Progress, TextColumn

        formatter, console = ProgressFormatter(view), Console(file=self._terminal)
        columns = (
            *([BarColumn(bar_width=_BAR_WIDTH)] if console.width >= _COLUMNS_FOR_BAR else []),
            TextColumn("{task.fields[counts]}", markup=False),
            TextColumn("{task.fields[trouble]}", markup=False, style="yellow"),
        )
        with Progress(*columns, console=console, auto_refresh=False) as self._progress:
            task = self._progress.add_task("", total=view.stats.total, counts="", trouble="")
            try:
                while True:
                    self._update(self._progress, task, formatter)
                    await asyncio.sleep(LIVE_EVERY)
            finally:
                self._update(self._progress, task, formatter)
                self._progress = None

    @staticmethod
    def _update(bar: Progress, task: TaskID, formatter: ProgressFormatter) -> None:
        formatter.read()
        counts = f"{formatter.done:,}/{formatter.total:,}  {formatter.counts()}"
        bar.update(task, completed=formatter.done, counts=counts, trouble=formatter.trouble(), refresh=True)

    def _draw(self, line: str) -> None:
        self._write(f"\r\033[K{printable(line)}")
        self._drawn = 1

    def close(self) -> None:
        """Remove the line that is redrawn."""
        if self._drawn:
            self._write("\r\033[K")
            self._drawn = 0


class QuietObserver(PlainObserver):
    """Writes nothing but the closing lines of work that has failed."""

    def conclude(self, lines: Iterable[str], failed: bool) -> None:
        """Write the closing lines, if the work has failed."""
        for line in lines if failed else ():
            super().say(line)

    def say(self, line: str) -> None:
        """Drop the line."""

    def reading(self, rows: int) -> None:
        """Show nothing."""

    def converting(self, line: str) -> None:
        """Show nothing."""

    async def _show(self, view: RunView) -> None:
        pass


class LogObserver(PlainObserver):
    """Writes plain lines with times to a log file, those included that went to stdout."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(_Timestamped(file))

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

    def reading(self, rows: int) -> None:
        """Show how many rows have been read, on each."""
        for observer in self._observers:
            observer.reading(rows)

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
    """Return the display that suits the stream: a terminal, a notebook, or anything else. By default it is stderr."""
    stream = stream or sys.stderr
    if type(stream).__module__.startswith("ipykernel"):
        return OneLineObserver(stream)
    live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return LiveObserver(stream) if live else PlainObserver(stream)


@contextlib.contextmanager
def open_observer(quiet: bool = False, verbose: bool = False, log_file: Path | None = None) -> Iterator[PlainObserver]:
    """Open a display on stderr, unless `quiet`, and a log file if one is named; `verbose` adds each request's outcome.

    The log file is appended to, and gets everything even if `quiet`. Raises `ConfigError` if it can't be written.
    """
    with contextlib.ExitStack() as opened:
        observers = [QuietObserver(sys.stderr) if quiet else make_observer()]
        if log_file is not None:
            observers.append(LogObserver(opened.enter_context(_open_log(log_file))))
        observer = observers[0] if len(observers) == 1 else ObserverGroup(*observers)
        opened.callback(observer.close)
        if verbose:
            opened.enter_context(_debug_lines(observer))
        yield observer


def _open_log(path: Path) -> IO[str]:
    try:
        file = open(path, "a", encoding="utf-8", errors="replace", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
        os.set_blocking(file.fileno(), True)
        return file
    except OSError as error:
        raise ConfigError(f"--log-file {path} can't be written: {error.strerror}.") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody reads is an error, instead of a wait without end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


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
