"""What a person sees while a run works: a live line on a terminal, plain lines anywhere else. All of it on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TextIO

from syphus.pipeline.engine import Observer, View
from syphus.terminal.meter import Meter
from syphus.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY = 30.0  #: seconds between two lines where there is no terminal
LIVE_EVERY = 0.25
_READING_EVERY = 5.0
_ROOM_FOR_A_BAR = 100  #: columns


def make_observer(stream: TextIO | None = None) -> Observer:
    """The right one for where the output goes."""
    stream = stream or sys.stderr
    live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return LiveObserver(stream) if live else PlainObserver(stream)


class PlainObserver(Observer):
    """Lines for a log file, a pipe, or a terminal that can do no more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told_at = time.monotonic()

    def say(self, line: str) -> None:
        """Prints a line; a reader that has gone away is no reason to stop a run."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{printable(line)}\n")
            self._stream.flush()

    def reading(self, rows: int) -> None:
        """Now and then, where reading takes long."""
        if time.monotonic() - self._told_at > _READING_EVERY:
            self._told_at = time.monotonic()
            self.say(f"reading: {rows:,} rows")

    @contextlib.asynccontextmanager
    async def watching(self, view: View) -> AsyncIterator[None]:
        """Shows how far the run is, on a timer of its own."""
        task = asyncio.create_task(self._show(view))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _show(self, view: View) -> None:
        meter = Meter(view)
        while True:
            await asyncio.sleep(PLAIN_EVERY)
            self.say(meter.line())


class LiveObserver(PlainObserver):
    """A bar and its numbers, redrawn in place; other lines scroll above it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bar: Progress | None = None

    def say(self, line: str) -> None:
        """Prints above the bar, if there is one."""
        if self._bar is None:
            super().say(line)
        else:
            self._bar.console.print(printable(line), markup=False, highlight=False)

    async def _show(self, view: View) -> None:
        from rich.console import Console  # only a terminal needs it, and it takes its time to import
        from rich.progress import BarColumn, Progress, TextColumn

        meter, console = Meter(view), Console(file=self._stream)
        columns = (
            *([BarColumn(bar_width=24)] if console.width >= _ROOM_FOR_A_BAR else []),
            TextColumn("{task.fields[counts]}", markup=False),
            TextColumn("{task.fields[trouble]}", markup=False, style="yellow"),
        )
        with Progress(*columns, console=console, auto_refresh=False) as self._bar:
            task = self._bar.add_task("", total=view.tally.total, counts="", trouble="")
            try:
                while True:
                    self._draw(self._bar, task, meter)
                    await asyncio.sleep(LIVE_EVERY)
            finally:
                self._draw(self._bar, task, meter)
                self._bar = None

    @staticmethod
    def _draw(bar: Progress, task: TaskID, meter: Meter) -> None:
        meter.read()
        counts = f"{meter.done:,}/{bar.tasks[task].total:,.0f}  {meter.counts()}"
        bar.update(task, completed=meter.done, counts=counts, trouble=meter.trouble(), refresh=True)
