"""Commands that look at a run or go on with it: its rows, a few rows tried first, runs below a folder, a handed run."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import threading
from pathlib import Path

import pytest
from harness import HERE, KEY, Listener, Ran, run_rows, server, write_rows
from processes import command, start, syphus

import syphus as package
from syphus.cli.run_commands import runs_table, status_lines, total_lines, tried_lines
from syphus.config.options import Options
from syphus.errors import ConfigError, InputError, RunError
from syphus.ledger.store import FILE
from syphus.main_job import run
from syphus.runs.reader import RunReader, RunStatus
from syphus.runs.row_text import row_lines
from syphus.runs.rows import RowRecord
from syphus.types import State

POISON = {"UNREADABLE": "unpaired", "TOO LONG": "context_length", "CUT": "truncated", "BAD": "content_filter"}
TEXTS = ["a cat sits", "a cat sits", "UNREADABLE dog", "TOO LONG tale", "CUT short", "BAD thing", "a man"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A finished run with rows in all states, texts that repeat among them."""
    with server(poison=POISON) as simulated:
        return run_rows(tmp_path_factory.mktemp("mixed"), simulated.url, TEXTS)


def rows(folder: Path, **wanted: str) -> list[RowRecord]:
    with RunReader(folder) as reader:
        return list(reader.rows(**wanted))


def test_each_row_has_its_annotation_answers_pairs_and_verdict(mixed: Ran) -> None:
    found = rows(mixed.folder)
    assert [row.annotation for row in found] == TEXTS
    assert [row.row for row in found] == list(range(1, 8))
    by_state = {row.state: row for row in found}
    assert by_state[State.OK].pairs
    assert by_state[State.OK].answers[-1].newest
    assert by_state[State.TRUNCATED].answers[-1].finish_reason == "length"
    assert by_state[State.TRUNCATED].answers[-1].text
    rejected = by_state[State.INVALID]
    assert len(rejected.answers) > 1  # the earlier ones, too
    assert {answer.reason for answer in rejected.answers} == {"question without an answer"}
    assert all(answer.text for answer in rejected.answers)
    assert [answer.newest for answer in rejected.answers] == [False] * (len(rejected.answers) - 1) + [True]
    assert (by_state[State.FAILED].reason, by_state[State.FAILED].answers) == ("context too long", ())
    assert found[0].messages[0]["role"] == "system"


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        ({"state": "truncated"}, ["CUT short"]),
        ({"state": "invalid,refused"}, ["UNREADABLE dog", "BAD thing"]),
        ({"reason": "Content FILTER"}, ["BAD thing"]),
        ({"query": "r003"}, ["TOO LONG tale"]),
        ({"state": "ok", "reason": "content"}, []),
    ],
)
def test_rows_are_found_by_state_reason_and_id(mixed: Ran, wanted: dict[str, str], texts: list[str]) -> None:
    assert [row.annotation for row in rows(mixed.folder, **wanted)] == texts


def test_what_does_not_exist_is_named_with_what_is_near(mixed: Ran) -> None:
    with pytest.raises(InputError, match=r"has no query 'r03'; did you mean r003"):
        rows(mixed.folder, query="r03")
    with pytest.raises(
        ConfigError, match=r"state broken: must be ok, invalid, truncated, refused, failed or pending\."
    ):
        rows(mixed.folder, state="broken")


def test_rows_as_text_hold_no_control_characters_and_mark_the_place(mixed: Ran) -> None:
    found = [row._replace(annotation=f"{row.annotation} \x1b[2J \u202e") for row in rows(mixed.folder)]
    lines = [line for row in found for line in row_lines(row, colours=False)]
    assert all(line.isprintable() for line in lines)
    assert "  | [cut off here]" in lines
    (row,) = rows(mixed.folder, query="r002")
    answer = row.answers[-1]._replace(text="Q: What?\nA: According to the description, a dog.")
    marked = row._replace(answers=(answer,), detail="leak (answer 1: according to the description)")
    assert "  | A: >>>According to the description<<<, a dog." in list(row_lines(marked, colours=False))


