"""Runs by batches at the simulated endpoint: the same answers as online, whatever the Batch API does."""

from __future__ import annotations

import json
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, KEY, Ran, run_rows, server, write_config, write_rows

import syphus
from syphus import batches
from syphus.cli.run_commands import status_lines
from syphus.config.options import Options
from syphus.errors import BudgetError, ConfigError, ProviderError, WaitingError
from syphus.ledger.shards import Shard, ShardState
from syphus.simulator import SimulatedServer
from syphus.types import State

SPEED = 3_000.0  # seven minutes take a seventh of a second
QUICK = {"batch_speed": SPEED}
SETTINGS = {"requests": 5, "listing_delay": 0.3, "poll": 0.05}


def by_batch(
    folder: Path, at: SimulatedServer, rows: int = 12, batch: dict[str, Any] | None = None, **more: Any
) -> Ran:
    config = {"batch": {**SETTINGS, **(batch or {})}, "first_wait": 0.01, **more.pop("settings", {})}
    return run_rows(folder, at.url, rows, config, batch="always", **more)


def shards(ran: Ran) -> list[Shard]:
    return batches(ran.folder)


def files_of(ran: Ran) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(ran.folder.glob("RW_*.json"))}


def test_a_run_by_batches_writes_what_the_same_run_online_writes(tmp_path: Path) -> None:
    for name in ("online", "batch"):
        (tmp_path / name).mkdir()
    with server(**QUICK, sloppiness=0.3) as at:
        online = run_rows(tmp_path / "online", at.url, 12)
        made = by_batch(tmp_path / "batch", at)
    assert made.error is None, made.lines
    assert made.states == online.states
    assert files_of(made) == files_of(online)
    assert [shard.lines for shard in shards(made)][:3] == [5, 5, 2]
    assert {shard.state for shard in shards(made)} == {ShardState.SETTLED}
    assert not list((made.folder / "batches").iterdir())
    again = by_batch(tmp_path / "batch", at)
    assert again.error is None
    assert len(shards(again)) == len(shards(made))


LINE_FAULTS = (
    "line_missing",
    "line_doubled",
    "line_unknown",
    "line_status_zero",
    "line_no_response",
    "line_timeout",
    "line_server_error",
    "line_rate_limited",
    "line_wrong_file",
)


def test_every_line_is_taken_in_once_whatever_becomes_of_others(tmp_path: Path) -> None:
    with server(**QUICK, batch_faults=dict.fromkeys(LINE_FAULTS, 0.06)) as at:
        ran = by_batch(tmp_path, at, 60, {"requests": 30}, settings={"max_attempts": 9})
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 60}
        assert at.stats.dup_after_ok == 0
        assert ran.report.spending.requests >= 60
    found = shards(ran)
    assert sum(shard.answered for shard in found) == 60
    assert sum(shard.doubled for shard in found) > 0
    assert sum(shard.unknown for shard in found) > 0


BATCH_FAULTS = (
    "token_limit_exceeded",
    "fails_late",
    "expires",
    "expires_counts_zero",
    "counts_zero",
    "counts_all_done",
    "empty_file_ids",
    "zero_byte_error_file",
    "null_endpoint",
    "null_metadata",
)


@pytest.mark.parametrize("fault", BATCH_FAULTS)
def test_whatever_becomes_of_a_batch_its_paid_lines_are_taken_in(tmp_path: Path, fault: str) -> None:
    with server(**QUICK, batch_script=[fault], batch_hours=0.5) as at:
        ran = by_batch(tmp_path, at, 6)
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 6}
        assert at.stats.dup_after_ok == 0
        assert at.stats.billed == sum(shard.answered for shard in shards(ran)) == 6


def test_files_that_a_server_shows_late_are_waited_for(tmp_path: Path) -> None:
    with server(**QUICK, batch_script=["late_files"]) as at:  # ten minutes: a fifth of a second
        ran = by_batch(tmp_path, at, 5, {"listing_delay": 0.05})
        assert ran.error is None, ran.lines
        assert at.stats.billed == sum(shard.answered for shard in shards(ran)) == 5


@pytest.mark.parametrize("fault", ["null_output", "fails_late_no_files", "output_gone"])
def test_a_batch_without_files_is_not_sent_again_before_it_is_given_up(tmp_path: Path, fault: str) -> None:
    with server(**QUICK, batch_script=[fault]) as at:
        ran = by_batch(tmp_path, at, 5, {"listing_delay": 0.01})
        assert isinstance(ran.error, ProviderError)
        assert "--give-up" in "".join(ran.lines)
        assert [shard.state for shard in shards(ran)] == [ShardState.ENDED]
        assert by_batch(tmp_path, at, 5, {"listing_delay": 0.01}).exit_code == 3
        assert at.stats.batch_calls["create"] == 1
        batches(ran.folder, give_up=True)
        assert by_batch(tmp_path, at, 5).states == {State.OK: 5}


