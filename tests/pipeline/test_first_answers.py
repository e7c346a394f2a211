"""A run whose first answers all fail alike stops, and its rows are pending."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import run_rows, server

from syphus.errors import ProviderError
from syphus.types import State

ROWS = 40


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("truncated", "Raise --max-tokens"),
        ("unpaired", "status FOLDER --query ID"),
        ("empty", "The server sends no text"),
        ("leak_phrase", '"speaks of its notes"'),
    ],
)
def test_a_run_whose_first_answers_fail_alike_stops_with_the_remedy(tmp_path: Path, fault: str, said: str) -> None:
    with server(poison={"row": fault}) as simulated:
        ran = run_rows(tmp_path, simulated.url, [f"row {n}" for n in range(ROWS)], num_threads=4)
    assert isinstance(ran.error, ProviderError)
    assert said in str(ran.error)
    assert ran.states == {State.PENDING: ROWS}
    assert simulated.stats.requests <= 48


def test_the_same_settings_judge_the_answers_again_and_other_settings_ask_anew(tmp_path: Path) -> None:
    texts = [f"row {n}" for n in range(ROWS)]
    with server(poison={"row": "truncated"}) as simulated:
        run_rows(tmp_path, simulated.url, texts, num_threads=1)
        first = simulated.stats.requests
        again = run_rows(tmp_path, simulated.url, texts, num_threads=1)
    assert first == 16
    assert simulated.stats.requests == 2 * first  # 16 more, and the first 16 from the ledger
    assert isinstance(again.error, ProviderError)
    with server() as simulated:
        done = run_rows(tmp_path, simulated.url, texts, max_tokens=4000, accept_changes=True, retry=(State.TRUNCATED,))
    assert done.states == {State.OK: ROWS}


def test_fewer_rows_than_that_have_their_outcomes(tmp_path: Path) -> None:
    with server(poison={"row": "truncated"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, [f"row {n}" for n in range(12)])
    assert ran.error is None
    assert ran.states == {State.TRUNCATED: 12}


def test_one_good_answer_among_the_first_is_enough_to_go_on(tmp_path: Path) -> None:
    texts = [f"row {n}" for n in range(ROWS)]
    texts[7] = "a fine one"
    with server(poison={"row": "truncated"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, texts, num_threads=1)
    assert ran.error is None
    assert ran.states == {State.OK: 1, State.TRUNCATED: ROWS - 1}
    assert simulated.stats.requests == ROWS


def test_truncated_rows_are_asked_again_with_the_same_limit(tmp_path: Path) -> None:
    with server(poison_once={"row": "truncated"}) as simulated:
        run_rows(tmp_path, simulated.url, ["a row", "fine"], num_threads=1, max_tokens=700)
        again = run_rows(tmp_path, simulated.url, ["a row", "fine"], max_tokens=700, retry=(State.TRUNCATED,))
    assert again.states == {State.OK: 2}
    assert any("went round in circles" in line for line in again.lines)
