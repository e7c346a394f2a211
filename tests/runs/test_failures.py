"""What went wrong in a run, by cause: real runs against a simulated endpoint that fails some rows on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import run_rows, server

from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.runs.failures import advise, failure_lines
from syphus.runs.reader import RunReader
from syphus.types import State

TEXTS = {f"r{i:02d}": f"the blue car has moved, row {i}" for i in range(20)} | {
    "cut1": "cut me, the door is open",
    "cut2": "cut me, a bench is gone",
    "no1": "refuse me, a man sleeps",
    "void": " ",
}
POISON = {"cut me": "truncated", "refuse me": "refusal"}
PRICES = {"prices": {"chat": {"input": 1.0, "output": 2.0}, "simulated-chat": {"input": 1.0, "output": 2.0}}}


def test_causes_have_rows_money_examples_and_what_would_help(tmp_path: Path) -> None:
    with server(poison=POISON) as simulated:
        ran = run_rows(tmp_path, simulated.url, TEXTS, config=PRICES, max_rounds=1)
    with RunReader(ran.folder) as run:
        found = run.failures()
        status = run.status()
    by_state = {each.state: each for each in found.causes}
    assert {state: each.rows for state, each in by_state.items()} == {
        state: count for state, count in ran.states.items() if state is not State.OK
    }
    assert by_state[State.TRUNCATED].examples == ("cut1", "cut2")
    assert by_state[State.TRUNCATED].share == pytest.approx(2 / 24)
    assert by_state[State.FAILED].answers == 0
    assert all(each.cost is not None and each.cost > 0 for each in found.causes if each.answers)
    assert status.cost is not None
    assert sum(each.cost or 0 for each in found.causes) < status.cost
    lines = list(failure_lines(found, "RUN", "syphus"))
    assert any("--max-tokens" in line for line in lines)
    assert "    retry    syphus resume RUN --retry truncated" in "\n".join(lines)
    assert found.as_json()["rows"] == 24


def test_a_run_without_failures_says_so(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 3)
    with RunReader(ran.folder) as run:
        assert list(failure_lines(run.failures(), "RUN", "syphus")) == ["No row of 3 failed."]


def test_only_the_rows_of_a_reason_are_retried(tmp_path: Path) -> None:
    with server(poison=POISON) as simulated:
        ran = run_rows(tmp_path, simulated.url, TEXTS)
        sent = simulated.stats.requests
        assert ran.states[State.TRUNCATED] == 2
        run_rows(
            tmp_path, simulated.url, TEXTS, retry=(State.FAILED, State.REFUSED, State.TRUNCATED), retry_reason="EMPTY"
        )
        assert simulated.stats.requests == sent  # the annotation is still empty, and nothing else was reopened
    assert ran.states[State.TRUNCATED] == 2


def test_a_reason_without_states_gets_one_line() -> None:
    with pytest.raises(ConfigError, match="--retry-reason needs --retry STATES"):
        Options(name="Rows.rows", retry_reason="filter")


@pytest.mark.parametrize(
    ("state", "reason", "part"),
    [
        (State.FAILED, "bad row", "Correct the rows"),
        (State.FAILED, "plugin: ValueError", "Correct the plugin"),
        (State.FAILED, "image: no such file", "--images"),
        (State.FAILED, "HTTP 500", "may be better now"),
        (State.REFUSED, "content filter on the prompt", "another model"),
        (State.INVALID, "judge: not grounded", "Read them"),
        (State.INVALID, "no pairs", "switch it off"),
    ],
)
def test_each_kind_of_failure_has_its_advice(state: State, reason: str, part: str) -> None:
    assert part in advise(state, reason).text
