"""Where each image of a store is: an SQLite table of id, file, and two numbers whose meaning depends on the store.

A folder of parts keeps it in `_index.sqlite`, with the names and sizes of its parts. If these have changed since, the
index is ignored. Because of the leading `_`, pandas, dask, pyarrow and `datasets` do not read it as data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from syphus.io.durable import temporary_database

FILE = "_index.sqlite"
_CACHE = 32_000  # KiB, for a temporary index
_SCHEMA = """
CREATE TABLE part (n INTEGER PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE place (id TEXT PRIMARY KEY, part INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL) WITHOUT ROWID;
"""


class ImageLocation(NamedTuple):
    """Where an image is: the number of its file, then row group and row (Parquet) or byte offset and length (JSON)."""

    part: int
    a: int
    b: int


class ImageIndex:
    """An open index."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def find(self, image_id: str) -> ImageLocation | None:
        """Return the location of an image; None if the store does not have it."""
        row = self._db.execute("SELECT part, a, b FROM place WHERE id = ?", (image_id,)).fetchone()
        return ImageLocation(*row) if row else None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM place").fetchone()[0])

    def close(self) -> None:
        """Close the index. A temporary one is deleted."""
        self._db.close()


def open_index(folder: Path, parts: Sequence[Path]) -> ImageIndex | None:
    """Open the index of a folder; None if there is none, or if it was written for other parts than these."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        indexed = db.execute("SELECT name, bytes FROM part ORDER BY n").fetchall()
    except sqlite3.Error:
        return None
    if indexed == [(part.name, part.stat().st_size) for part in parts]:
        return ImageIndex(db)
    db.close()
    return None


def make_index(locations: Iterable[tuple[str, int, int, int]]) -> ImageIndex:
    """Build a temporary index from (id, part, a, b). The first of several equal ids wins."""
    db = temporary_database(_CACHE)
    db.executescript(_SCHEMA)
    db.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?)", locations)
    db.commit()
    return ImageIndex(db)


def write_index(path: Path, parts: Iterable[tuple[str, int]], locations: Iterable[tuple[str, int, int, int]]) -> None:
    """Write an index file. `locations` must be sorted by id, so that equal stores have equal bytes."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = OFF")
        db.executescript(_SCHEMA)
        db.executemany("INSERT INTO part VALUES (?, ?, ?)", ((n, *part) for n, part in enumerate(parts)))
        db.executemany("INSERT INTO place VALUES (?, ?, ?, ?)", locations)
