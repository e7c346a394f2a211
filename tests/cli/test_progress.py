"""What a person sees while a run works."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from processes import MAIN, environment, start

from syphus.config.pricing import Price
from syphus.exchange import Usage
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.observer import RunView
from syphus.pipeline.progress_lines import ProgressFormatter, Segment, fit
from syphus.pipeline.session_context import SessionLimits, SessionStats
from syphus.progress import LiveObserver, PlainObserver, make_observer
from syphus.types import State


def noon() -> datetime:
    """A Tuesday, half past two."""
    return datetime(2026, 12, 1, 14, 31, 55, tzinfo=UTC)


class Watch:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Nowhere:
    """An endpoint that is never asked."""

    host = "api.example.com"

    async def send(self, body: bytes) -> None:
        raise AssertionError

    def renew_token(self) -> bool:
        return False

    async def close(self) -> None:
        return None


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def view(watch: Watch) -> RunView:
    limits = SessionLimits(threads=8, max_rounds=1, max_wait=60.0, max_outage=60.0, first_wait=0.5)
    endpoint_state = EndpointState(Nowhere(), limits, {}, now=0.0)  # type: ignore[arg-type]  # see Nowhere
    budget = Budget(Price(1e-6, 1e-6, 1e-6), None, None, cost=2.0, requests=0)
    stats = SessionStats(total=1000, states_before=Counter({State.OK: 600, State.PENDING: 400}))
    return RunView(stats, AdmissionController([endpoint_state], budget, TokenEstimate(100), watch), watch)


def test_the_time_left_comes_from_this_sessions_rate_alone(view: RunView, watch: Watch) -> None:
    meter = ProgressFormatter(view, noon)
    for second in range(1, 61):
        watch.now = float(second)
        view.stats.states[State.OK] += 2
        meter.read()
    assert meter.done == 720
    assert meter.rate() == pytest.approx(2.0, rel=0.02)
    assert "ETA 14:34 (2 min)" in meter.line()
    assert meter.line().startswith("queries  720 of 1,000  72%")


@pytest.mark.parametrize("age", [0.0, 42.0])
def test_the_last_rows_never_have_no_time_left(age: float, view: RunView, watch: Watch) -> None:
    meter = ProgressFormatter(replace(view, oldest_age=lambda: age))
    (endpoint_state,) = view.admission.endpoint_states
    for _ in range(3):
        endpoint_state.start_call(100.0, 0.0)
    view.stats.states[State.OK] += 397
    watch.now = 60.0
    line = meter.line()
    assert "(0 s)" not in line
    assert ("last 3 answers, for 42 s so far" in line) == (age > 0)


@pytest.mark.parametrize(("age", "shown"), [(10.0, ""), (130.0, "2 requests wait, the oldest for 2 min")])
def test_requests_that_wait_at_a_server_that_hangs_are_shown(
    age: float, shown: str, view: RunView, watch: Watch
) -> None:
    meter = ProgressFormatter(replace(view, oldest_age=lambda: age))
    (endpoint_state,) = view.admission.endpoint_states
    for _ in range(2):
        endpoint_state.start_call(100.0, 0.0)
    watch.now = age
    line = meter.line()
    assert shown in line
    assert ("0/min" in line) == (not shown)


def test_what_is_reserved_or_perhaps_billed_is_beside_the_cost(view: RunView) -> None:
    budget = view.admission.budget
    budget.maybe_billed, budget.max_cost = 0.5, 9.0
    budget.reserve(0.25)
    assert "  $2.00 of $9.00 (28%)  + $0.50 perhaps  + $0.25 reserved" in ProgressFormatter(view).line()


def test_the_line_has_states_cost_and_errors_by_cause(view: RunView, watch: Watch) -> None:
    view.stats.states.update({State.OK: 5, State.INVALID: 2})
    view.stats.errors.update({"rate limit": 12, "timeout": 3})
    view.stats.usage = Usage(40_000, 2_000)
    watch.now = 1.0
    line = ProgressFormatter(view).line()
    for part in ("ok 605", "invalid 2", "42k tokens", "$2.00", "12 rate limit", "3 timeout"):
        assert part in line


def test_a_pause_is_reported_with_the_time_it_ends(view: RunView, watch: Watch) -> None:
    endpoint_state = view.admission.endpoint_states[0]
    endpoint_state.pause(endpoint_state.start_call(100.0, 0.0), "tokens", wait=37.0, now=0.0)
    assert "waiting until" in ProgressFormatter(view).trouble()
    assert "api.example.com asks to wait (tokens)" in ProgressFormatter(view).trouble()
    watch.now = 38.0
    assert ProgressFormatter(view).trouble() == ""


def test_an_outage_is_reported_with_the_time_it_began(view: RunView, watch: Watch) -> None:
    endpoint_state = view.admission.endpoint_states[0]
    endpoint_state.health.record_answer(0.0)
    for row in range(5):
        endpoint_state.health.record_failure(row, 0.0, 1.0)
    watch.now = 2.0
    assert "api.example.com down since" in ProgressFormatter(view).trouble()


def test_down_is_said_after_several_failures_without_an_answer_between(view: RunView, watch: Watch) -> None:
    health = view.admission.endpoint_states[0].health
    watch.now = 2.0
    for row in range(3):
        assert "down" not in ProgressFormatter(view).trouble()
        health.record_failure(row, 1.0, 1.0)
    assert "down since" in ProgressFormatter(view).trouble()
    health.record_answer(2.0)
    assert ProgressFormatter(view).trouble() == ""


def test_without_a_terminal_there_are_plain_lines() -> None:
    stream = io.StringIO()
    observer = make_observer(stream)
    assert type(observer) is PlainObserver
    observer.say("a title \x1b]0;stolen\x07 and an end")
    assert "\x1b" not in stream.getvalue()


class ClosedPipe(io.StringIO):
    """What `| head` leaves behind."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_away_does_not_stop_anything() -> None:
    PlainObserver(ClosedPipe()).say("nobody reads this")


