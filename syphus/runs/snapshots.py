"""Snapshots of a run's folder: what is in them, whose they are, and how a run continues from one on another machine.

A snapshot has everything that can't be made again: a consistent copy of the ledger, reviews, images of a plugin, the
prompt of a cold start, the log. The exports are left out, as they are written from the ledger.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from syphus.errors import RunError, StorageError, writing_error_type
from syphus.io.durable import replace_file, storage_faults, sync_folder
from syphus.ledger.backup import copy_ledger
from syphus.ledger.sessions import has_sessions
from syphus.ledger.store import FILE, is_working, open_for_reading
from syphus.storage.folders import ChangedError, open_folder
from syphus.storage.network_disks import network_disk
from syphus.storage.snapshots import Snapshot, StoredSnapshot, fetch, read_snapshot, save, take_over
from syphus.text import format_duration

OWNER_FILE = "snapshot.json"  #: in the run's folder: which copy of the run this is
_COPY, _LOCK = ".snapshot.sqlite", ".snapshot.lock"
_EXPORTS = ("pairs.jsonl", "report.json", "invalid.json", "run.lock", OWNER_FILE)
_LEFT_OUT = ("*_instructions.json", "*_train.json", "*.partial", ".snapshot.*", f"{FILE}*", "translation.html")
_EXPORT_FOLDERS = frozenset({"export"})
LEFT_BEHIND = {OWNER_FILE, _LOCK}  #: by a run that was refused before it began
_TRIES = 5
_WAIT = 120.0  # seconds for which a process waits that wants to take a snapshot, too


class SnapshotDone(NamedTuple):
    """What a snapshot took: bytes of the files, bytes that were sent, and seconds."""

    size: int
    sent: int
    seconds: float

    def line(self, place: str) -> str:
        """Return it for people."""
        return f"Snapshot in {place}: {self.size / 1e6:,.1f} MB, {self.sent / 1e6:,.1f} MB of it sent."


def take_snapshot(folder: Path, place: str, *, ended: bool = False) -> SnapshotDone:
    """Store a snapshot of the run in `folder` at a path or URL, also while the run works.

    `ended` says that the run will not continue. Raises `RunError` if the folder is no run, another process takes
    a snapshot, or the place is that of another run or copy; `StorageError` for what may work later.
    """
    if not (folder / FILE).is_file():
        raise RunError(f"{folder} is not a run: it has no {FILE}.")
    target = open_folder(place)
    began = time.monotonic()
    with _locked(folder):
        owner, run = _own_names(folder)
        copy = folder / _COPY
        try:
            size = (folder / FILE).stat().st_size
            if shutil.disk_usage(folder).free < 1.2 * size + 50_000_000:
                raise StorageError(
                    f"{folder}: no room for a copy of the ledger ({size / 1e6:,.0f} MB), so no snapshot."
                )
            copy.unlink(missing_ok=True)
            copy_ledger(folder, copy)
            files = {FILE: copy, **_other_files(folder)}
            done = save(target, files, _described(folder, owner, run, working=not ended))
        finally:
            copy.unlink(missing_ok=True)
    return SnapshotDone(done.size, done.sent, time.monotonic() - began)


def _described(folder: Path, owner: str, run: str, *, working: bool) -> Snapshot:
    absolute = folder.absolute()
    store = open_for_reading(folder)
    try:
        has_begun = has_sessions(store)
    finally:
        store.close()
    title = f"{absolute.parent.name}/{absolute.name}"
    return Snapshot(owner, run, title, socket.gethostname(), time.time(), has_begun, working)


def _other_files(folder: Path) -> dict[str, Path]:
    """Return the files of a run besides its ledger that can't be made again, by their names in the snapshot."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        is_export = name.parts[0] in _EXPORT_FOLDERS or (len(name.parts) == 1 and path.name in _EXPORTS)
        if not is_export and not any(path.match(each) for each in _LEFT_OUT) and path.is_file():
            found[name.as_posix()] = path
    return found


def _own_names(folder: Path) -> tuple[str, str]:
    """Return which copy of which run a folder is; a new one is given names."""
    path = folder / OWNER_FILE
    try:
        values = json.loads(path.read_bytes())
        return str(values["owner"]), str(values["run"])
    except (OSError, ValueError, KeyError):
        names = secrets.token_hex(8), secrets.token_hex(8)
        _write_names(folder, *names)
        return names