def test_rows_as_csv_and_json_hold_all(mixed: Ran) -> None:
    table = list(csv.DictReader(io.StringIO(syphus(mixed.folder, "rows", str(mixed.folder), "--csv").stdout)))
    assert [(line["id"], line["annotation"]) for line in table] == [(f"r{n:03d}", text) for n, text in enumerate(TEXTS)]
    told = json.loads(syphus(mixed.folder, "rows", str(mixed.folder), "--json", "-n", "3").stdout)
    assert [row["state"] for row in told] == ["ok", "ok", "invalid"]
    assert told == json.loads(json.dumps([row.as_json() for row in rows(mixed.folder)[:3]]))


def test_rows_says_that_none_match(mixed: Ran) -> None:
    shown = syphus(mixed.folder, "rows", str(mixed.folder), "--reason", "no reason has this")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == "No rows match. `status` counts the rows by state.\n"


# Trying some rows


def options(folder: Path, url: str, count: int, **more: object) -> Options:
    (folder / "config.json").write_text(json.dumps({"endpoint": {"base_url": url, "api_key": KEY}, "model": "chat"}))
    given: dict[str, object] = {
        "name": "Rows.rows",
        "query_inputs_path": str(write_rows(folder / "rows.jsonl", count)),
        "datasets_dir": (HERE / "plugins",),
        "config": folder / "config.json",
        "output_dir": folder / "output",
        **more,
    }
    return Options(**given)  # type: ignore[arg-type]  # each has the type of its option


def test_rows_that_were_tried_are_not_paid_for_again(tmp_path: Path) -> None:
    with server() as simulated:
        chosen = options(tmp_path, simulated.url, 8)
        values = {name: getattr(chosen, name) for name in ("query_inputs_path", "datasets_dir", "config", "output_dir")}
        tried = package.try_rows("Rows.rows", 3, quiet=True, **values)
        assert [(row.id, row.state) for row in tried.rows] == [(f"r00{n}", State.OK) for n in range(3)]
        assert (tried.requests, len(simulated.requests)) == (3, 3)
        assert tried_lines(tried)[0].startswith("3 rows, 3 requests, simulated.")
        again = package.try_rows("Rows.rows", 3, quiet=True, **values)
        assert (again.requests, again.rows) == (0, tried.rows)
        sampled = package.try_rows("Rows.rows", 3, sample=True, quiet=True, **values)
        assert [row.id for row in sampled.rows] != [row.id for row in tried.rows]
        run(chosen, {}, Listener())
        assert len(simulated.requests) == 8
    with pytest.raises(ConfigError, match=r"-n 0: must be at least 1"):
        package.try_rows("Rows.rows", 0, quiet=True, **values)


# Handing over


def test_a_run_goes_on_from_another_folder_without_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as simulated:
        monkeypatch.chdir(tmp_path)
        chosen = options(Path(), simulated.url, 6, max_requests=2, seed=4)
        assert run(chosen, {}, Listener()).exit_code == 4
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        folder = Path("../output/Rows.rows/v1")
        with RunReader(folder) as reader:
            kept = reader.command
        assert kept is not None
        assert (kept.options["max_requests"], kept.options["seed"]) == (2, 4)
        assert kept.options["query_inputs_path"] == str(tmp_path / "rows.jsonl")
        assert KEY not in json.dumps(kept)
        assert f"--config {tmp_path / 'config.json'}" in kept.line(folder.resolve())
        assert package.resume(folder, quiet=True).exit_code == 4  # the budget is as it was
        done = package.resume(folder, max_requests=10, quiet=True)
        assert (done.exit_code, done.counts["ok"], len(simulated.requests)) == (0, 6, 6)
    with pytest.raises(ConfigError, match=r"--dataset-version: the folder says which run it is"):
        package.resume(folder, dataset_version="v2")
    with pytest.raises(RunError, match="is not a run"):
        package.resume(tmp_path)


def test_a_run_over_the_examples_of_a_dataset_goes_on(tmp_path: Path) -> None:
    """The path of the examples is not kept: it follows from the dataset, on another machine, too."""
    began = package.run(
        "SpotTheDifference.change", example=True, offline=True, max_requests=2, output_dir=tmp_path, quiet=True
    )
    assert began.exit_code == 4
    assert package.resume(began.folder, max_requests=100, quiet=True).counts["ok"] == 24


