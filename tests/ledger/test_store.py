"""The ledger's file: opening it, its format, the lock on its folder, and what the folder may not hold."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import HERE, run_rows, server

from syphus.errors import RunError, StorageError
from syphus.ledger.schema import FORMAT
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import FILE, Store, open_for_reading, open_for_writing
from syphus.types import State

HOLD = """
import sys
from pathlib import Path
from syphus.ledger.store import open_for_writing
store = open_for_writing(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the run open until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parents[1],
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process


def open_and_close(folder: Path) -> None:
    open_for_writing(folder).close()


def format_of(folder: Path, number: object) -> None:
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'format'", (number,))
    connection.close()


def test_the_folder_is_made_with_all_its_parents(tmp_path: Path) -> None:
    open_and_close(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c" / FILE).is_file()


def test_a_closed_ledger_is_one_file_and_an_empty_lock(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run.lock", FILE]
    assert (tmp_path / "run.lock").read_bytes() == b""


def test_commits_are_durable_before_they_return(tmp_path: Path) -> None:
    store = open_for_writing(tmp_path)
    mode = [store.read_uncommitted(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")]
    store.close()
    assert mode == ["wal", 2]  # 2 is FULL


def test_a_reader_can_look_while_the_run_works_and_sees_what_is_committed(tmp_path: Path) -> None:
    store, reader = open_for_writing(tmp_path), open_for_reading(tmp_path)
    set_meta(store, "colour", "red")
    assert get_meta(reader, "colour") is None
    store.commit()
    assert get_meta(reader, "colour") == "red"
    reader.close()
    store.close()


def test_looking_at_a_finished_run_leaves_no_trace(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    reader = open_for_reading(tmp_path)
    assert get_meta(reader, "format") == FORMAT
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    reader.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_looking_at_a_killed_run_sees_all_that_it_committed(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        process.kill()
        process.wait()
    assert (tmp_path / f"{FILE}-wal").stat().st_size  # everything is still in there
    reader = open_for_reading(tmp_path)
    assert get_meta(reader, "format") == FORMAT
    reader.close()


def test_what_was_opened_for_reading_can_not_be_written(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    reader = open_for_reading(tmp_path)
    with pytest.raises(RunError, match="for reading only"):
        set_meta(reader, "colour", "red")
    reader.close()


@pytest.mark.parametrize(("number", "found"), [(FORMAT + 1, "newer"), (FORMAT - 1, "older")])
def test_another_format_is_refused_by_its_age(tmp_path: Path, number: int, found: str) -> None:
    open_and_close(tmp_path)
    format_of(tmp_path, number)
    before = (tmp_path / FILE).read_bytes()
    for opening in (open_for_writing, open_for_reading):
        with pytest.raises(RunError, match=f"{found} format {number}; this Syphus reads format {FORMAT}"):
            opening(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_refused_ledger_is_let_go_of(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    format_of(tmp_path, FORMAT + 1)
    with pytest.raises(RunError) as caught:  # the traceback that is kept here must not keep the lock
        open_for_writing(tmp_path)
    format_of(tmp_path, FORMAT)
    open_and_close(tmp_path)
    assert "newer" in str(caught.value)


NO_LEDGERS = {
    "text": b"this is no database, but it is long enough to be looked at as one " * 20,
    "zeros": bytes(8192),
    "header cut": b"SQLite format 3\0" + bytes(20),
    "random": bytes((i * 7919) % 251 for i in range(9000)),
}


@pytest.mark.parametrize("content", NO_LEDGERS.values(), ids=NO_LEDGERS)
def test_a_file_that_is_no_ledger_is_reported_in_one_line_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    for opening in (open_for_writing, open_for_reading):
        with pytest.raises(RunError) as caught:
            opening(tmp_path)
        assert str(tmp_path / FILE) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (tmp_path / FILE).read_bytes() == content


def test_the_database_of_somebody_else_is_reported_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE bookmark (url)")
    connection.close()
    with pytest.raises(RunError, match="can't be used as a ledger"):
        open_for_writing(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("bookmark",)]
    connection.close()


def test_a_damaged_page_is_reported_in_one_line(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 200, no_hedging=True)
        whole, told = (ran.folder / FILE).read_bytes(), 0
        for place in range(4096, len(whole), 4096):
            (ran.folder / FILE).write_bytes(whole[:place] + b"\xff" * 4096 + whole[place + 4096 :])
            again = run_rows(tmp_path, simulated.url, 200, check_input=True)
            if again.error is None:
                assert again.exit_code == 0
                continue
            assert isinstance(again.error, (RunError, StorageError))
            assert "\n" not in str(again.error)
            told += 1
        assert told > 10
        assert simulated.stats.requests == 200


def test_a_second_process_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    with server() as simulated, another_process(tmp_path / "output" / "Rows.rows" / "v1"):
        ran = run_rows(tmp_path, simulated.url)
        assert simulated.stats.requests == 0
        assert run_rows(tmp_path, simulated.url, dataset_version="v2").exit_code == 0
    assert ran.exit_code == 2
    assert "Another process is working in" in str(ran.error)
    assert "--dataset_version" in str(ran.error)


def test_the_lock_of_a_killed_process_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        with pytest.raises(RunError, match="Another process"):
            open_for_writing(tmp_path)
        process.kill()
        process.wait()
        open_and_close(tmp_path)
        assert (tmp_path / "run.lock").exists()


def test_a_child_of_the_run_does_not_keep_the_lock(tmp_path: Path) -> None:
    store = open_for_writing(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        store.close()
        open_and_close(tmp_path)
        assert child.poll() is None


@pytest.mark.parametrize("name", [FILE, "pairs.jsonl", "RW_instructions.json", "run.lock", "anything"])
def test_a_link_in_the_folder_is_refused_and_not_followed(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine", "utf-8")
    folder = tmp_path / "output" / "Rows.rows" / "v1"
    folder.mkdir(parents=True)
    (folder / name).symlink_to(outside)
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url)
        assert simulated.stats.requests == 0
    assert (ran.exit_code, outside.read_text("utf-8")) == (2, "mine")
    assert f"{folder / name} is a symbolic link" in str(ran.error)


def test_the_output_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "output").symlink_to(tmp_path / "large disk")
    with server() as simulated:
        assert run_rows(tmp_path, simulated.url).states == {State.OK: 4}
    assert (tmp_path / "large disk" / "Rows.rows" / "v1" / FILE).is_file()


@pytest.mark.parametrize("place", ["output", "output/Rows.rows", "output/Rows.rows/v1"])
def test_a_file_in_the_place_of_a_folder_is_reported_before_a_request(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("", "utf-8")
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url)
        assert simulated.stats.requests == 0
    assert (ran.exit_code, "can't be written" in str(ran.error)) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_reported_before_a_request(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir(mode=0o500)
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url)
        assert simulated.stats.requests == 0
    assert (ran.exit_code, "Permission denied" in str(ran.error)) == (2, True)


def test_reading_a_folder_that_is_no_run_is_reported(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="is not a run"):
            open_for_reading(folder)


def test_a_ledger_in_a_folder_with_an_odd_name_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "ordner mit ü, 100%? #1 & ;"
    store: Store = open_for_writing(folder)
    set_meta(store, "colour", "red")
    store.commit()
    store.close()
    reader = open_for_reading(folder)
    assert get_meta(reader, "colour") == "red"
    reader.close()


@pytest.mark.parametrize("size", [None, 0])
@pytest.mark.parametrize("left", ["pairs.jsonl", "SD_instructions.json"])
def test_results_without_their_ledger_are_not_bought_again(tmp_path: Path, left: str, size: int | None) -> None:
    (tmp_path / left).write_text('{"id": "SD_INS_1"}\n', "utf-8")
    if size is not None:
        (tmp_path / "run.sqlite").write_bytes(b"")
    with pytest.raises(RunError) as error:
        open_for_writing(tmp_path)
    assert f"{tmp_path} holds {left}, but its ledger run.sqlite is missing or empty. Restore it" in str(error.value)
    assert (tmp_path / left).read_text("utf-8") == '{"id": "SD_INS_1"}\n'


@pytest.mark.parametrize("name", ["run.sqlite", "run.sqlite-wal", "run.lock"])
def test_a_file_of_the_ledger_that_is_removed_while_it_works_is_missed_at_the_next_commit(
    tmp_path: Path, name: str
) -> None:
    store = open_for_writing(tmp_path)
    try:
        store.execute("INSERT INTO meta VALUES ('a', 1)")
        store.commit()
        (tmp_path / name).unlink()
        store.execute("INSERT INTO meta VALUES ('b', 1)")
        with pytest.raises(StorageError, match=f"{name} was removed while the run was working"):
            store.commit()
    finally:
        store.close()
    if name != "run.sqlite":  # all that was committed is there when it was closed
        store = open_for_reading(tmp_path)
        names = store.read("SELECT name FROM meta WHERE name IN ('a', 'b') ORDER BY name")
        store.close()
        assert names == [("a",), ("b",)]


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.read("SELECT 1 FROM nowhere"),
        lambda store: store.read_one("SELECT 1 FROM nowhere"),
        lambda store: store.read_value("SELECT 1 FROM nowhere"),
        lambda store: list(store.stream("SELECT 1 FROM nowhere")),
        lambda store: list(store.read_in_batches("SELECT 1 FROM nowhere WHERE n > ? LIMIT ?")),
        lambda store: store.read_uncommitted("SELECT 1 FROM nowhere"),
        lambda store: store.execute("DELETE FROM nowhere"),
        lambda store: store.executemany("DELETE FROM nowhere WHERE n = ?", [(1,)]),
    ],
)
def test_every_method_turns_errors_of_sqlite_into_a_storage_error(
    tmp_path: Path, use: Callable[[Store], object]
) -> None:
    store = open_for_writing(tmp_path)
    try:
        with pytest.raises(StorageError, match=r"run\.sqlite can't be written: no such table: nowhere\.$"):
            use(store)
    finally:
        store.close()


def test_batches_come_in_order_and_are_read_one_at_a_time(tmp_path: Path) -> None:
    store = open_for_writing(tmp_path)
    try:
        store.executemany("INSERT INTO rejection VALUES (?, 'rule', 1)", [(n,) for n in range(5)])
        store.commit()
        sql = "SELECT session FROM rejection WHERE session > ? ORDER BY session LIMIT ?"
        batches = store.read_in_batches(sql, size=2)
        assert next(batches) == [(0,), (1,)]
        store.execute("DELETE FROM rejection WHERE session = 2")
        store.commit()
        assert list(batches) == [[(3,), (4,)]]
    finally:
        store.close()
