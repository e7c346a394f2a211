"""Durable files: atomic writes, storage errors in one line, and temporary databases.

A file is written beside the old one, synced, and then renamed, so nobody ever sees half of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from syphus.errors import ConfigError, OutputError, RunError, StorageError, short_name


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that replaces `path` if the block succeeds; otherwise `path` stays as it was.

    Raises `StorageError` if the disk fails, `RunError` if another process starts to write the same file, or if `path`
    is a pipe or a device.
    """
    temporary = path.with_name(f".{path.name}.partial")
    is_ours = False
    with storage_faults(path):
        _check_target(path)
        try:
            temporary.unlink(missing_ok=True)  # left by a killed process; a live process notices and stops
            with temporary.open("xb") as file:
                try:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                finally:
                    is_ours = _is_same_file(temporary, file)
            if not is_ours:
                raise FileExistsError
            temporary.replace(path)
        except FileExistsError as error:
            raise RunError(f"Another process is writing {path}, too; this process stopped.") from error
        except OSError as error:
            if error.filename == str(temporary):
                error.filename = str(path)  # the name that people know
            raise
        finally:
            if is_ours:
                temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextlib.contextmanager
def replace_folder(path: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` if the block succeeds; otherwise `path` stays as it was.

    Of an old folder, the entries that `is_ours` does not know stay. Its files are synced by who writes them. Raises
    `StorageError` if the disk fails, `RunError` if another process writes the same folder.
    """
    import fcntl  # imported here, so that runs can be read on systems without fcntl

    partial, old = (path.with_name(f".{path.name}.{end}") for end in ("partial", "old"))
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if old.exists() and not path.exists():  # a process was killed between the two renames
            old.rename(path)
        partial.mkdir(exist_ok=True)
        lock = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"Another process is writing {path}, too; this process stopped.") from error
        try:
            with storage_faults(path):
                for entry in partial.iterdir():  # left by a killed process
                    _remove(entry)
            yield partial
            with storage_faults(path):
                sync_folder(partial)
                _take_place(partial, path, old, is_ours)
        finally:
            _remove(partial)
    finally:
        os.close(lock)


def _take_place(partial: Path, path: Path, old: Path, is_ours: Callable[[Path], bool]) -> None:
    _remove(old)
    if path.exists():
        path.rename(old)
    partial.rename(path)
    if old.exists():
        for entry in old.iterdir():
            if not is_ours(entry) and not (path / entry.name).exists():
                entry.rename(path / entry.name)
        _remove(old)
    sync_folder(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check_target(path: Path) -> None:
    """Raise `RunError` if `path` is there and neither a file nor a folder: a pipe or a device would be replaced."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise RunError(f"{path} is a pipe or a device, and can't be replaced. Name a file.")


def _is_same_file(path: Path, file: IO[bytes]) -> bool:
    """Return whether `path` still leads to the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def temporary_database(cache: int) -> sqlite3.Connection:
    """Return an empty database for data that may not fit into memory; `cache` KiB of it are held there.

    It is deleted when it is closed. Only one thread at a time may use it. Its `execute` and `executemany` raise
    `StorageError` if the disk fails.
    """
    database = sqlite3.connect("", factory=_Temporary, check_same_thread=False)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute(f"PRAGMA cache_size = -{cache}")
    return database


class _Temporary(sqlite3.Connection):
    """A temporary file has no name, so its errors say how to move it to another folder."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            raise _temporary_fault(error) from error

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        try:
            return super().executemany(sql, rows)
        except sqlite3.OperationalError as error:
            raise _temporary_fault(error) from error


def _temporary_fault(error: sqlite3.OperationalError) -> StorageError:
    return StorageError(f"A temporary file can't be written: {error}. Set SQLITE_TMPDIR to use another folder.")


class storage_faults:  # noqa: N801 - a function to its users; a generator would take as long as a short statement
    """A context manager that turns errors of SQLite and the file system into a `StorageError` of one line."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise StorageError(f"{self._path} can't be written: {error}.") from error
        if isinstance(error, OSError):
            name = short_name(error.filename or self._path)
            raise StorageError(f"{name} can't be written: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """Sync a folder: only then does the name of a new file in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[IO[str]]:
    """Open the log file. Raises `ConfigError` if it can't be opened, `OutputError` at the end if not written."""
    try:
        file = open(path, "a", encoding="utf-8", errors="replace", opener=_without_waiting)  # noqa: SIM115 - closed below
        os.set_blocking(file.fileno(), True)
    except OSError as error:
        raise ConfigError(f"--log-file {path} can't be written: {error.strerror}.") from error
    try:
        yield file
    finally:
        try:
            file.close()
        except OSError as error:
            raise OutputError(f"--log-file {path} can't be written: {error.strerror}.") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody reads is an error, instead of a wait without end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