@pytest.mark.parametrize("width", [60, 80, 130])
def test_cost_share_of_the_budget_and_the_end_are_shown_at_any_width(width: int, view: RunView, watch: Watch) -> None:
    """The worst that a line may have to hold: two million rows, all states, errors, and a long wait."""
    view.stats.total = 2_000_000
    view.stats.states_before.update({State.OK: 1_000_000, State.PENDING: 999_000})
    view.stats.errors.update({"content filter on the prompt (violence: high)": 16_311, "server error 500": 8, "x": 1})
    view.stats.usage, view.stats.asked_again = Usage(289_900_000, 82_000_000, 120_000_000), 12_345
    budget = view.admission.budget
    budget.cost, budget.max_cost, budget.maybe_billed = 1235.73, 5000.0, 12.5
    (endpoint,) = view.admission.endpoint_states
    endpoint.pause(endpoint.start_call(100.0, 0.0), "tokens", wait=3700.0, now=0.0)
    meter = ProgressFormatter(replace(view, phase="round 1, without example 2"), noon)
    watch.now = 60.0
    view.stats.states.update({State.OK: 10_000, State.INVALID: 12_345, State.TRUNCATED: 1_234, State.REFUSED: 16_311})
    lines = meter.panel(width)
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    assert "ETA 14:55 (24 min)" in lines[0]
    assert "1,040,490 of 2,000,000" in lines[0]
    assert "$1,235.73 of $5,000.00 (25%)" in lines[1]
    assert "ok 1,010,600" in lines[1]
    assert "waiting until" in lines[2]
    assert ("retried" in lines[1]) == (width == 130)


@pytest.mark.parametrize(
    ("width", "kept"), [(30, "one  two  three"), (14, "one  two"), (9, "one  two"), (7, "one"), (2, "o…")]
)
def test_the_least_important_is_left_out_first(width: int, kept: str) -> None:
    assert fit([Segment("one", 0), Segment("two", 1), Segment("three", 2), Segment("", 9)], width) == kept


def test_made_up_answers_cost_nothing_and_say_why(view: RunView) -> None:
    view.admission.budget.cost, view.admission.budget.is_simulated = 0.0, True
    assert "  $0.00 (simulated)  " in ProgressFormatter(view).line()
    view.admission.budget.cost = 0.004
    assert "  under $0.01  " in ProgressFormatter(view).line()


