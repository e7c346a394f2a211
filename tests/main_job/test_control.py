"""A run that is changed while it works, from other processes: threads, limits, budget, pause, stop."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import run_rows, server
from processes import AnyProcess, Watch, command, start, syphus

import syphus as api
from syphus.config.pricing import load_prices
from syphus.errors import ConfigError, RunError
from syphus.formats.report import make_report
from syphus.ledger.control_desk import FOLDER, ControlDesk, ControlSettings, check_changes, leave_request, new_request
from syphus.ledger.store import open_for_reading, open_for_writing
from syphus.runs.control import working_now
from syphus.runs.reader import read_status
from syphus.runs.run_settings import GENERATE
from syphus.types import State

ROWS = 120
PRICES = {"chat": {"input": 1.0, "output": 2.0}}


def folder_of(path: Path) -> Path:
    return path / "output" / "Rows.rows" / "v1"


@contextmanager
def working(path: Path, *flags: str, rows: int = ROWS) -> Iterator[tuple[AnyProcess, Watch, Path]]:
    """A run in a process of its own that has had a few answers."""
    with server(latency=0.05) as simulated:
        watch = Watch(simulated)
        arguments = command(path, simulated.url, rows, *flags, config={"prices": PRICES})
        with start(arguments, path) as process:
            when(watch, "answer", 3)
            yield process, watch, folder_of(path)


def when(watch: Watch, what: str, number: int, act: Callable[[], object] = lambda: None) -> None:
    """Waits until the server has seen so much more."""
    seen = threading.Event()

    def ring() -> None:
        act()
        seen.set()

    watch.at(what, number, ring)
    assert seen.wait(20)


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


def test_threads_are_changed_up_and_down_and_the_report_says_so(tmp_path: Path) -> None:
    with working(tmp_path, rows=600) as (process, watch, folder):
        done = syphus(tmp_path, "control", str(folder), "--threads", "2")
        assert (done.returncode, done.stdout) == (0, "threads 2 (was 8)\n")
        when(watch, "answer", 8)  # those that were in flight
        watch.peak_in_flight = 0
        when(watch, "answer", 8)
        assert watch.peak_in_flight <= 2
        state = api.control(folder, threads=20, rpm=60_000)
        assert [each.describe() for each in state.applied] == ["threads 20 (was 2)", "rpm 60,000 (was none)"]
        when(watch, "answer", 30)
        assert watch.peak_in_flight > 8
        shown = syphus(tmp_path, "control", str(folder)).stdout
        assert "threads       20  (its command: 8)" in shown
        api.control(folder, threads=64)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert watch.ok == 600
    (session,) = report(folder)["sessions"]
    assert [(each["name"], each["before"], each["after"]) for each in session["changes"]] == [
        ("threads", 8, 2),
        ("threads", 2, 20),
        ("rpm", None, 60_000.0),
        ("threads", 20, 64),
    ]
    assert session["threads"] == 64  # so many requests may have been in flight when it was killed
    assert "threads 2 (was 8)" in (folder / "run.log").read_text("utf-8")
    assert "threads 20 (was 2)" in err
    assert not (folder / FOLDER).exists()


def test_a_pause_sends_nothing_and_a_resumed_run_goes_on(tmp_path: Path) -> None:
    with working(tmp_path, "--timeout", "2") as (process, watch, folder):
        assert [each.describe() for each in api.control(folder, paused=True).applied] == ["paused"]
        while watch.in_flight:
            threading.Event().wait(0.02)
        sent = watch.requests
        assert api.control(folder).in_force.paused  # type: ignore[union-attr]  # it is working
        threading.Event().wait(0.4)
        assert watch.requests == sent
        api.control(folder, paused=False)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert watch.requests == ROWS


def test_the_budget_is_kept_in_any_order_of_changes_and_stops_a_run_below_what_is_spent(tmp_path: Path) -> None:
    with working(tmp_path, "--max-requests", "100") as (process, watch, folder):
        api.control(folder, max_requests=60, paused=True)
        api.control(folder, max_requests=None)
        most = watch.requests + 5
        api.control(folder, max_requests=1)
        assert process.poll() is None  # a pause ends nothing
        api.control(folder, max_requests=most, paused=False)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert watch.requests == most
    assert f"The budget of {most} requests is spent." in err


def test_a_budget_in_dollars_that_is_set_while_the_run_works_is_never_passed(tmp_path: Path) -> None:
    with working(tmp_path, rows=400) as (process, watch, folder):
        api.control(folder, paused=True)
        while watch.in_flight:
            threading.Event().wait(0.02)
        with api.open_run(folder) as run:
            spent = run.status().cost
        assert spent
        api.control(folder, max_cost=spent + 0.06)
        api.control(folder, max_cost=None)
        api.control(folder, max_cost=spent + 0.05, paused=False)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert "more than what is left of the budget" in err
    assert spent < report(folder)["cost"] <= spent + 0.05


def test_a_run_that_is_stopped_by_control_resumes_from_its_own_settings_and_says_what_was_changed(
    tmp_path: Path,
) -> None:
    with working(tmp_path) as (process, watch, folder):
        api.control(folder, threads=3, max_requests=90, who="Ada")
        done = syphus(tmp_path, "control", str(folder), "--stop")
        assert (done.returncode, done.stdout) == (0, "stopped\n")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert watch.ok == watch.requests
        assert "(control)" in err
    again = syphus(tmp_path, "status", str(folder)).stdout
    assert "Ada: max-requests 90 (was none)" in again
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, ROWS)
    told = "The session before was changed while it worked: threads 3 (was 8), max-requests 90 (was none)."
    assert any(line.startswith(told) for line in ran.lines)
    changes = [change for session in read_status(folder).sessions for change in session.changes]
    assert [(each.who, each.describe()) for each in changes][:2] == [
        ("Ada", "threads 3 (was 8)"),
        ("Ada", "max-requests 90 (was none)"),
    ]


def test_a_run_that_does_not_work_can_not_be_changed(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 4)
    done = syphus(tmp_path, "control", str(ran.folder), "--threads", "9")
    assert done.returncode == 2
    assert done.stderr == (
        f"No process is working on {ran.folder}: there is nothing to change. Its next start takes options.\n"
    )
    with pytest.raises(RunError, match="is not a run"):
        api.control(tmp_path)
    state = api.control(ran.folder)
    assert not state.working
    assert state.in_force is not None
    assert state.in_force.threads == 4


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--threads", "0"), "--threads 0: must be at least 1; --pause sends nothing."),
        (("--rpm", "-5"), "--rpm -5: must be more than 0; --pause sends nothing."),
        (("--rpm", "many"), "--rpm many: must be a number, or none."),
        (("--max-cost", "nan"), "--max-cost nan: must be a number or none."),
        (("--max-requests", "1.5"), "--max-requests 1.5: must be a whole number."),
        (("--threads", f"1{'0' * 400}"), "--threads: must be at most 1,000,000,000,000,000."),
        (("--rpm", "1e300"), "--rpm: must be at most 1,000,000,000,000,000."),
        (("--pause", "--resume"), "--pause and --resume: use one of them."),
    ],
)
def test_what_can_not_be_set_is_one_line(tmp_path: Path, flags: tuple[str, ...], problem: str) -> None:
    with closing(open_for_writing(tmp_path)):  # a process works on it
        done = syphus(tmp_path, "control", str(tmp_path), *flags)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{problem}\n")


def test_a_run_whose_rows_are_done_has_no_time_left(tmp_path: Path) -> None:
    with server() as running:
        ran = run_rows(tmp_path, running.url, 3)
    with closing(open_for_reading(ran.folder)) as store:
        report = make_report(store, GENERATE, load_prices({}))
        began = report.sessions[-1].started
        longer = report._replace(sessions=[report.sessions[-1]._replace(started=began - 30)])  # a rate needs some time
        found = working_now(store, ran.folder, longer, began + 5)
    assert found.rows_per_minute > 0
    assert found.seconds_left is None


def test_the_desk_reads_only_whole_files_for_its_own_process(tmp_path: Path) -> None:
    desk = ControlDesk(tmp_path, "7 here")
    assert desk.look() == []
    leave_request(tmp_path, new_request("Ada", "7 here", {"threads": 5}))
    leave_request(tmp_path, new_request("Bob", "8 here", {"threads": 6}))
    left = tmp_path / FOLDER
    (left / ".half").write_text('{"id"', "utf-8")
    (left / "x1.json").write_text('{"id"', "utf-8")
    unknown = {"id": "1", "at": 0, "who": "", "run": "", "stop": False, "changes": {"model": 1}}
    (left / "x2.json").write_text(json.dumps(unknown), "utf-8")
    (left / "x3.json").symlink_to("/etc/passwd")
    (left / "x4.json").write_text("[]", "utf-8")
    first, *others = desk.look()
    assert (first.who, dict(first.changes), first.problem) == ("Ada", {"threads": 5}, "")
    assert [bool(each.problem) for each in others] == [True] * 5
    assert not any(each.changes for each in others)
    for each in (first, *others):
        desk.remove(each)
    assert desk.look() == []
    leave_request(tmp_path, new_request("Ada", "7 here", {}))
    assert desk.clear() == 1
    assert not left.exists()


def test_what_was_left_for_an_earlier_process_is_dropped(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 4)
        leave_request(ran.folder, new_request("Ada", "", {"max_requests": 0}))
        ran = run_rows(tmp_path, simulated.url, 8)
    assert ran.exit_code == 0
    assert ran.states == {State.OK: 8}
    assert not (ran.folder / FOLDER).exists()


def test_several_people_change_a_run_at_once_and_each_change_is_made_once(tmp_path: Path) -> None:
    with working(tmp_path, rows=300) as (process, _, folder):
        people = [
            threading.Thread(target=lambda n=n: api.control(folder, max_requests=1000 + n, who=f"p{n}"))
            for n in range(6)
        ]
        for each in people:
            each.start()
        for each in people:
            each.join()
        api.control(folder, stop=True)
        process.communicate(timeout=60)
    with closing(open_for_reading(folder)) as store:
        rows = store.read("SELECT who, before, after FROM control WHERE name = 'max_requests' ORDER BY n")
    assert sorted(who for who, _, _ in rows) == [f"p{n}" for n in range(6)]
    assert [before for _, before, _ in rows[1:]] == [after for _, _, after in rows[:-1]]


def test_a_budget_in_dollars_is_refused_where_it_can_not_be_kept(tmp_path: Path) -> None:
    with server(latency=0.05) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, ROWS), tmp_path) as process:
            when(watch, "answer", 3)
            with pytest.raises(ConfigError, match="--max-cost needs the price of chat"):
                api.control(folder_of(tmp_path), max_cost=1.0)
            process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_change_needs_no_more_than_the_names_of_settings() -> None:
    assert check_changes({"threads": 4.0, "rpm": 5, "max_cost": None}) == {"threads": 4, "rpm": 5.0, "max_cost": None}
    with pytest.raises(ConfigError, match="--model: can't be changed while a run works"):
        check_changes({"model": "x"})


def test_a_change_lasts_over_the_stages_of_a_command_and_survives_kill_9(tmp_path: Path) -> None:
    with working(tmp_path, "--languages", "de", rows=60) as (process, watch, folder):
        api.control(folder, threads=20, rpm=90_000)
        when(watch, "answer", 57)
        when(watch, "request", 20, process.kill)  # of the translation
        process.communicate(timeout=60)
    with closing(open_for_reading(folder)) as store:
        sessions = store.read("SELECT stage, threads, controls FROM session ORDER BY id")
        assert store.read_value("SELECT count(*) FROM control") == 2
    assert [stage for stage, _, _ in sessions] == ["generate", "translate"]
    for _, threads, controls in sessions:
        assert threads == 20  # so many requests may have been lost
        assert json.loads(controls)["given"]["threads"] == 8
        assert (json.loads(controls)["in_force"]["threads"], json.loads(controls)["in_force"]["rpm"]) == (20, 90_000)
    assert api.control(folder).in_force == ControlSettings(20, 90_000.0)


def test_a_run_by_batches_is_changed_and_stopped_while_it_waits(tmp_path: Path) -> None:
    batch = {"batch": {"requests": 5, "listing_delay": 0.3, "poll": 0.05}, "prices": PRICES}
    with server(batch_speed=1.0) as simulated:  # a batch takes minutes
        arguments = command(tmp_path, simulated.url, 12, "--batch", "always", config=batch)
        with start(arguments, tmp_path) as process:
            folder = folder_of(tmp_path)
            while not (folder / "batches").is_dir():
                threading.Event().wait(0.05)
            state = api.control(folder, threads=3, max_cost=40.0)
            assert [each.describe() for each in state.applied] == ["threads 3 (was 8)", "max-cost $40.00 (was none)"]
            assert [each.describe() for each in api.control(folder, stop=True).applied] == ["stopped"]
            process.communicate(timeout=60)
    assert process.returncode == 130
