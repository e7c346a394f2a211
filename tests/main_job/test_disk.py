"""A disk that is full, broken, gone or damaged: what is said, what is kept, and that the same command goes on."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import pytest
from harness import run_rows, server
from processes import Watch, command, finish, start

from syphus.errors import RunError, StorageError
from syphus.io.durable import replace_file, temporary_database
from syphus.ledger.records import Records
from syphus.ledger.store import open_for_reading
from syphus.runs.reader import read_status
from syphus.types import State

OK, PENDING = State.OK, State.PENDING
ROWS, THREADS = 40, 8
RUN = Path("output", "Rows.rows", "v1")
FULL = Path("/dev/full")


def states(folder: Path) -> dict[State, int]:
    counts = read_status(folder / RUN).counts
    assert sum(counts.states.values()) == counts.total
    return {state: count for state, count in counts.states.items() if count}


def told(err: str) -> tuple[str, int]:
    """The line with the cause, and how many answers are said to be lost; checks that all the rest is told too."""
    lines = err.splitlines()
    assert "Traceback" not in err
    assert lines[-1].startswith("Resume with the same command: ")
    assert any(re.match(r"[\d,]+ quer(y|ies) = ", line) for line in lines)
    (cause,) = (line for line in lines if "can't be written" in line or "while the run was working" in line)
    lost = [line for line in lines if "could not be saved" in line]
    return cause, int(lost[0].split()[0]) if lost else 0


def before_the_ledger(err: str) -> None:
    """Checks what is told if the ledger could not even be made."""
    cause, resume = err.splitlines()
    assert "run.sqlite can't be written: " in cause
    assert resume.startswith("Resume with the same command: ")


def goes_on(folder: Path, watch: Watch, url: str) -> None:
    """The same command, on a disk that works again, ends as if nothing had been, and pays next to nothing twice."""
    ran = run_rows(folder, url, ROWS, num_threads=THREADS)
    assert (ran.exit_code, ran.states) == (0, {OK: ROWS})
    assert len(json.loads((ran.folder / "RW_instructions.json").read_text("utf-8"))["data"]) == 2 * ROWS
    assert len((ran.folder / "pairs.jsonl").read_text("utf-8").splitlines()) == 2 * ROWS
    assert watch.unique == ROWS
    assert watch.dup_after_ok <= THREADS


def fill(pid: int) -> None:
    """From now on no file of this process can grow."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


@pytest.mark.parametrize("moment", [("request", 1), ("request", 9), ("answer", 20), ("request", ROWS)])
def test_a_full_disk_stops_the_run_and_names_the_lost_answers(tmp_path: Path, moment: tuple[str, int]) -> None:
    with server(latency=0.01) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, ROWS), tmp_path) as process:
            watch.at(*moment, lambda: fill(process.pid))
            _, err = process.communicate(timeout=60)
        assert process.returncode == 5
        cause, lost = told(err)
        assert str(tmp_path / RUN) in cause
        saved = states(tmp_path).get(OK, 0)
        assert saved + lost <= watch.ok <= saved + lost + THREADS
        assert moment[1] > 1 or lost == 1
        named = [name for text in re.findall("could not be saved: (.*)", err) for name in text.split(", ")]
        assert set(named) <= {*read_pending(tmp_path), "..."}
        goes_on(tmp_path, watch, simulated.url)


def read_pending(folder: Path) -> list[str]:
    store = open_for_reading(folder / RUN)
    found = [row.query.id for row in Records(store, "generate", 0).pending()]
    store.close()
    return found


@pytest.mark.parametrize("size", [0, 4_096, 8_192, 30_000, 300_000])
def test_a_full_disk_is_reported_before_the_first_request(tmp_path: Path, size: int) -> None:
    with server() as simulated:
        watch = Watch(simulated)
        ended = finish(
            command(tmp_path, simulated.url, 2000),
            tmp_path,
            inherited={"limits": [(resource.RLIMIT_FSIZE, size, size)]},
        )
        assert (ended.returncode, watch.requests) == (5, 0)
        if size < 200_000:
            before_the_ledger(ended.stderr)
        else:
            told(ended.stderr)
        goes_on(tmp_path, watch, simulated.url)


