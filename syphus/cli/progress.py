"""What a person sees while a run works: a live line on a terminal, plain lines anywhere else. All of it on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TextIO

from syphus.pipeline.engine import Observer, RunView
from syphus.text import format_dollars, format_duration, printable
from syphus.types import State

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# FOLDED from meter.py:
# How far a run is, how fast, and what it is waiting for, as text. Reads the loop's numbers and touches nothing.

RATE_OVER = 120.0  #: seconds that the rate is averaged over
_CAUSES = 3  #: that are shown
_WORTH_TELLING = 5.0  #: seconds that a limit holds everything


class ProgressFormatter:
    """Takes a reading of the run whenever it is asked for a line."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._readings: deque[tuple[float, int]] = deque([(view.clock(), 0)])

    @property
    def done(self) -> int:
        """Queries with an outcome, over all sessions."""
        stats = self._view.stats
        return stats.total - stats.states_before[State.PENDING] + stats.done

    def read(self) -> None:
        """Notes where the run is, for the rate."""
        now = self._view.clock()
        self._readings.append((now, self._view.stats.done))
        while len(self._readings) > 2 and now - self._readings[0][0] > RATE_OVER:
            self._readings.popleft()

    def rate(self) -> float:
        """Outcomes a second, of late, in this session."""
        (began, before), (now, done) = self._readings[0], self._readings[-1]
        return (done - before) / (now - began) if now > began else 0.0

    def counts(self) -> str:
        """`ok 5,180  invalid 21  asked again 3  498/min  61k tokens  $2.07  left 16 min`."""
        stats, budget = self._view.stats, self._view.admission.budget
        parts = [
            f"{state} {stats.in_state(state):,}"
            for state in State
            if state is not State.PENDING and (stats.in_state(state) or state is State.OK)
        ]
        if stats.asked_again:
            parts.append(f"asked again {stats.asked_again:,}")
        rate = self.rate()
        parts.append(f"{rate * 60:,.0f}/min" if rate < 20 else f"{rate:,.0f}/s")
        usage = stats.usage
        parts.append(f"{(usage.prompt_tokens + usage.completion_tokens) / 1000:,.0f}k tokens")
        if budget.price is not None and budget.cost:
            parts.append(format_dollars(budget.cost))
        if rate > 0:
            parts.append(f"left {format_duration((stats.total - self.done) / rate)}")
        return "  ".join(parts)

    def trouble(self) -> str:
        """Errors by cause, and what is being waited for; empty where all is well."""
        parts = [f"{count:,} {cause}" for cause, count in self._view.stats.errors.most_common(_CAUSES)]
        now = self._view.clock()
        for lane in self._view.admission.endpoint_states:
            host = lane.endpoint.host
            if lane.disabled_by is not None:
                parts.append(f"{host} is left out")
            elif lane.health.down_since is not None:
                parts.append(f"{host} down since {_at(lane.health.down_since - now)}")
            elif lane.paused_until > now + 1:
                what = f" ({lane.paused_for})" if lane.paused_for else ""
                parts.append(f"waiting until {_at(lane.paused_until - now)}: {host} asks for it{what}")
        held = self._view.admission.waiting_until - now
        if held > _WORTH_TELLING and not parts:
            parts.append(f"waiting until {_at(held)} for the limit{self._limits()}")
        return "  ".join(parts)

    def _limits(self) -> str:
        """` of 60 requests and 90,000 tokens a minute`."""
        stated = [
            f"{limit:,.6g} {what}"
            for lane in self._view.admission.endpoint_states
            for what, limit in lane.per_minute.items()
        ]
        return f" of {' and '.join(stated)} a minute" if stated else ""

    def line(self) -> str:
        """Everything in one line."""
        self.read()
        trouble = self.trouble()
        return f"{self.done:,}/{self._view.stats.total:,}  {self.counts()}" + (f"  [{trouble}]" if trouble else "")


def _at(seconds: float) -> str:
    """The wall clock so many seconds from now, or before now."""
    return f"{datetime.now().astimezone() + timedelta(seconds=seconds):%H:%M:%S}"


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
    async def watching(self, view: RunView) -> AsyncIterator[None]:
        """Shows how far the run is, on a timer of its own."""
        task = asyncio.create_task(self._show(view))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _show(self, view: RunView) -> None:
        meter = ProgressFormatter(view)
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

    async def _show(self, view: RunView) -> None:
        from rich.console import Console  # only a terminal needs it, and it takes its time to import
        from rich.progress import BarColumn, Progress, TextColumn

        meter, console = ProgressFormatter(view), Console(file=self._stream)
        columns = (
            *([BarColumn(bar_width=24)] if console.width >= _ROOM_FOR_A_BAR else []),
            TextColumn("{task.fields[counts]}", markup=False),
            TextColumn("{task.fields[trouble]}", markup=False, style="yellow"),
        )
        with Progress(*columns, console=console, auto_refresh=False) as self._bar:
            task = self._bar.add_task("", total=view.stats.total, counts="", trouble="")
            try:
                while True:
                    self._draw(self._bar, task, meter)
                    await asyncio.sleep(LIVE_EVERY)
            finally:
                self._draw(self._bar, task, meter)
                self._bar = None

    @staticmethod
    def _draw(bar: Progress, task: TaskID, meter: ProgressFormatter) -> None:
        meter.read()
        counts = f"{meter.done:,}/{bar.tasks[task].total:,.0f}  {meter.counts()}"
        bar.update(task, completed=meter.done, counts=counts, trouble=meter.trouble(), refresh=True)