CALL_FAULTS = (
    "lost_reply",
    "bad_gateway_after",
    "timeout_after",
    "lost_call",
    "bad_gateway",
    "server_error",
    "slow_down",
)


@pytest.mark.parametrize("fault", CALL_FAULTS)
def test_a_lost_reply_makes_no_second_batch(tmp_path: Path, fault: str) -> None:
    calls = dict.fromkeys(("upload", "create", "batch", "content", "files", "batches"), fault)
    with server(**QUICK, batch_calls=calls, batch_listing_delay=0.2 * SPEED) as at:
        ran = by_batch(tmp_path, at, 6)
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 6}
        assert at.stats.dup_after_ok == 0
        assert at.stats.billed == 6


def test_a_run_may_submit_and_collect_later(tmp_path: Path) -> None:
    with server(batch_speed=1.0) as at:
        submitted = by_batch(tmp_path, at, 6, wait=False)
        assert isinstance(submitted.error, WaitingError)
        assert submitted.exit_code == 6
        assert [shard.state for shard in shards(submitted)] == [ShardState.CREATED, ShardState.CREATED]
        still = by_batch(tmp_path, at, 6, wait=False)
        assert isinstance(still.error, WaitingError)
        at.advance(3600)
        collected = by_batch(tmp_path, at, 6, wait=False)
        assert collected.error is None, collected.lines
        assert collected.states == {State.OK: 6}
        assert at.stats.billed == 6


def test_without_the_option_open_batches_are_collected_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    with server(batch_speed=1.0) as at:
        by_batch(tmp_path, at, 6, wait=False)
        at.advance(3600)
        ran = run_rows(tmp_path, at.url, 8, {"batch": SETTINGS})
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 8}
        assert at.stats.billed == 8


def test_cancelled_batches_bring_what_is_done_and_free_the_other_rows(tmp_path: Path) -> None:
    with server(batch_speed=1.0) as at:
        submitted = by_batch(tmp_path, at, 6, wait=False)
        at.advance(200)
        cancelled = batches(submitted.folder, cancel=True, config=tmp_path / "config.json")
        assert all(shard.status in ("cancelling", "cancelled") for shard in cancelled)
        at.advance(3600)
        ran = run_rows(tmp_path, at.url, 6, {"batch": SETTINGS})
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 6}
        assert at.stats.billed == 6


