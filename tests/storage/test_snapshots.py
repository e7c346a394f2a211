"""Snapshots: whole at any moment, one owner a place, and a run that goes on from one exactly."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, run_rows, server
from object_store import ObjectStore, object_store
from processes import AnyProcess, Watch, command, environment, start

import syphus
from syphus.api_exports import publish
from syphus.errors import InputError, RunError, StorageError, SyphusError
from syphus.runs.reader import read_status
from syphus.runs.snapshots import restore, take_snapshot
from syphus.storage.folders import ChangedError, Folder, VersionedContent, open_folder
from syphus.storage.snapshots import LostError, Snapshot, fetch, read_snapshot, save, take_over
from syphus.types import State

ROWS = 24
MINE = Snapshot("mine", "run", "X.x/v1", "here", 1.0)
SMALL = 4_096
PLUGINS = HERE / "plugins"
OTHERS = Snapshot("others", "run", "X.x/v1", "there", 2.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("copies")) as running:
        yield running


@pytest.fixture(params=["local", "s3", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, store: ObjectStore) -> str:
    """A new place of each kind."""
    name = f"{request.param}-{tmp_path.name}"
    return {"local": str(tmp_path / "place"), "s3": store.url(name), "memory": f"memory://{name}"}[request.param]


def until(process: AnyProcess, read: Callable[[], VersionedContent | None]) -> None:
    """Waits until a process has stored a snapshot of a run that has begun."""
    while not ((stored := read()) and json.loads(stored.content)["has_begun"]):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            raise AssertionError(process.communicate())


def answers(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'run.sqlite'}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM answer").fetchone()[0])


def test_a_url_of_a_local_folder_is_the_folder_which_is_made(tmp_path: Path) -> None:
    folder = open_folder(f"file://{tmp_path}/new place")
    folder.write("a/b.json", b"x")
    folder.write_if("owner.json", b"first", None)
    assert (tmp_path / "new place" / "a" / "b.json").read_bytes() == b"x"
    assert folder.names("a") == {"a/b.json"}


def test_a_file_is_written_only_if_nobody_wrote_it_meanwhile(place: str) -> None:
    folder = open_folder(place)
    assert folder.read("a/owner.json") is None
    folder.write_if("a/owner.json", b"first", None)
    with pytest.raises(ChangedError):
        folder.write_if("a/owner.json", b"second", None)
    stored = folder.read("a/owner.json")
    assert stored is not None
    assert stored.content == b"first"
    folder.write_if("a/owner.json", b"third", stored.version)
    with pytest.raises(ChangedError):
        folder.write_if("a/owner.json", b"fourth", stored.version)
    folder.write("a/other", b"x")
    assert folder.names("a") == {"a/owner.json", "a/other"}
    folder.remove(["a/other"])
    assert folder.names("a") == {"a/owner.json"}
    assert folder.names("nothing") == set()


class _Breaking:
    """A folder whose connection breaks at the write of this number."""

    def __init__(self, folder: Folder, at: int) -> None:
        self.name = folder.name
        self._folder = folder
        self._left = at

    def _count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise StorageError("the connection broke")

    def read(self, file: str) -> VersionedContent | None:
        return self._folder.read(file)

    def write(self, file: str, content: bytes | Path) -> None:
        self._count()
        self._folder.write(file, content)

    def write_if(self, file: str, content: bytes, version: str | None) -> None:
        self._count()
        self._folder.write_if(file, content, version)

    def names(self, below: str) -> set[str]:
        return self._folder.names(below)

    def remove(self, files: Iterable[str]) -> None:
        self._count()
        self._folder.remove(files)


def test_an_interrupted_snapshot_leaves_the_good_one(tmp_path: Path) -> None:
    folder, file = open_folder(tmp_path / "place"), tmp_path / "file"
    file.write_bytes(b"0" * 9_000)
    assert save(folder, {"file": file}, MINE, SMALL).size == 9_000
    for at in range(1, 7):  # three chunks, the manifest, what is removed, and nothing
        file.write_bytes(bytes([at]) * 4_096 + os.urandom(4_904))
        broken = _Breaking(folder, at)
        content = file.read_bytes()
        before = read_snapshot(folder)
        try:
            save(broken, {"file": file}, MINE, SMALL)
        except StorageError:
            content = content if at == 5 else b""
        stored = read_snapshot(folder)
        assert stored is not None
        assert (stored == before) == (not content)
        fetch(folder, stored.snapshot, tmp_path / "again")
        if content:
            assert (tmp_path / "again" / "file").read_bytes() == content


def test_only_what_has_changed_is_sent_and_old_chunks_go(tmp_path: Path) -> None:
    folder, file = open_folder(tmp_path / "place"), tmp_path / "file"
    data = os.urandom(20 * SMALL)
    file.write_bytes(data)
    assert save(folder, {"file": file}, MINE, SMALL).sent >= 20 * SMALL
    assert save(folder, {"file": file}, MINE, SMALL).sent == 0
    for _ in range(3):
        file.write_bytes(data[: 18 * SMALL] + os.urandom(2 * SMALL))
        assert save(folder, {"file": file}, MINE, SMALL).sent < 3 * SMALL
    assert len(folder.names("chunks")) == 18 + 2 * 2  # the newest and the one before share eighteen


def test_a_second_owner_is_refused_and_one_that_was_taken_over_finds_out(tmp_path: Path, place: str) -> None:
    folder, file = open_folder(place), tmp_path / "file"
    file.write_text("x", "utf-8")
    save(folder, {"file": file}, MINE)
    with pytest.raises(LostError, match=r"another copy of a run, X\.x/v1 on here"):
        save(folder, {"file": file}, OTHERS)
    stored = read_snapshot(folder)
    assert stored is not None
    take_over(folder, stored, OTHERS)
    with pytest.raises(ChangedError):  # a third one that has read the same manifest
        take_over(folder, stored, MINE)
    with pytest.raises(LostError, match="on there"):
        save(folder, {"file": file}, MINE)
    save(folder, {"file": file}, OTHERS)


def test_a_snapshot_of_nothing_paid_gives_way(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "place")
    save(folder, {}, Snapshot("typo", "run", "X.x/v1", "here", 1.0, has_begun=False))
    save(folder, {}, MINE)
    with pytest.raises(RunError, match="holds no snapshot of a run that has begun"):
        restore(tmp_path / "run", str(tmp_path / "nothing"))


def test_a_killed_run_goes_on_from_s3_on_another_machine(tmp_path: Path, store: ObjectStore) -> None:
    here, there, url = (
        tmp_path / "output" / "Rows.rows" / "v1",
        tmp_path / "there" / "Rows.rows" / "v1",
        store.url("kill"),
    )
    secrets = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with server(latency=0.25) as simulated:
        first = command(tmp_path, simulated.url, ROWS, "--snapshot", url, "--snapshot-every", "0.01")
        with start(first, tmp_path, env=environment(**secrets)) as process:
            folder = open_folder(url)
            until(process, lambda: folder.read("snapshot.json"))
            process.kill()
            process.communicate(timeout=60)
        paid, asked = answers(here), simulated.stats.requests
        lines = restore(there, url)
        assert "That process had not ended" in lines[-1]
        kept = answers(there)
        assert kept <= paid
        assert {path.name for path in there.iterdir()} == {"run.sqlite", "run.log", "snapshot.json"}
        done = run_rows(tmp_path, simulated.url, ROWS, output_dir=tmp_path / "there", snapshot=url)
        assert (done.exit_code, done.states) == (0, {State.OK: ROWS}), done.lines
        assert simulated.stats.requests - asked == ROWS - kept  # nothing that was in the snapshot is paid again
        with pytest.raises(LostError):  # the first machine is back
            take_snapshot(here, url)
    assert store.json("kill/snapshot.json")["working"] is False
    restore(tmp_path / "third" / "Rows.rows" / "v1", url)
    counts = read_status(tmp_path / "third" / "Rows.rows" / "v1").counts
    assert counts.states[State.OK] == ROWS


def test_python_goes_on_from_a_snapshot_and_keeps_it_up_to_date(tmp_path: Path) -> None:
    place, there = tmp_path / "place", tmp_path / "there" / "Rows.rows" / "v1"
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, ROWS, snapshot=str(place), max_requests=10)
        assert first.states == {State.OK: 10, State.PENDING: ROWS - 10}
        done = syphus.resume(there, from_=place, max_requests=100, datasets_dir=PLUGINS)
        assert (done.exit_code, simulated.stats.requests) == (0, ROWS)
    restore(tmp_path / "elsewhere" / "Rows.rows" / "v1", str(place))
    assert answers(tmp_path / "elsewhere" / "Rows.rows" / "v1") == ROWS
    with pytest.raises(RunError, match="holds no snapshot of a run"):
        syphus.resume(tmp_path / "none" / "Rows.rows" / "v1", from_=tmp_path / "nothing")


def test_a_run_that_is_taken_over_stops(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with server(latency=0.2) as simulated:
        flags = ("--snapshot", str(place), "--snapshot-every", "0.002")
        with start(command(tmp_path, simulated.url, 400, *flags), tmp_path) as process:
            until(process, lambda: open_folder(place).read("snapshot.json"))
            restore(tmp_path / "there", str(place))
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "This process stops, so that nothing is paid twice." in said
        assert simulated.stats.requests < 400


def test_slurms_signal_stops_a_run_in_time_with_a_last_snapshot(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with server(latency=0.2) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, 400, "--snapshot", str(place)), tmp_path) as process:
            watch.at("answer", 20, lambda: process.send_signal(signal.SIGUSR1))
            _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    here = tmp_path / "output" / "Rows.rows" / "v1"
    restore(tmp_path / "there", str(place))
    assert answers(tmp_path / "there") == answers(here) >= 10


def test_an_older_copy_is_kept_beside_and_another_run_is_not_touched(tmp_path: Path) -> None:
    place, here, there = str(tmp_path / "place"), tmp_path / "output" / "Rows.rows" / "v1", tmp_path / "there" / "v1"
    with server() as simulated:
        run_rows(tmp_path, simulated.url, 2, snapshot=place)
        assert restore(here, place) == [f"{here} is the newest copy of this run; nothing was fetched."]
        restore(there, place)
        assert "An older copy of this run" in restore(here, place)[0]
        assert [answers(path) for path in sorted(here.parent.iterdir())] == [2, 2]
        run_rows(tmp_path, simulated.url, 2, dataset_version="v2")
    with pytest.raises(RunError, match="holds another run"):
        restore(here.with_name("v2"), place)


def test_a_damaged_chunk_or_manifest_is_one_line_and_makes_no_run(tmp_path: Path) -> None:
    place, there = tmp_path / "place", tmp_path / "there"
    with server() as simulated:
        run_rows(tmp_path, simulated.url, 2, snapshot=str(place))
    chunk = max(
        (each for each in (place / "chunks").rglob("*") if each.is_file()), key=lambda each: each.stat().st_size
    )
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(InputError, match="is missing or damaged") as damaged:
        restore(there, str(place))
    assert "\n" not in str(damaged.value)
    manifest = json.loads((place / "snapshot.json").read_bytes())
    manifest["files"][0]["path"] = "../outside"
    (place / "snapshot.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(RunError, match="would lead out of the run's folder"):
        restore(there, str(place))
    (place / "snapshot.json").write_text("{", "utf-8")
    with pytest.raises(RunError, match="is damaged"):
        restore(there, str(place))
    assert not there.exists()


def test_an_export_by_url_is_immutable_files_and_a_manifest_with_one_owner(tmp_path: Path, place: str) -> None:
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, 3)
        names = publish(first.folder, "llava,mimicit", place, PLUGINS)
        folder = open_folder(place)

        def manifest() -> dict[str, Any]:
            stored = folder.read("manifest.json")
            assert stored is not None
            found: dict[str, Any] = json.loads(stored.content)
            return found

        before = manifest()
        files = [file["path"] for file in before["files"]]
        assert [f"{folder.name}/{each}" for each in ("manifest.json", *files)] == list(names)
        for file in before["files"]:
            stored = folder.read(file["path"])
            assert stored is not None
            assert blake2b(stored.content, digest_size=32).hexdigest() == file["blake2b"]
        assert publish(first.folder, "llava,mimicit", place, PLUGINS) == names
        run_rows(tmp_path, simulated.url, 4)
        publish(first.folder, "llava,mimicit", place, PLUGINS)
        assert manifest()["version"] != before["version"]
        assert {file["path"] for file in before["files"]} < folder.names("versions")  # for those who read it now
        second = run_rows(tmp_path, simulated.url, 3, dataset_version="v2")
        with pytest.raises(RunError, match=r"has the export of another run, Rows\.rows/v1: choose another --output"):
            publish(second.folder, "llava", place, PLUGINS)
    assert not [each for each in first.folder.parent.iterdir() if "publishing" in each.name]


def test_an_export_without_a_bucket_is_one_line(tmp_path: Path, store: ObjectStore) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 2)
    with pytest.raises(SyphusError, match="there is no such bucket") as refused:
        publish(ran.folder, "llava", "s3://no-such-bucket/release")
    assert refused.value.exit_code == 2


def test_a_run_that_was_refused_before_it_began_does_not_block_the_place(tmp_path: Path) -> None:
    place, here = str(tmp_path / "place"), tmp_path / "output" / "Rows.rows" / "v1"
    with server() as simulated:
        typo = run_rows(tmp_path, simulated.url, 2, query_inputs_path=str(tmp_path / "nothing.jsonl"), snapshot=place)
        assert (typo.exit_code, simulated.stats.requests) == (2, 0)
        done = run_rows(tmp_path, simulated.url, 2, output_dir=tmp_path / "there", snapshot=place)
        assert done.states == {State.OK: 2}
    restore(here, place)
    assert answers(here) == 2