class Screen:
    """What a terminal of so many columns shows: it knows the few sequences that we use, and fails for others."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[\d*[A-Za-z]|[^\x1b]", text):
            if not piece.startswith("\x1b"):
                self._put(piece)
            elif piece.endswith("A"):
                self.row -= int(piece[2:-1] or 1)
            elif piece == "\x1b[K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            elif piece == "\x1b[J":
                self.rows[self.row :] = [self.rows[self.row][: self.column]]
            else:
                assert piece.endswith("m"), piece

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        else:
            if self.column == self.columns:
                self._down()
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.rows):
            self.rows.append("")


def on_a_terminal(folder: Path, columns: int, *flags: str) -> tuple[Screen, str, int]:
    """Run the main job on its example on a terminal of so many columns.

    Return what the terminal shows in the end, all that was written to it, and the exit code.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = environment(TERM="xterm-256color")
    command = ["--name", "SpotTheDifference.change", "--example", "--output_dir", str(folder), *flags]
    started = start([sys.executable, str(MAIN), *command], folder, stdin=theirs, stderr=theirs, env=environ)
    with started as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # the other side has closed
            pass
        os.close(ours)
        assert process.communicate()[0] == ""
    screen = Screen(columns)
    screen.feed(seen.decode().replace("\r\n", "\n"))
    return screen, seen.decode(), process.returncode or 0


@pytest.mark.parametrize("columns", [60, 80, 130])
def test_on_a_terminal_two_lines_are_redrawn_and_collapse_into_one(columns: int, tmp_path: Path) -> None:
    screen, seen, code = on_a_terminal(tmp_path, columns, "--offline")
    assert code == 0
    assert "━" in seen
    assert "24 of 24" in seen
    assert "$0.00 (simulated)" in seen
    shown = "\n".join(screen.rows)
    assert "━" not in shown
    assert re.search(r"^queries: 24 of 24 in \d+ s: 24 ok; \$0.00 \(simulated\) so far$", shown, re.MULTILINE)


def test_the_closing_table_fits_80_columns_and_ends_with_commands(tmp_path: Path) -> None:
    screen, _, code = on_a_terminal(tmp_path, 80, "--offline", "--max-requests", "9")
    assert code == 4
    shown = screen.rows
    head = next(i for i, row in enumerate(shown) if row.startswith("24 queries, "))
    assert shown[head].endswith("$0.00 (simulated), 1 session")
    assert re.fullmatch(r"  ok +\d +\d+%", shown[head + 1])
    assert re.fullmatch(r"  pending +\d+ +\d+%", shown[head + 2])
    text = "".join(row.ljust(80) if len(row) == 80 else f"{row}\n" for row in shown)
    assert re.search(r"^resume  .*main.py .*--max-requests N$", text, re.MULTILINE)
    assert re.search(r"^export  .*main.py export .* --format llava$", text, re.MULTILINE)


def test_lines_scroll_above_the_panel_and_a_narrower_terminal_leaves_nothing_behind(view: RunView) -> None:
    stream, columns = io.StringIO(), 60
    observer = LiveObserver(stream, noon, lambda: columns)

    async def watch_for_a_moment() -> None:
        async with observer.watching(view):
            await asyncio.sleep(0)
            observer.event("the endpoint is down")
            observer.say("a line")

    asyncio.run(watch_for_a_moment())
    screen = Screen(60)
    screen.feed(stream.getvalue())
    assert screen.rows[:2] == ["14:31:55 the endpoint is down", "a line"]
    assert screen.rows[2].startswith("queries: 0 of 400")
    assert screen.rows[3:] == [""]


def test_plain_lines_about_progress_begin_with_the_time(view: RunView) -> None:
    stream = io.StringIO()

    async def watch_for_a_moment() -> None:
        async with PlainObserver(stream, noon, every=0.0).watching(view):
            await asyncio.sleep(0.01)

    asyncio.run(watch_for_a_moment())
    assert stream.getvalue().startswith("2026-12-01 14:31:55 queries  600 of 1,000  60%  $2.00  ETA -  ok 600")


def test_reading_shows_rows_and_their_share() -> None:
    stream = io.StringIO()
    PlainObserver(stream, noon, every=0.0).reading(144_000, 0.07)
    assert stream.getvalue() == "2026-12-01 14:31:55 reading: 144,000 rows  7%\n"


def test_the_live_bar_is_for_terminals_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setenv("TERM", "xterm")
        assert type(make_observer(stream)) is LiveObserver
        monkeypatch.setenv("TERM", "dumb")
        assert type(make_observer(stream)) is PlainObserver
    os.close(ours)
