"""Rows that always fail while others are answered: they fail by themselves, hold nobody up, and stop nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from dressed_server import BAD_ROWS, OUTAGES, DressedServer, dressed
from harness import Listener, run_rows, server

from syphus.types import State

OK, FAILED, PENDING = State.OK, State.FAILED, State.PENDING
FAULTS = ["invalid_key", "model_forbidden", "model_not_found", "server_error", "bad_parameter", "request_echo"]


@pytest.mark.parametrize("where", ["middle", "end"])
@pytest.mark.parametrize("bad", [1, 8])
@pytest.mark.parametrize("fault", FAULTS)
def test_rows_that_always_fail_are_their_own_fault(fault: str, bad: int, where: str, tmp_path: Path) -> None:
    fine = {f"r{n}": f"a fine row {n}" for n in range(60)}
    middle = dict(list(fine.items())[:30])
    bads = {f"b{n}": f"bad row {n}" for n in range(bad)}
    rows = {**middle, **bads, **fine} if where == "middle" else {**fine, **bads}
    with server(poison={"bad row": fault}) as simulated:
        ran = run_rows(tmp_path, simulated.url, rows, num_threads=8, config={"max_attempts": 6})
        assert ran.states == {OK: 60, FAILED: bad}
        assert ran.error is None
        requests = [record.last_user for record in simulated.requests]
        for name in bads.values():
            assert sum(name in request for request in requests) <= 6
        assert (
            simulated.stats.requests - sum("bad row" in each for each in requests) <= 60 + 4
        )  # asked once more, to see
        again = run_rows(tmp_path, simulated.url, rows, num_threads=8)
        assert again.states == {OK: 60, FAILED: bad}


@pytest.mark.parametrize("fault", ["invalid_key", "model_not_found", "server_error"])
def test_an_endpoint_that_answers_nobody_any_more_leaves_all_rows_pending(fault: str, tmp_path: Path) -> None:
    with server(script=["ok"] * 5, faults={fault: 1.0}) as simulated:
        ran = run_rows(tmp_path, simulated.url, 12, num_threads=4, config={"max_attempts": 6, "max_outage": 0.5})
    assert ran.exit_code == 3
    assert ran.states == {OK: 5, PENDING: 7}


SHORT = {"max_attempts": 6, "max_outage": 20.0, "first_wait": 0.02}
PASSING = [
    "200 error", "200 error in the choice", "200 finish reason", "200 empty, no usage", "200 canned", "302", "400",
    "400 empty", "400 HTML", "404 gateway", "409", "418", "422", "429 HTML", "500 empty", "503", "520", "529", "closed",
]  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_an_outage_costs_no_row_however_it_is_dressed(name: str, tmp_path: Path) -> None:
    with dressed(DressedServer(outage=OUTAGES[name], seconds=0.15, after=20)) as down:
        ran = run_rows(tmp_path, down.url, 60, num_threads=8, config=SHORT)
    assert (ran.exit_code, ran.states) == (0, {OK: 60})


@pytest.mark.parametrize("name", ["200 canned", "200 empty, no usage", "400 empty"])
def test_neither_does_one_in_a_run_without_further_rounds(name: str, tmp_path: Path) -> None:
    with dressed(DressedServer(outage=OUTAGES[name], seconds=0.15, after=20)) as down:
        ran = run_rows(tmp_path, down.url, 60, num_threads=8, config=SHORT, max_rounds=0)
    assert (ran.exit_code, ran.states) == (0, {OK: 60})


@pytest.mark.parametrize("name", ["200 canned", "400 HTML", "401", "503"])
def test_one_that_lasts_stops_with_one_line(name: str, tmp_path: Path) -> None:
    listener = Listener()
    with dressed(DressedServer(outage=OUTAGES[name], seconds=3600, after=20)) as down:
        ran = run_rows(tmp_path, down.url, 60, {**SHORT, "max_outage": 0.5}, listener, num_threads=8)
    assert (ran.exit_code, ran.states) == (3, {OK: 20, PENDING: 40})
    assert len(str(ran.error).splitlines()) == 1
    assert str(ran.error).endswith((".", "!"))
    assert not any("is down: ." in event or ".. " in event for event in listener.lines)  # it says why


@pytest.mark.parametrize("name", ["429", "429 long wait", "503 wait", "402", "400 echo", "redirect"])
@pytest.mark.parametrize(("bad", "first"), [(1, 0), (8, 52)])
def test_a_row_that_is_always_put_off_stops_no_run(name: str, bad: int, first: int, tmp_path: Path) -> None:
    rows = {f"r{n}": f"row {n} is {'bad' if first <= n < first + bad else 'fine'}" for n in range(60)}
    with dressed(DressedServer({"is bad": BAD_ROWS[name]})) as server_of_rows:
        ran = run_rows(tmp_path, server_of_rows.url, rows, num_threads=8, config=SHORT)
        assert ran.states == {OK: 60 - bad, FAILED: bad}
        assert max(count for text, count in server_of_rows.asked.items() if "is bad" in text) <= 6
        before = sum(server_of_rows.asked.values())
        assert run_rows(tmp_path, server_of_rows.url, rows, num_threads=8, config=SHORT).states == ran.states
        assert sum(server_of_rows.asked.values()) == before


def test_an_unknown_finish_reason_is_said_once(tmp_path: Path) -> None:
    rows = {f"r{n}": f"row {n} is {'bad' if n > 55 else 'fine'}" for n in range(60)}
    listener = Listener()
    with dressed(DressedServer({"is bad": OUTAGES["200 unknown finish reason"]})) as server_of_rows:
        ran = run_rows(tmp_path, server_of_rows.url, rows, SHORT, listener, num_threads=8, max_rounds=1)
    assert ran.states == {OK: 56, State.INVALID: 4}
    assert sum("unknown finish reason banana" in line for line in listener.lines) == 1
