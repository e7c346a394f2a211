"""A run that stops once there are as many accepted pairs as are wanted: on real ledgers, against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Ran, run_rows, server

from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.quality.balance import parse_balance
from syphus.types import State

ROWS, THREADS = 200, 4
MOST_PAIRS = 5  # of one answer of the simulated model


def run(folder: Path, url: str, wanted: int, **options: Any) -> Ran:
    return run_rows(folder, url, ROWS, num_threads=THREADS, no_hedging=True, until_accepted=wanted, **options)


def test_it_stops_with_what_was_in_flight_and_a_larger_number_goes_on(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url, 30)
        first, pairs = simulated.stats.requests, ran.report.counts.pairs
        assert (ran.exit_code, ran.error) == (0, None)
        assert 30 <= pairs < 30 + THREADS * MOST_PAIRS
        assert ran.states == {State.OK: first, State.PENDING: ROWS - first}
        assert len(ran.data) == pairs
        assert run(tmp_path, simulated.url, 30).exit_code == 0
        assert simulated.stats.requests == first  # nothing is asked for again
        more = run(tmp_path, simulated.url, 80)
        assert 80 <= more.report.counts.pairs < 80 + THREADS * MOST_PAIRS
        assert simulated.stats.dup_requests == 0
        done = run(tmp_path, simulated.url, 10_000)
    assert (done.states, done.exit_code) == ({State.OK: ROWS}, 0)


def test_what_the_judge_takes_out_does_not_count(tmp_path: Path) -> None:
    with server(pair_slips=0.4, seed=3) as simulated:
        ran = run(tmp_path, simulated.url, 40, judge="all")
        verdicts = sum(record.last_user.startswith("===") for record in simulated.endpoint.requests)
        asked = simulated.stats.requests - verdicts
    counts = ran.report.counts
    assert ran.exit_code == 0
    assert 40 <= counts.pairs < 40 + THREADS * MOST_PAIRS
    assert ran.report.judged is not None
    assert ran.report.judged["faults"]["not grounded"] > 5
    assert asked == counts.total - counts.states[State.PENDING]
    assert asked < ROWS / 2


def test_with_a_balance_only_what_it_chooses_counts(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url, 25, balance="near-duplicates=0.7,opening=0.2")
        again = run(tmp_path, simulated.url, 25, balance="near-duplicates=0.7,opening=0.2")
    chosen = json.loads((ran.folder / "RW_balanced_train.json").read_text("utf-8"))
    assert len(chosen) == 25
    assert chosen.keys() <= ran.data.keys()
    assert len(ran.data) > 25
    assert ran.states[State.PENDING]
    assert (ran.exit_code, again.exit_code) == (0, 0)
    assert again.data == ran.data


def test_a_budget_stops_it_before_and_the_rest_of_the_rows_may_not_suffice(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run(tmp_path, simulated.url, 60, max_requests=5)
        assert (simulated.stats.requests, ran.exit_code) == (5, 4)
        (tmp_path / "few").mkdir()
        few = run_rows(tmp_path / "few", simulated.url, 3, until_accepted=1000)
    assert (few.states, few.exit_code) == ({State.OK: 3}, 0)


@pytest.mark.parametrize("text", ["answer:yes", "answer:yes=2", "colour=0.5", "=0.5", "answer:yes=some"])
def test_a_balance_that_is_none_gets_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--(balance|most) "):
        parse_balance(text)


def test_a_balance_needs_a_goal() -> None:
    with pytest.raises(ConfigError, match="--balance needs --until-accepted"):
        Options(name="Rows.rows", balance="answer:yes=0.1")
