"""Writing a file so that nobody ever sees half of it: beside the old one, synced, then put in its place."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from syphus.errors import RunError, StorageError


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    Raises `StorageError` where the disk fails, `RunError` where another process has begun to write the same file.
    """
    temporary = path.with_name(f".{path.name}.partial")
    ours = False
    with storage_faults(path):
        try:
            temporary.unlink(missing_ok=True)  # of a process that was killed, or of one that will then give way
            with temporary.open("xb") as file:
                try:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                finally:
                    ours = _leads_to(temporary, file)
            if not ours:
                raise FileExistsError
            temporary.replace(path)
        except FileExistsError as error:
            told = f"{path} is being written by another process, too; this one has given way."
            raise RunError(told) from error
        except OSError as error:
            if error.filename == str(temporary):
                error.filename = str(path)  # which people know
            raise
        finally:
            if ours:
                temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def _leads_to(path: Path, file: IO[bytes]) -> bool:
    """Whether a name is still that of the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


# FOLDED from temporary.py:
# A database for as long as a command works, for what may be too much for the memory: SQLite's own temporary file.


def temporary_database(cache: int) -> sqlite3.Connection:
    """An empty database of which `cache` KiB are held in memory; it is gone when it is closed, and of one thread at a
    time. Whatever is done with it raises `StorageError` where the disk fails.
    """
    database = sqlite3.connect("", factory=_Temporary, check_same_thread=False)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute(f"PRAGMA cache_size = -{cache}")
    return database


class _Temporary(sqlite3.Connection):
    """Says which file it is that can't be written, which has no name."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            raise _told(error) from error

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        try:
            return super().executemany(sql, rows)
        except sqlite3.OperationalError as error:
            raise _told(error) from error


def _told(error: sqlite3.OperationalError) -> StorageError:
    return StorageError(f"A temporary file can't be written: {error}. SQLITE_TMPDIR names another folder for it.")


@contextlib.contextmanager
def storage_faults(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system raise into `StorageError`, in one line."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{path} can't be written: {error}.") from error
    except OSError as error:
        raise StorageError(f"{error.filename or path} can't be written: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """The name of a new file survives a power cut only once its folder was synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
