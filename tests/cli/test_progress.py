"""What a person sees while a run works."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from syphus.config.pricing import Price
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.observer import ProgressFormatter, RunView
from syphus.pipeline.session_context import SessionLimits, SessionStats
from syphus.progress import LiveObserver, PlainObserver, make_observer
from syphus.types import State, Usage

ROOT = Path(__file__).resolve().parents[2]


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
    meter = ProgressFormatter(view)
    for second in range(1, 61):
        watch.now = float(second)
        view.stats.states[State.OK] += 2
        meter.read()
    assert meter.done == 720
    assert meter.rate() == pytest.approx(2.0, rel=0.02)
    assert "2 min left" in meter.line()
    assert meter.line().startswith("720/1,000")


@pytest.mark.parametrize("age", [0.0, 42.0])
def test_the_last_rows_never_have_no_time_left(age: float, view: RunView, watch: Watch) -> None:
    meter = ProgressFormatter(replace(view, oldest_age=lambda: age))
    (endpoint_state,) = view.admission.endpoint_states
    for _ in range(3):
        endpoint_state.start_call(100.0, 0.0)
    view.stats.states[State.OK] += 397
    watch.now = 60.0
    line = meter.line()
    assert " 0 s left" not in line
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
    assert "  $2.00 + $0.50 perhaps + $0.25 reserved" in ProgressFormatter(view).line()


def test_the_line_has_states_cost_and_errors_by_cause(view: RunView, watch: Watch) -> None:
    view.stats.states.update({State.OK: 5, State.INVALID: 2})
    view.stats.errors.update({"rate limit": 12, "timeout": 3})
    view.stats.usage = Usage(40_000, 2_000)
    watch.now = 1.0
    line = ProgressFormatter(view).line()
    for part in ("ok 605", "invalid 2", "42k tokens", "$2.00", "12 rate limit", "3 timeout"):
        assert part in line


def test_a_pause_is_told_with_the_time_it_ends(view: RunView, watch: Watch) -> None:
    endpoint_state = view.admission.endpoint_states[0]
    endpoint_state.pause(endpoint_state.start_call(100.0, 0.0), "tokens", wait=37.0, now=0.0)
    assert "waiting until" in ProgressFormatter(view).trouble()
    assert "api.example.com asks to wait (tokens)" in ProgressFormatter(view).trouble()
    watch.now = 38.0
    assert ProgressFormatter(view).trouble() == ""


def test_an_outage_is_told_with_the_time_it_began(view: RunView, watch: Watch) -> None:
    endpoint_state = view.admission.endpoint_states[0]
    endpoint_state.health.record_answer(0.0)
    for row in range(5):
        endpoint_state.health.record_failure(row, 0.0, 1.0)
    watch.now = 2.0
    assert "api.example.com down since" in ProgressFormatter(view).trouble()


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


@pytest.mark.parametrize("columns", ["120", "40"])
def test_on_a_terminal_there_is_a_bar(columns: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": columns}
    command = ["--name", "SpotTheDifference.change", "--offline", "--example", "--output_dir", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *command], stderr=theirs, stdout=subprocess.PIPE, env=environ
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the other side has closed
        pass
    os.close(ours)
    stdout = process.communicate()[0]
    assert process.returncode == 0
    assert ("━" in seen.decode()) == (columns == "120")
    assert b"24/24" in seen
    assert stdout == b""


def test_the_live_bar_is_for_terminals_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setenv("TERM", "xterm")
        assert type(make_observer(stream)) is LiveObserver
        monkeypatch.setenv("TERM", "dumb")
        assert type(make_observer(stream)) is PlainObserver
    os.close(ours)
