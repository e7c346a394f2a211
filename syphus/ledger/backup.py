"""A consistent copy of a ledger, also while a run writes to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from syphus.io.durable import storage_faults
from syphus.ledger.store import FILE


def copy_ledger(folder: Path, target: Path) -> None:
    """Copy the ledger of the run in `folder` to `target`, as it is after some commit. Raises `StorageError`.

    SQLite's backup reads one state of the file, and no writer waits for it: in WAL mode, writers only append.
    """
    with (
        storage_faults(target),
        closing(sqlite3.connect(f"{(folder / FILE).absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)) as ledger,
        closing(sqlite3.connect(target)) as copy,
    ):
        copy.execute("PRAGMA synchronous = OFF")  # it is read at once, and made again after a crash
        ledger.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