@pytest.mark.parametrize("command_name", ["translate", "cold-start", "compare"])
def test_a_disk_that_fills_up_in_another_stage_reports_what_was_saved_and_how_to_resume(
    tmp_path: Path, command_name: str
) -> None:
    with server() as simulated:
        run_rows(tmp_path, simulated.url, ROWS)
        arguments = command(tmp_path, simulated.url, ROWS)
        at = arguments.index("--name")
        prompts = [part for name in ("a", "b") for part in ("--prompt", str(other_prompt(tmp_path / f"{name}.yaml")))]
        if command_name == "translate":
            config = arguments[arguments.index("--config") + 1]
            arguments[at:] = ["translate", str(tmp_path / RUN), "--config", config, "--languages", "de"]
        else:
            arguments[at:at] = [command_name, *(prompts if command_name == "compare" else [])]
        size = (tmp_path / RUN / "run.sqlite").stat().st_size + 40_000
        ended = finish(arguments, tmp_path, inherited={"limits": [(resource.RLIMIT_FSIZE, size, size)]})
    assert (ended.returncode, "Traceback" in ended.stderr) == (5, False)
    lines = ended.stderr.splitlines()
    assert len([line for line in lines if "can't be written" in line]) == 1
    assert lines[-1].startswith("Resume with the same command: ")
    kept = {"translate": r"80 pairs in 1 language: 80 = ", "cold-start": r"\d+ requests, ", "compare": ""}[command_name]
    assert any(re.match(kept, line) for line in lines)


def other_prompt(path: Path) -> Path:
    path.write_text(f"system_message: Write pairs, as {path.stem} does.\n", "utf-8")
    return path


def test_an_export_that_can_not_be_written_loses_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        watch = Watch(simulated)
        obstacle = tmp_path / RUN / ".RW_instructions.json.partial" / "full"
        obstacle.mkdir(parents=True)
        ended = finish(command(tmp_path, simulated.url, ROWS), tmp_path)
        assert ended.returncode == 5
        told(ended.stderr)
        assert states(tmp_path) == {OK: ROWS}
        shutil.rmtree(obstacle.parent)
        goes_on(tmp_path, watch, simulated.url)
        assert watch.requests == ROWS


def test_an_export_interrupted_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    with server() as simulated:
        run_rows(tmp_path, simulated.url, 10)
        old = (tmp_path / RUN / "RW_instructions.json").read_bytes()
        arguments = command(tmp_path, simulated.url, ROWS, killed_at=("os.rename", "RW_instructions", 1))
        assert finish(arguments, tmp_path).returncode == -9
        half = tmp_path / RUN / ".RW_instructions.json.partial"
        assert half.stat().st_size > len(old)
        assert (tmp_path / RUN / "RW_instructions.json").read_bytes() == old
        ran = run_rows(tmp_path, simulated.url, ROWS)
        assert simulated.stats.requests == ROWS
    assert len(ran.data) == 2 * ROWS
    assert not half.exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")

    def half() -> None:
        with replace_file(path) as file:
            file.write(b"new, but only half of it")
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        half()
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])
    with replace_file(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"new", [path])


def test_of_two_writers_of_one_file_the_first_gives_way(tmp_path: Path) -> None:
    """It neither puts the half that the other has written in place, nor takes it away."""
    path = tmp_path / "report.json"

    def first(second: ExitStack) -> None:
        with replace_file(path) as file:
            file.write(b"the first")
            second.enter_context(replace_file(path)).write(b"the second")

    with ExitStack() as second:
        with pytest.raises(RunError, match=r"Another process is writing .*, too; this process stopped"):
            first(second)
        assert not path.exists()
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"the second", [path])


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "page.html"
    with pytest.raises(StorageError, match=re.escape(f"{path} can't be written: No such file")), replace_file(path):
        pass


def remove_ledger(run: Path) -> None:
    (run / "run.sqlite").unlink()


def replace_ledger(run: Path) -> None:
    shutil.copy(run / "run.sqlite", run / "copy")
    (run / "copy").replace(run / "run.sqlite")


def move_away(run: Path) -> None:
    run.rename(run.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("vanish", "cause"),
    [
        (shutil.rmtree, "was removed while the run was working"),
        (remove_ledger, "was removed while the run was working"),
        (replace_ledger, "was replaced by another file while the run was working"),
        (move_away, "was removed while the run was working"),
    ],
)
def test_a_ledger_that_vanishes_stops_the_run_at_once(
    tmp_path: Path, vanish: Callable[[Path], None], cause: str
) -> None:
    with server(latency=0.01) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, 400), tmp_path) as process:
            watch.at("request", 20, lambda: vanish(tmp_path / RUN))
            _, err = process.communicate(timeout=60)
        assert watch.requests <= 20 + 3 * THREADS
    assert (process.returncode, "Traceback" in err) == (5, False)
    assert len([line for line in err.splitlines() if cause in line]) == 1


