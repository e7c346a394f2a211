"""The loop as a whole, against a real server: order, pauses, outages, rounds, several endpoints.

When it sends its requests is tested in simulated time, in `test_loop_timing.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from harness import KEY, run_rows, server

from syphus.errors import ConfigError, ProviderError
from syphus.types import State

OK, INVALID, TRUNCATED, REFUSED, FAILED, PENDING = State


def test_every_query_gets_its_own_answer_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    rows = {f"n{i}": f"the {word} van number {i} has left the yard" for i, word in enumerate(["red", "blue"] * 30)}
    with server(latency=0.01, latency_sigma=1.0) as simulated:
        ran = run_rows(tmp_path, simulated.url, rows, num_threads=16)
    for name, entry in ran.data.items():
        number = name.split("_")[2].removeprefix("n")
        words = f"{entry['instruction']} {entry['answer']}"
        assert all(digits == number for digits in words.replace(".", " ").replace("?", " ").split() if digits.isdigit())
    ids = list(dict.fromkeys(entry.split("_")[2] for entry in ran.data))
    assert ids == list(rows)


def test_identical_requests_are_paid_once_and_their_rows_all_get_pairs(tmp_path: Path) -> None:
    with server(latency=0.02) as simulated:
        ran = run_rows(tmp_path, simulated.url, ["the same text"] * 20, num_threads=8)
        asked = simulated.stats.requests
    assert ran.states == {OK: 20}
    assert asked == 1
    assert ran.report.counts.shared == 19
    assert len({entry["instruction"] for entry in ran.data.values()}) <= 5


def test_without_sharing_identical_requests_get_separate_answers(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, ["the same text"] * 20, no_sharing=True)
        assert simulated.stats.requests == 20
    assert ran.report.counts.shared == 0


def test_an_invalid_answer_is_asked_for_once_more_and_then_with_the_reason(tmp_path: Path) -> None:
    with server(script=["ok", "unpaired", "unpaired"]) as simulated:
        ran = run_rows(tmp_path, simulated.url, 3, num_threads=1, max_rounds=2)
        last = [record.last_user for record in simulated.requests]
    assert ran.states == {OK: 3}
    assert ["question without an answer" in message for message in last] == [False, False, False, True, False]
    assert last[1] == last[2]


def test_where_the_same_prompt_brings_the_same_answer_the_reason_is_given_at_once(tmp_path: Path) -> None:
    with server(script=["ok", "unpaired"]) as simulated:
        ran = run_rows(tmp_path, simulated.url, 3, num_threads=1, temperature=0.0)
        last = [record.last_user for record in simulated.requests]
    assert ran.states == {OK: 3}
    assert any("question without an answer" in message for message in last)


def test_a_later_session_knows_that_the_same_prompt_brings_the_same_answer(tmp_path: Path) -> None:
    texts = ["good", "bad", "worse"]
    with server(poison={"bad": "chatter", "worse": "unpaired"}) as simulated:
        stopped = run_rows(tmp_path, simulated.url, texts, num_threads=1, max_requests=3)
        assert (stopped.exit_code, simulated.stats.dup_requests) == (4, 1)
        ran = run_rows(tmp_path, simulated.url, texts, num_threads=1)
        assert (simulated.stats.requests, simulated.stats.dup_requests) == (3 + 1 + 2, 1)
    assert ran.states == {OK: 1, INVALID: 2}


def test_the_number_of_rounds_is_limited(tmp_path: Path) -> None:
    with server(poison={"bad": "chatter"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, ["good", "bad"], max_rounds=3, num_threads=1)
        assert simulated.stats.requests == 1 + 5  # the same answer from the same prompt is no round
    assert ran.states == {OK: 1, INVALID: 1}


def test_without_rounds_a_repeated_answer_is_not_asked_for_once_more(tmp_path: Path) -> None:
    with server(poison={"bad": "chatter"}) as simulated:
        run_rows(tmp_path, simulated.url, ["good", "bad"], max_rounds=0, num_threads=1)
        again = run_rows(tmp_path, simulated.url, ["good", "bad"], max_rounds=0, num_threads=1, retry=(INVALID,))
        assert simulated.stats.requests == 2 + 1
    assert again.states == {OK: 1, INVALID: 1}


def test_the_wait_that_the_server_asks_for_is_kept(tmp_path: Path) -> None:
    with server(script=["ok", "rate_limit"], retry_after=0.5) as simulated:
        ran = run_rows(tmp_path, simulated.url, 12, num_threads=4)
        times = [record.at for record in simulated.requests]
    assert ran.states == {OK: 12}
    assert len(times) == 13
    assert times[-1] - times[1] >= 0.5


@pytest.mark.parametrize(
    "limit",
    [
        {"rpm": 1200, "burst_seconds": 1},
        {"tpm": 600_000, "burst_seconds": 1},
        {"max_concurrency": 6, "state_limits": False},
    ],
    ids=["requests", "tokens", "not stated"],
)
def test_a_run_finishes_within_the_limits_of_the_server(limit: dict[str, Any], tmp_path: Path) -> None:
    with server(latency=0.02, **limit) as simulated:
        ran = run_rows(tmp_path, simulated.url, 50, num_threads=32, config={"max_tokens": 1000})
    assert ran.states == {OK: 50}


def test_an_outage_leaves_every_row_pending_and_burns_no_attempt(tmp_path: Path) -> None:
    with server() as simulated:
        simulated.configure(script=["ok"] * 5, faults={"server_error": 1.0})
        ran = run_rows(tmp_path, simulated.url, 60, config={"max_outage": 0.5, "max_attempts": 6}, num_threads=8)
    assert ran.exit_code == 3
    assert isinstance(ran.error, ProviderError)
    assert "No usable answer from" in str(ran.error)
    assert ran.states == {OK: 5, PENDING: 55}


def test_one_poisoned_row_does_not_look_like_an_outage(tmp_path: Path) -> None:
    with server(poison={"bad": "server_error"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, ["bad one", *(f"fine {i}" for i in range(30))], num_threads=4)
    assert ran.states == {OK: 30, FAILED: 1}


def test_a_refused_connection_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    ran = run_rows(tmp_path, f"http://127.0.0.1:{port}/v1", 10)
    assert ran.exit_code == 3
    assert "connection refused" in str(ran.error)
    assert "\n" not in str(ran.error)
    assert ran.states == {PENDING: 10}


def test_an_unknown_host_is_a_wrong_setting(tmp_path: Path) -> None:
    ran = run_rows(tmp_path, "http://no-such-host.invalid/v1", 10)
    assert isinstance(ran.error, ConfigError)
    assert ran.exit_code == 2
    assert "no-such-host.invalid" in str(ran.error)
    assert ran.states == {PENDING: 10}


def test_an_endpoint_that_can_not_be_set_up_leaves_no_session_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as simulated:
        bad = [{"base_url": url, "api_key": KEY} for url in (simulated.url, "http://api.example.test/v1")]
        with monkeypatch.context() as environ:
            environ.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
            environ.setenv("NO_PROXY", "127.0.0.1")
            refused = run_rows(tmp_path, "", 3, config={"endpoints": bad})
            assert not refused.folder.exists()
            assert run_rows(tmp_path, simulated.url, 3).states == {OK: 3}
            again = run_rows(tmp_path, "", 4, config={"endpoints": bad})
    for each in (refused, again):
        assert isinstance(each.error, ConfigError)
        assert each.exit_code == 2
    assert again.states == {OK: 3, PENDING: 1}
    # Else the next start would speak of answers that were lost.
    assert len(again.report.sessions) == 1


@pytest.mark.parametrize("rows", [3, 40])
def test_rows_that_are_all_rejected_stop_the_run_before_they_fail(rows: int, tmp_path: Path) -> None:
    with server(faults={"unprocessable": 1.0}) as simulated:
        ran = run_rows(tmp_path, simulated.url, rows, num_threads=8)
        asked = simulated.stats.requests
    assert ran.exit_code == 3
    assert "The first requests were all rejected" in str(ran.error)
    assert asked == min(rows, 5)
    assert ran.states == {PENDING: rows}


def test_with_settings_that_have_brought_answers_each_rejected_row_fails_by_itself(
    tmp_path: Path,
) -> None:
    with server(poison={"bad": "unprocessable"}) as simulated:
        texts = {f"r{i}": f"a fine row {i}" for i in range(3)}
        assert run_rows(tmp_path, simulated.url, texts).exit_code == 0
        ran = run_rows(tmp_path, simulated.url, {**texts, **{f"b{i}": f"a bad row {i}" for i in range(6)}})
    assert ran.exit_code == 1
    assert ran.states == {OK: 3, FAILED: 6}


def test_rows_rejected_before_the_first_success_fail_once_another_row_succeeds(tmp_path: Path) -> None:
    rows = [*(f"bad {n}" for n in range(4)), *(f"fine {n}" for n in range(16))]
    with server(poison={"bad": "unprocessable"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, rows, num_threads=8)
    assert ran.states == {OK: 16, FAILED: 4}


def test_rows_that_are_rejected_together_are_asked_again_before_that_is_believed(tmp_path: Path) -> None:
    with server(script=["unprocessable"] * 4) as simulated:
        ran = run_rows(tmp_path, simulated.url, 20, num_threads=8)
    assert ran.states == {OK: 20}


@pytest.mark.parametrize("retry", [False, True], ids=["added", "asked again"])
def test_the_last_rows_of_a_run_that_has_answers_fail_by_themselves(retry: bool, tmp_path: Path) -> None:
    rows = {"a": "a fine one", "b": "another fine one", "c": "a bad one"}
    first = rows if retry else {name: text for name, text in rows.items() if name != "c"}
    with server(poison={"bad": "unprocessable"}) as simulated:
        run_rows(tmp_path, simulated.url, first)
        ran = run_rows(tmp_path, simulated.url, rows, retry=(FAILED,) * retry)
    assert ran.exit_code == 1
    assert ran.states == {OK: 2, FAILED: 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"refuse_max_tokens": True},
        {"fixed_temperature": True},
        {"refuse_max_tokens": True, "fixed_temperature": True, "fixed_top_p": True},
    ],
)
def test_a_model_that_refuses_a_parameter_is_asked_without_it(settings: dict[str, bool], tmp_path: Path) -> None:
    with server(**settings) as simulated:
        assert run_rows(tmp_path, simulated.url, 20, num_threads=8).states == {OK: 20}
        wasted = min(2, len(settings))  # the samplers are left out together
        assert simulated.stats.requests == 20 + wasted
        assert run_rows(tmp_path, simulated.url, 22, num_threads=8).states == {OK: 22}
        assert simulated.stats.requests == 22 + wasted  # what was learnt is not learnt again


def test_an_endpoint_that_fails_is_left_out_and_the_others_finish(tmp_path: Path) -> None:
    with server() as dead, server(script=["ok"] * 10, faults={"invalid_key": 1.0}) as expiring, server() as well:
        dead.configure(down=True)
        endpoints = [{"base_url": each.url, "api_key": KEY} for each in (dead, expiring, well)]
        ran = run_rows(tmp_path, "", 60, config={"endpoints": endpoints}, num_threads=8, no_hedging=True)
        answered = Counter({"expiring": expiring.stats.ok, "well": well.stats.ok})
    assert ran.states == {OK: 60}
    assert answered["expiring"] <= 10
    # To tell a bad endpoint from a bad row, a good row is asked again, at most once for each request in flight. One is
    # usual; where the machine is busy, others may reach the endpoint that works, and say nothing of the bad one.
    assert 60 <= answered.total() <= 60 + 8


def test_the_same_seed_and_answers_give_the_same_bytes_whatever_the_concurrency(tmp_path: Path) -> None:
    files = []
    for threads in (1, 3, 32):
        folder = tmp_path / str(threads)
        folder.mkdir()
        with server(seed=7, latency=0.002, latency_sigma=1.0, sloppiness=0.2) as simulated:
            ran = run_rows(folder, simulated.url, 60, num_threads=threads)
        names = ("RW_instructions.json", "RW_train.json", "pairs.jsonl")
        files.append([(ran.folder / name).read_bytes() for name in names])
    assert files[0] == files[1] == files[2]


def test_a_run_works_inside_a_running_loop_and_twice_in_a_process(tmp_path: Path) -> None:
    async def notebook() -> list[dict[State, int]]:
        with server() as simulated:
            (tmp_path / "a").mkdir()
            (tmp_path / "b").mkdir()
            return [run_rows(tmp_path / name, simulated.url, 5).states for name in ("a", "b")]

    assert asyncio.run(notebook()) == [{OK: 5}, {OK: 5}]
