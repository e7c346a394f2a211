"""A database for as long as a command works, for what may be too much for the memory: SQLite's own temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from syphus.errors import StorageError


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