def answer(at: SimulatedServer, body: object) -> Any:
    """What a server that takes files by hand would answer."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{at.url}/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def test_requests_go_to_a_server_by_hand(tmp_path: Path) -> None:
    asked, answered = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    with server() as at:
        written = run_rows(tmp_path, at.url, 7, {"batch": SETTINGS}, batch_file=asked)
        assert isinstance(written.error, WaitingError), written.error
        lines = [json.loads(line) for line in asked.read_text().splitlines()]
        assert len({line["custom_id"] for line in lines}) == 7
        assert at.stats.billed == 0
        results = [
            {
                "id": f"vllm-{line['custom_id']}",
                "custom_id": line["custom_id"],
                "response": {"status_code": 200, "request_id": "r", "body": answer(at, line["body"])},
                "error": None,
            }
            for line in reversed(lines)
        ]
        answered.write_text("".join(json.dumps(result) + "\n" for result in results))
        other = tmp_path / "other.jsonl"
        other.write_text(json.dumps({**results[0], "custom_id": f"{'ab' * 16}-0"}) + "\n")
        refused = run_rows(tmp_path, at.url, 7, {"batch": SETTINGS}, batch_results=(other,))
        assert refused.exit_code == 2
        assert "another run" in str(refused.error)
        ran = run_rows(tmp_path, at.url, 7, {"batch": SETTINGS}, batch_results=(answered,))
    assert ran.error is None, (ran.error, ran.lines)
    assert ran.states == {State.OK: 7}


@pytest.mark.parametrize("option", ["batch_file", "batch_results"])
def test_a_file_by_hand_in_no_folder_is_refused_before_anything_is_put_aside(tmp_path: Path, option: str) -> None:
    path = tmp_path / "none" / "file.jsonl"
    given: dict[str, Any] = {option: path if option == "batch_file" else (path,)}
    with server() as at:
        ran = run_rows(tmp_path, at.url, 3, {"batch": SETTINGS}, **given)
    assert isinstance(ran.error, ConfigError)
    assert str(path) in str(ran.error)
    assert not ran.folder.exists()


def test_a_server_without_batches_gets_one_line_and_nothing_is_billed(tmp_path: Path) -> None:
    with server(batches=False) as at:
        ran = by_batch(tmp_path, at, 4)
        assert isinstance(ran.error, ProviderError)
        assert "no Batch API" in str(ran.error)
        assert at.stats.billed == 0
        online = run_rows(tmp_path, at.url, 4)
        assert online.states == {State.OK: 4}


@pytest.mark.parametrize("fault", ["invalid_request", "model_not_found"])
def test_a_deployment_of_no_batch_type_gets_one_line(tmp_path: Path, fault: str) -> None:
    with server(**QUICK, batch_script=[fault]) as at:
        ran = by_batch(tmp_path, at, 4)
        assert isinstance(ran.error, ProviderError)
        assert fault in str(ran.error)
        assert at.stats.billed == 0
        assert by_batch(tmp_path, at, 4).states == {State.OK: 4}


def test_the_budget_holds_and_the_report_is_the_bill(tmp_path: Path) -> None:
    settings = {"prices": {"chat": {"input": 10.0, "output": 40.0, "batch": 0.5}}, "max_tokens": 200}
    with server(**QUICK, tariffs={"chat": {"input": 10.0, "output": 40.0}}) as at:
        whole = by_batch(tmp_path, at, 8, settings=settings)
        assert whole.report.cost == pytest.approx(float(at.stats.dollars), rel=0.01)
        assert whole.report.cost
        limit = round(whole.report.cost * 0.7, 6)
        (tmp_path / "few").mkdir()
        few = by_batch(tmp_path / "few", at, 8, settings=settings, max_cost=limit)
    assert isinstance(few.error, BudgetError)
    assert float(few.report.cost or 0) <= limit


def test_the_queue_of_the_server_bounds_what_is_in_batches(tmp_path: Path) -> None:
    with server(**QUICK, batch_enqueued_tokens=1_500) as at:
        ran = by_batch(tmp_path, at, 30, {"requests": 20})
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 30}
        assert at.stats.billed == 30


PRICED = {"prices": {"chat": {"input": 10.0, "output": 40.0, "batch": 0.5}}, "max_tokens": 200}


def test_a_deadline_is_met_by_batch_if_batches_end_in_time(tmp_path: Path) -> None:
    with server(**QUICK) as at:
        ran = by_batch(tmp_path, at, 6, {"cancel_seconds": 0.1}, settings=PRICED, deadline="30m")
    assert ran.error is None, ran.lines
    assert ran.states == {State.OK: 6}
    assert sum(shard.answered for shard in shards(ran)) == 6


def test_what_batches_do_not_finish_in_time_is_asked_online(tmp_path: Path) -> None:
    with server(batch_speed=600.0, batch_minutes=6_000.0) as at:
        deadline = (datetime.now().astimezone() + timedelta(seconds=8)).isoformat()
        settings = {**PRICED, "batch": {**SETTINGS, "cancel_seconds": 1.0}}
        ran = by_batch(tmp_path, at, 12, settings=settings, deadline=deadline)
        assert ran.error is None, ran.lines
        assert ran.states == {State.OK: 12}
        assert at.stats.billed == 12
    assert any("The deadline is in" in line and "asked online" in line for line in ran.lines)


def test_a_deadline_too_near_for_batches_is_met_online(tmp_path: Path) -> None:
    with server(batch_speed=1.0) as at:
        ran = run_rows(tmp_path, at.url, 6, {"batch": SETTINGS, **PRICED}, deadline="2m")
        assert ran.states == {State.OK: 6}, ran.lines
        assert at.stats.batch_calls.total() == 0


@pytest.mark.parametrize("deadline", ["2020-01-01 08:00", "soon"])
def test_a_deadline_in_the_past_is_refused(deadline: str) -> None:
    with pytest.raises(ConfigError, match="deadline"):
        Options(deadline=deadline)


def test_rows_that_a_person_waits_for_are_asked_online(tmp_path: Path) -> None:
    with server(batch_speed=1.0) as at:
        write_config(tmp_path / "config.json", at.url, batch=SETTINGS)
        tried = syphus.try_rows(
            "Rows.rows",
            2,
            query_inputs_path=write_rows(tmp_path / "rows.jsonl", 6),
            datasets_dir=HERE / "plugins",
            config=tmp_path / "config.json",
            output_dir=tmp_path / "output",
            batch=True,
            quiet=True,
        )
        assert len(tried.rows) == 2
        assert at.stats.batch_calls.total() == 0
        submitted = by_batch(tmp_path, at, 6, wait=False)
        assert sum(shard.lines for shard in shards(submitted)) == 4
        assert any("4 requests" in line for line in status_lines(submitted.status, submitted.folder))


@pytest.mark.parametrize("fault", ["line_lost", "line_torn"])
def test_lines_that_are_lost_in_the_results_are_perhaps_billed_and_the_limit_holds(tmp_path: Path, fault: str) -> None:
    settings = {"prices": {"chat": {"input": 10.0, "output": 40.0, "batch": 0.5}}, "max_tokens": 200}
    with server(**QUICK, tariffs={"chat": {"input": 10.0, "output": 40.0}}, batch_faults={fault: 0.4}, seed=5) as at:
        ran = by_batch(tmp_path, at, 12, {"requests": 12}, settings=settings, max_cost=0.05)
        lost = sum(shard.missing for shard in shards(ran))
        assert 0 < lost <= ran.report.spending.maybe_billed
        assert (ran.report.cost or 0) <= float(at.stats.dollars) <= 0.05
