"""Rows that always fail while others are answered: they fail by themselves, hold nobody up, and stop nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import run_rows, server

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