def test_a_run_that_was_moved_away_and_back_goes_on_with_all_it_had(tmp_path: Path) -> None:
    with server(latency=0.01) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, ROWS), tmp_path) as process:
            watch.at("request", 20, lambda: move_away(tmp_path / RUN))
            process.communicate(timeout=60)
        assert process.returncode == 5
        (tmp_path / RUN).with_name("elsewhere").rename(tmp_path / RUN)
        goes_on(tmp_path, watch, simulated.url)


def test_a_damaged_ledger_is_one_line_and_no_request(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir(parents=True)
    ledger = tmp_path / RUN / "run.sqlite"
    ledger.write_bytes(b"\0garbage" * 1000)
    with server() as simulated:
        ended = finish(command(tmp_path, simulated.url, ROWS), tmp_path)
        assert (ended.returncode, simulated.stats.requests) == (2, 0)
    hint = "Restore it from a backup, with its -wal file if there is one."
    assert ended.stderr == f"{ledger} can't be used as a ledger: file is not a database. {hint}\n"
    for damaged, told in (
        (b"\0garbage" * 1000, "can't be read as a ledger: file is not a database."),
        (b"", "is empty."),
    ):
        ledger.write_bytes(damaged)
        with pytest.raises(RunError, match=re.escape(f"{ledger} {told} {hint}")):
            read_status(ledger.parent)


def test_a_temporary_file_that_can_not_grow_is_reported(tmp_path: Path) -> None:
    """Of commands that compare millions of ids."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(temporary_database(cache=100)) as database:
        database.execute("CREATE TABLE name (name TEXT PRIMARY KEY)")
        fill(os.getpid())
        try:
            with pytest.raises(StorageError, match=r"A temporary file can't be written: .*SQLITE_TMPDIR"):
                database.executemany("INSERT INTO name VALUES (?)", ((f"{n:01000}",) for n in range(10_000)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@cache
def can_trace() -> bool:
    """Whether strace is here, and allowed to do its work."""
    try:
        return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def failing(calls: str, error: str, when: str, *more: str) -> list[str]:
    """A command in front of a command, whose system calls then fail."""
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={when}"]
    return ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", *more, *inject]


traced = pytest.mark.skipif(not can_trace(), reason="strace, which makes system calls fail, is not here or not allowed")


@traced
@pytest.mark.parametrize("when", [1, 2, 4, 5, 6, 9])  # counted in each thread; commits have one of their own
def test_a_sync_that_fails_stops_the_run_at_once(tmp_path: Path, when: int) -> None:
    with server(latency=0.01) as simulated:
        watch = Watch(simulated)
        arguments = command(tmp_path, simulated.url, ROWS)
        ended = finish([*failing("fdatasync,fsync", "EIO", str(when)), *arguments], tmp_path)
        assert "Traceback" not in ended.stderr
        assert ended.returncode == 5
        if len(ended.stderr.splitlines()) > 2:
            told(ended.stderr)
            assert watch.ok <= states(tmp_path).get(OK, 0) + THREADS
        else:
            assert watch.requests == 0
            before_the_ledger(ended.stderr)
        goes_on(tmp_path, watch, simulated.url)


@pytest.mark.skipif(not FULL.exists(), reason=f"{FULL}, a file that is always full, is only on Linux")
def test_a_pairs_file_that_can_not_grow_stops_the_run_and_is_completed_later(tmp_path: Path) -> None:
    with server(latency=0.01) as simulated:
        watch = Watch(simulated)
        run_rows(tmp_path, simulated.url, ROWS, max_requests=5, num_threads=THREADS)
        path = tmp_path / RUN / "pairs.jsonl"
        old = path.read_bytes()

        def fill_pairs_file() -> None:
            path.unlink()
            path.symlink_to(FULL)

        watch.at("request", 1, fill_pairs_file)  # the run opens the file at its first answer
        ended = finish(command(tmp_path, simulated.url, ROWS), tmp_path)
        assert ended.returncode == 5
        cause, lost = told(ended.stderr)
        assert cause == f"{path} can't be written: No space left on device."
        saved = states(tmp_path)[OK]
        assert saved > 5
        assert saved + lost <= watch.ok <= saved + lost + THREADS
        path.unlink()
        path.write_bytes(old + b'{"id": "half a li')  # a full disk takes only a part
        goes_on(tmp_path, watch, simulated.url)
