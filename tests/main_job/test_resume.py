"""Running the same command again: what is asked, what is kept, what stays the same to the byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, KEY, Ran, run_rows, server, write_rows
from processes import Watch, command, start
from wire import Seen, completion, in_thread, reply, serving

from syphus.errors import RunError
from syphus.ledger.sessions import set_meta
from syphus.ledger.store import open_for_writing
from syphus.runs.clean import PARSER_META
from syphus.runs.outputs import open_pairs
from syphus.types import State

OK, INVALID, TRUNCATED, REFUSED, FAILED, PENDING = State
EXPORTS = ("RW_instructions.json", "RW_train.json", "pairs.jsonl")
TEXTS = {"a": "the blue car has moved", "b": "a person left the bench", "c": "the door is open", "d": "a dog sits"}


def files(ran: Ran) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(ran.folder.iterdir())}


def exports(ran: Ran) -> list[bytes]:
    return [(ran.folder / name).read_bytes() for name in EXPORTS]


def in_order(ran: Ran) -> list[str]:
    """The queries of the dataset in the order of its file; checks that pairs.jsonl has the same."""
    lines = (ran.folder / "pairs.jsonl").read_text("utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    assert [pair["id"] for pair in pairs] == list(ran.data)
    return list(dict.fromkeys(pair["query"] for pair in pairs))


def test_a_finished_run_sends_nothing_and_leaves_every_file_as_it_is(tmp_path: Path) -> None:
    rows: dict[str, Any] = {"query_inputs_path": str(write_rows(tmp_path / "not touched.jsonl", 30))}
    with server(script=["ok", "ok", "unpaired", "truncated", "refusal", "refusal"]) as simulated:
        first = run_rows(tmp_path, simulated.url, **rows)
        before, asked = files(first), simulated.stats.requests
        for _ in range(3):
            again = run_rows(tmp_path, simulated.url, **rows)
            assert (again.exit_code, again.lines) == (1, ["Nothing to do: no request was sent."])
            assert files(again) == before
        assert simulated.stats.requests == asked
    assert set(before) == {*EXPORTS, "report.json", "run.lock", "run.log", "run.sqlite"}


def test_one_added_row_costs_one_request_and_renames_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, TEXTS)
        before = first.data
        for place in range(len(TEXTS) + 1):
            rows = list(TEXTS.items())
            rows.insert(place, (f"new{place}", f"a new row at place {place}"))
            asked = simulated.stats.requests
            again = run_rows(tmp_path, simulated.url, dict(rows), accept_changes=place > 0)
            assert simulated.stats.requests == asked + 1
            assert {name: entry for name, entry in again.data.items() if "_new" not in name} == before
            assert in_order(again) == [name for name, _ in rows]
            assert any("1 new, 0 changed" in line for line in again.lines)


@pytest.mark.parametrize(
    ("now", "told", "asked"),
    [
        ({**TEXTS, "b": "a person came back"}, "1 changed (b)", 1),
        ({name: text for name, text in TEXTS.items() if name != "c"}, "1 removed (c)", 0),
        ({"a": TEXTS["a"], "b": "other", "e": "a new one"}, "1 changed, 2 removed (b, c, d)", 2),
    ],
    ids=["changed", "gone", "both"],
)
def test_rows_that_are_done_and_change_need_a_decision(
    tmp_path: Path, now: dict[str, str], told: str, asked: int
) -> None:
    with server() as simulated:
        before = files(run_rows(tmp_path, simulated.url, TEXTS))
        refused = run_rows(tmp_path, simulated.url, now)
        assert isinstance(refused.error, RunError)
        assert told in str(refused.error)
        assert "--accept-changes" in str(refused.error)
        assert files(refused) == before
        accepted = run_rows(tmp_path, simulated.url, now, accept_changes=True)
        assert simulated.stats.requests == len(TEXTS) + asked
    assert (accepted.exit_code, accepted.states) == (0, {OK: len(now)})
    assert in_order(accepted) == list(now)


def test_a_change_that_is_taken_back_costs_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        before = exports(run_rows(tmp_path, simulated.url, TEXTS))
        run_rows(tmp_path, simulated.url, {**TEXTS, "b": "a person came back"}, accept_changes=True)
        run_rows(tmp_path, simulated.url, {"a": TEXTS["a"]}, accept_changes=True)
        again = run_rows(tmp_path, simulated.url, TEXTS, accept_changes=True)
        assert simulated.stats.requests == len(TEXTS) + 1
    assert exports(again) == before


def test_another_order_of_the_rows_is_the_order_of_the_outputs(tmp_path: Path) -> None:
    with server() as simulated:
        run_rows(tmp_path, simulated.url, TEXTS)
        again = run_rows(tmp_path, simulated.url, dict(reversed(TEXTS.items())))
        assert (again.exit_code, simulated.stats.requests) == (0, len(TEXTS))
    assert in_order(again) == ["d", "c", "b", "a"]


def test_outputs_are_in_the_order_of_the_input_and_not_of_arrival(tmp_path: Path) -> None:
    with server(latency=0.01, latency_sigma=1.5) as simulated:
        ran = run_rows(tmp_path, simulated.url, 60, num_threads=16)
        arrived = [record.last_user for record in simulated.requests]
    assert in_order(ran) == [f"r{i:03d}" for i in range(60)]
    assert arrived != sorted(arrived, key=lambda text: int(text.rpartition(" ")[2]))


def test_the_same_answers_give_the_same_bytes_whatever_the_concurrency(tmp_path: Path) -> None:
    found = []
    with server(latency=0.005, latency_sigma=1.0, sloppiness=0.3) as simulated:
        for threads in (1, 4, 32):
            ran = run_rows(tmp_path, simulated.url, 60, num_threads=threads, dataset_version=f"with{threads}")
            assert ran.report.spending.requests > 60  # some were asked again
            found.append(exports(ran))
    assert found[0] == found[1] == found[2]
    assert len(found[0][2]) > 10_000


def settings(temperature: float = 0.7, **more: object) -> dict[str, Any]:
    return {"config": {"temperature": temperature, **more}}


def other_prompt(folder: Path) -> dict[str, Any]:
    text = (HERE / "prompts" / "rows.yaml").read_text("utf-8")
    (folder / "other.yaml").write_text(text.replace("Write pairs", "Write several pairs"), "utf-8")
    return {"prompt_path": str(folder / "other.yaml")}


CHANGES: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "temperature": (lambda folder: settings(temperature=0.2), "temperature 0.7, now 0.2"),
    "model": (lambda folder: settings(model="chat-2"), "model chat, now chat-2"),
    "max_tokens": (lambda folder: settings(max_tokens=100), "max_tokens 3200, now 100"),
    "extra": (lambda folder: settings(extra_body={"reasoning_effort": "low"}), "reasoning_effort unset, now low"),
    "prompt": (other_prompt, "prompt "),
}


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_other_settings_are_named_and_refused_until_they_are_accepted(
    tmp_path: Path, change: Callable[[Path], dict[str, Any]], named: str
) -> None:
    with server() as simulated:
        before = files(run_rows(tmp_path, simulated.url, TEXTS))
        more = {**TEXTS, "e": "a new row"}
        other = change(tmp_path)
        refused = run_rows(tmp_path, simulated.url, more, **other)
        assert isinstance(refused.error, RunError)
        assert named in str(refused.error)
        assert str(refused.error).count("now ") == 1
        assert files(refused) == before
        accepted = run_rows(tmp_path, simulated.url, more, accept_changes=True, **other)
        assert simulated.stats.requests == len(TEXTS) + 1
    assert (accepted.exit_code, len(accepted.report.settings)) == (0, 2)


def test_settings_that_change_no_answer_may_change(tmp_path: Path) -> None:
    with server() as simulated:
        run_rows(tmp_path, simulated.url, TEXTS)
        again = run_rows(tmp_path, simulated.url, TEXTS, config={"timeout": 9.0, "max_attempts": 2}, num_threads=1)
    assert again.exit_code == 0


@pytest.mark.parametrize("simulated_first", [True, False])
def test_made_up_answers_and_real_ones_never_mix(tmp_path: Path, simulated_first: bool) -> None:
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, TEXTS, offline=simulated_first)
        before = files(first)
        again = run_rows(tmp_path, simulated.url, TEXTS, offline=not simulated_first, accept_changes=True)
    assert (again.exit_code, "never mixed" in str(again.error)) == (2, True)
    assert files(again) == before


RETRIED = {FAILED: "context_length", INVALID: "unpaired", REFUSED: "content_filter"}


@pytest.mark.parametrize(("state", "fault"), RETRIED.items(), ids=RETRIED)
def test_retry_asks_the_rows_in_that_state_and_no_others(tmp_path: Path, state: State, fault: str) -> None:
    with server(poison={"bench": fault}) as simulated:
        first = run_rows(tmp_path, simulated.url, TEXTS)
        assert (first.exit_code, first.states) == (1, {OK: 3, state: 1})
        simulated.configure(poison={})
        same = run_rows(tmp_path, simulated.url, TEXTS)
        assert (same.exit_code, same.states) == (1, {OK: 3, state: 1})
        asked = simulated.stats.requests
        again = run_rows(tmp_path, simulated.url, TEXTS, retry=(state,))
        assert simulated.stats.requests == asked + 1
    assert (again.exit_code, again.states) == (0, {OK: 4})
    assert in_order(again) == list(TEXTS)


def test_truncated_answers_are_retried_with_more_tokens_or_the_same(tmp_path: Path) -> None:
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, TEXTS, config={"max_tokens": 8})
        assert first.states == {TRUNCATED: 4}
        same = run_rows(tmp_path, simulated.url, TEXTS, config={"max_tokens": 8}, retry=(TRUNCATED,))
        assert same.error is None
        assert any("up to 8 tokens again" in line for line in same.lines)
        again = run_rows(
            tmp_path, simulated.url, TEXTS, config={"max_tokens": 3200}, retry=(TRUNCATED,), accept_changes=True
        )
    assert (again.exit_code, again.states) == (0, {OK: 4})


def test_retry_of_all_states_needs_no_more_tokens_if_nothing_is_truncated(tmp_path: Path) -> None:
    every = (FAILED, INVALID, REFUSED, TRUNCATED)
    with server(poison={"bench": "unpaired"}) as simulated:
        assert run_rows(tmp_path, simulated.url, TEXTS).states == {OK: 3, INVALID: 1}
        simulated.configure(poison={})
        assert run_rows(tmp_path, simulated.url, TEXTS, retry=every).states == {OK: 4}


def test_a_changed_parser_judges_all_stored_answers_again_without_a_request(tmp_path: Path) -> None:
    plugin = tmp_path / "datasets" / "rows.py"
    plugin.parent.mkdir()
    source = (HERE / "plugins" / "rows.py").read_text("utf-8")
    plugin.write_text(source, "utf-8")
    shared: dict[str, Any] = {"datasets_dir": (plugin.parent,), "prompt_path": str(HERE / "prompts" / "rows.yaml")}
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, TEXTS, **shared)
        strict = "\n    def check_pairs(self, query, pairs):\n        return ['bench'] * ('bench' in query.text)\n"
        plugin.write_text(source + strict, "utf-8")
        stricter = run_rows(tmp_path, simulated.url, TEXTS, **shared)
        assert (stricter.exit_code, stricter.states) == (1, {OK: 3, INVALID: 1})
        assert any("1 outcome changed" in line for line in stricter.lines)
        assert in_order(stricter) == ["a", "c", "d"]
        plugin.write_text(source, "utf-8")
        again = run_rows(tmp_path, simulated.url, TEXTS, **shared)
        assert simulated.stats.requests == len(TEXTS)
    assert (again.exit_code, again.states) == (0, {OK: 4})
    assert again.data == first.data


def test_another_comment_in_the_plugin_judges_nothing_again(tmp_path: Path) -> None:
    plugin = tmp_path / "datasets" / "rows.py"
    plugin.parent.mkdir()
    source = (HERE / "plugins" / "rows.py").read_text("utf-8")
    plugin.write_text(source, "utf-8")
    shared: dict[str, Any] = {"datasets_dir": (plugin.parent,), "prompt_path": str(HERE / "prompts" / "rows.yaml")}
    with server() as simulated:
        run_rows(tmp_path, simulated.url, TEXTS, **shared)
        plugin.write_text(f"# another comment\n{source}", "utf-8")
        again = run_rows(tmp_path, simulated.url, TEXTS, **shared)
        assert simulated.stats.requests == len(TEXTS)
    assert not any("has changed" in line for line in again.lines)


def test_answers_judged_by_an_older_version_are_judged_again_without_a_request(tmp_path: Path) -> None:
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, TEXTS)
        store = open_for_writing(first.folder)
        set_meta(store, PARSER_META, "0123456789abcdef")
        store.commit()
        store.close()
        again = run_rows(tmp_path, simulated.url, TEXTS)
        assert simulated.stats.requests == len(TEXTS)
    assert any("all answers were judged again, 0 outcomes changed" in line for line in again.lines)
    assert again.data == first.data


@pytest.mark.parametrize("name", [*EXPORTS, "report.json"])
def test_a_deleted_file_is_written_again_byte_for_byte(tmp_path: Path, name: str) -> None:
    with server() as simulated:
        before = files(run_rows(tmp_path, simulated.url, TEXTS))
        (tmp_path / "output" / "Rows.rows" / "v1" / name).unlink()
        again = run_rows(tmp_path, simulated.url, TEXTS)
        assert simulated.stats.requests == len(TEXTS)
    assert {**files(again), "run.sqlite": b""} == {**before, "run.sqlite": b""}


def test_a_pairs_file_torn_anywhere_is_right_before_the_next_line_is_added(tmp_path: Path) -> None:
    with server(script=["ok"] * 5, faults={"invalid_key": 1.0}) as simulated:
        ran = run_rows(tmp_path, simulated.url, 10, num_threads=1)
        simulated.configure(faults={})
        assert (ran.exit_code, ran.states) == (3, {OK: 5, PENDING: 5})
        path = ran.folder / "pairs.jsonl"
        whole = path.read_bytes()
        last = whole[:-1].rindex(b"\n") + 1
        torn = [whole[:size] for size in range(last, len(whole))]
        for content in [*torn, b"", whole[:40], whole + b"\xe7\x8c", whole + b'{"id": "RW_I', whole + b"\0" * 512]:
            path.write_bytes(content)
            store = open_for_writing(ran.folder)
            opened = open_pairs(store, "generate")
            store.close()
            assert path.read_bytes() == whole
            assert opened.size == len(whole)
            path.write_bytes(content)
        again = run_rows(tmp_path, simulated.url, 10, num_threads=1)
    assert (again.exit_code, len(in_order(again))) == (0, 10)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-90], lambda b: b + b"garb", lambda b: b""])
def test_the_same_command_repairs_the_pairs_file_of_a_finished_run(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, TEXTS)
        path = ran.folder / "pairs.jsonl"
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        assert run_rows(tmp_path, simulated.url, TEXTS).exit_code == 0
        assert (path.read_bytes(), simulated.stats.requests) == (whole, len(TEXTS))


def test_money_that_may_have_been_spent_is_not_spent_again_by_the_next_start(tmp_path: Path) -> None:
    priced = {"prices": {"chat": {"input": 0.0, "output": 100.0}}, "max_tokens": 100, "max_attempts": 99}
    with server(faults={"reset_mid_body": 1.0}) as simulated:
        first = run_rows(tmp_path, simulated.url, 1, config=priced, max_cost=0.025, num_threads=1)
        again = run_rows(tmp_path, simulated.url, 1, config=priced, max_cost=0.025, num_threads=1)
        assert simulated.stats.requests == 2  # each may have cost 0.01
    assert (first.exit_code, again.exit_code) == (4, 4)
    assert again.states == {PENDING: 1}


def test_calls_that_were_in_flight_at_a_kill_count_against_the_budget(tmp_path: Path) -> None:
    for _ in range(2):
        with server(latency=30.0) as simulated:
            watch = Watch(simulated)
            with start(command(tmp_path, simulated.url, 20), tmp_path) as process:
                watch.at("request", 1, process.kill)
                process.communicate(timeout=60)
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 20, max_requests=20, num_threads=8)
        assert (ran.exit_code, simulated.stats.requests) == (4, 20 - 2 * 8)


@pytest.mark.parametrize("named", ["chat", "some-model-v9"])
def test_a_budget_in_dollars_holds_over_sessions_whatever_the_server_calls_its_model(
    tmp_path: Path, named: str
) -> None:
    priced = {"prices": {"chat": {"input": 0.0, "output": 1000.0}}, "max_tokens": 20}  # 0.02 dollars an answer
    with in_thread(lambda: serving(lambda _: reply(completion(model=named)))) as wire:
        config = {**priced, "endpoints": [{"base_url": f"{wire.url}/v1", "api_key": KEY}]}
        first = run_rows(tmp_path, "", 20, config, max_cost=0.101, num_threads=1)
        again = run_rows(tmp_path, "", 20, config, max_cost=0.101, num_threads=1)
        assert len(wire.seen) == 5
    assert (first.exit_code, again.exit_code) == (4, 4)
    assert again.report.cost == pytest.approx(0.1)


def test_a_budget_in_dollars_needs_a_limit_for_every_answer(tmp_path: Path) -> None:
    with server() as simulated:
        config = {"prices": {"chat": {"input": 1, "output": 1}}, "max_tokens": None}
        ran = run_rows(tmp_path, simulated.url, 3, config, max_cost=1.0)
    assert (ran.exit_code, str(ran.error)) == (
        2,
        "--max-cost needs a bound on what one answer can cost: set max_tokens.",
    )


def test_a_damaged_export_is_written_again(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 5)
        for name in ("RW_instructions.json", "RW_train.json", "pairs.jsonl"):
            path = ran.folder / name
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            assert run_rows(tmp_path, simulated.url, 5).exit_code == 0
            assert path.read_bytes() == whole
        assert simulated.stats.requests == 5


GOES_ON, STOPS = (0, 9), (3, 1)  #: exit code and requests for eight rows
STRAYS = {  # of all but the last, another row shows that they meant one row alone
    "a firewall": (reply(b"<html>blocked</html>", "403 Forbidden"), GOES_ON),
    "a gateway": (reply(b"<html>nginx</html>", "404 Not Found"), GOES_ON),
    "a portal": (reply(b"", "302 Found", {"Location": "/login"}), GOES_ON),
    "a proxy": (reply(b"", "407 Proxy Authentication Required"), STOPS),
}


@pytest.mark.parametrize(("stray", "as_the_first"), STRAYS.values(), ids=STRAYS)
def test_a_stray_reply_stops_the_run_only_if_it_is_the_first_and_not_of_one_row(
    tmp_path: Path, stray: bytes, as_the_first: tuple[int, int]
) -> None:
    def stop_at(number: int) -> tuple[int, int]:
        asked: list[Seen] = []

        def answer(seen: Seen) -> bytes:
            asked.append(seen)
            return stray if len(asked) == number else reply(completion())

        folder = tmp_path / str(number)
        folder.mkdir()
        with in_thread(lambda: serving(answer)) as wire:
            config = {"endpoints": [{"base_url": f"{wire.url}/v1", "api_key": KEY}]}
            code = run_rows(folder, "", 8, config, num_threads=1).exit_code
            return code, sum(seen.line.startswith("POST") for seen in asked)  # it may look for the right address

    assert stop_at(4) == GOES_ON
    assert stop_at(1) == as_the_first