def test_a_killed_run_is_resumed_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "output" / "Rows.rows" / "v1"
    with server(poison_once={"HANG": "hang"}) as simulated:
        arguments = command(tmp_path, simulated.url, ["one", "two", "HANG", "four"], config={"timeout": 60.0})
        with start(arguments, tmp_path) as process:
            while process.poll() is None and "3 ok" not in "".join(status_of(folder)):
                pass
            (working,) = package.list_runs(tmp_path)
            process.kill()
            process.communicate()
        assert working.state == "working"
        (stopped,) = package.list_runs(tmp_path)
        assert (stopped.state, stopped.folder, dict(stopped.states)["ok"]) == ("stopped", folder, 3)
        table = "\n".join(runs_table([stopped], stopped.last_used + 60))
        assert "stopped" in table
        assert "60 s ago" in table
        assert "--name Rows.rows" in table
        done = syphus(tmp_path / "output", "resume", str(folder))
        assert done.returncode == 0, done.stderr
    (finished,) = package.list_runs(tmp_path)
    assert (finished.state, dict(finished.states)["ok"]) == ("done", 4)
    assert total_lines([finished]) == []
    (line,) = total_lines([finished, finished._replace(cost=None, simulated=False)])
    assert line.startswith("2 runs: 8 queries = 8 ok + 0 invalid + 0 truncated + 0 refused + 0 failed + 0 pending ")
    assert line.endswith(f" {2 * finished.pairs} pairs    $0.00, 1 unknown")
    listed = syphus(tmp_path, "status", "output")
    assert (listed.returncode, listed.stdout.splitlines()[0].split()) == (
        0,
        ["run", "state", "rows", "ok", "pairs", "cost", "used"],
    )


def status_of(folder: Path) -> list[str]:
    if not (folder / FILE).exists():
        return []
    try:
        with RunReader(folder) as reader:
            return status_lines(reader.status(), folder)
    except RunError:  # the ledger is being made
        return []


def test_a_run_that_cannot_be_read_is_listed_with_why(tmp_path: Path) -> None:
    (tmp_path / "a" / "v1").mkdir(parents=True)
    (tmp_path / "a" / "v1" / FILE).write_bytes(b"no database")
    (found,) = package.list_runs(tmp_path)
    assert found.state == "unreadable"
    assert "can't be read as a ledger" in found.problem
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "run.sqlite").symlink_to("nowhere")
    assert [(run.folder.name, run.state) for run in package.list_runs(tmp_path)][-1] == ("linked", "unreadable")
    with pytest.raises(RunError, match="no such folder"):
        package.list_runs(tmp_path / "nowhere")


# Numbers


def test_all_numbers_add_up_while_a_run_with_faults_works(tmp_path: Path) -> None:
    """Looked at as often as possible, and 1,000 times in all: nothing is negative, nothing that was done is undone."""
    faults = {"server_error": 0.1, "truncated": 0.05, "unpaired": 0.1, "content_filter": 0.05, "rate_limit": 0.05}
    texts = [f"row {n % 150}, a cat sits" for n in range(200)]
    looks: list[RunStatus] = []
    ended = threading.Event()
    with server(faults=faults, seed=3) as simulated:

        def work() -> None:
            run_rows(tmp_path, simulated.url, texts, num_threads=8)
            ended.set()

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        folder = tmp_path / "output" / "Rows.rows" / "v1"
        while not (ended.is_set() and len(looks) >= 1000):
            try:
                with RunReader(folder) as reader:
                    looks.append(reader.status())
            except RunError:
                assert not looks, "a ledger that was read once can always be read"
        worker.join()
    for look in looks:
        told = look.as_json()
        report = look.report
        assert sum(look.counts.values()) == told["queries"]
        assert min(look.counts.values()) >= 0
        assert 0 <= report.counts.shared < 200
        assert sum(report.spending.causes.values()) == look.requests
        assert sum(use.answers for use in report.spending.models) == report.spending.causes["answered"]
        assert all(
            sum(reasons.values()) == report.counts.states[state]
            for state, reasons in report.counts.reasons.items()
            if state not in (State.PENDING, State.OK)
        )
    for before, after in itertools.pairwise(looks):
        assert before.requests <= after.requests
        assert before.pairs <= after.pairs
        assert (before.cost or 0) <= (after.cost or 0)
        assert all(before.counts[state] <= after.counts[state] for state in State if state is not State.PENDING)
    assert len({look.requests for look in looks}) > 5, "the run was over before it was looked at"
    assert os.getpid() in {look.process.process.pid for look in looks if look.process and look.process.process}