def _write_names(folder: Path, owner: str, run: str) -> None:
    with replace_file(folder / OWNER_FILE) as file:
        file.write(json.dumps({"owner": owner, "run": run}).encode())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with storage_faults(folder):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        until = time.monotonic() + _WAIT
        while True:  # for one that a killed run has started, and that is still sending
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise StorageError(f"{folder}: another process is taking a snapshot.") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(lock)


def restore(folder: Path, place: str) -> list[str]:
    """Make the folder of a run from the newest snapshot at a path or URL, and become the owner of the snapshots.

    The owner before, if it still works, stops at its next snapshot. A folder that is the newest copy itself stays as it
    is; an older copy of the same run is kept beside it. Returns lines for people. Raises `RunError` if there is no
    snapshot, or the folder holds another run, or is on a network file system; `StorageError` if the disk fails.
    """
    if network := network_disk(folder):
        raise RunError(
            f"{folder} is on a network file system ({network}), where a ledger is not safe. Name a local one."
        )
    source = open_folder(place)
    for _ in range(_TRIES):  # a run that still works may replace the snapshot while it is read
        stored = read_snapshot(source)
        if stored is None or not stored.snapshot.has_begun:
            raise RunError(f"{place} holds no snapshot of a run that has begun. Start the run with its own command.")
        lines = _check_target(folder, stored.snapshot)
        if lines is None:
            return [f"{folder} is the newest copy of this run; nothing was fetched."]
        try:
            _restore(folder, place, stored)
        except ChangedError:
            continue
        return [*lines, _restored_line(folder, stored.snapshot)]
    raise RunError(
        f"{place}: the snapshot was replaced {_TRIES} times meanwhile: a process works on this run. Stop it."
    )


def _restored_line(folder: Path, snapshot: Snapshot) -> str:
    age = format_duration(max(0.0, time.time() - snapshot.at))
    line = f"{folder} is from the snapshot of {snapshot.title} on {snapshot.host}, {age} old."
    if snapshot.working:
        line += " That process had not ended; if it still works, it stops at its next snapshot."
    return line


def _check_target(folder: Path, snapshot: Snapshot) -> list[str] | None:
    """Return lines for people if a folder may be made from a snapshot; None if it is the newest copy already.

    An older copy of the same run is moved aside. Raises `RunError` for another run.
    """
    if not (folder / FILE).exists():
        if folder.is_dir() and not {each.name for each in folder.iterdir()} <= LEFT_BEHIND:
            raise RunError(f"{folder} is not empty, and not a run. Name another folder.")
        return []
    if is_working(folder):
        raise RunError(f"Another process is working in {folder}. Wait for it, or use another folder.")
    owner, run = _own_names(folder) if (folder / OWNER_FILE).is_file() else ("", "")
    if owner == snapshot.owner:
        return None
    if run != snapshot.run:
        raise RunError(f"{folder} holds another run than {snapshot.title}. Name another folder.")
    aside = folder.with_name(f"{folder.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    with storage_faults(folder):
        folder.rename(aside)
    return [f"An older copy of this run was in {folder}; it is now {aside}."]


def _restore(folder: Path, place: str, stored: StoredSnapshot) -> None:
    source, owner = open_folder(place), secrets.token_hex(8)
    partial = folder.with_name(f".{folder.name}.restoring")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        needed = sum(file.size for file in stored.snapshot.files)
        if shutil.disk_usage(partial).free < needed + 50_000_000:
            raise StorageError(
                f"{folder}: {needed / 1e6:,.0f} MB are needed for the snapshot in {place}; the disk is full."
            )
        fetch(source, stored.snapshot, partial)
        _write_names(partial, owner, stored.snapshot.run)
        mine = _described(partial, owner, stored.snapshot.run, working=True)
        take_over(source, stored, replace(mine, title=stored.snapshot.title))
        for left in LEFT_BEHIND:
            (folder / left).unlink(missing_ok=True)
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise writing_error_type(error)(f"{folder} can't be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
