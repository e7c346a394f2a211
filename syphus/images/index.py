"""Where each image of a store is: an SQLite table of id, file, and two numbers that mean something to the store.

A folder of parts has it in `_index.sqlite`, with the names and sizes of the parts it speaks of: where these are not the
same any more, it is passed over. Names that begin with `_` are no data to pandas, dask, pyarrow and `datasets`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from syphus.io.durable import temporary_database

FILE = "_index.sqlite"
_CACHE = 32_000  # KiB of an index that is not kept
_SCHEMA = """
CREATE TABLE part (n INTEGER PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE place (id TEXT PRIMARY KEY, part INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL) WITHOUT ROWID;
"""


class ImageLocation(NamedTuple):
    """The number of the file; of its row groups and of the row in it, or of a text's beginning and length."""

    part: int
    a: int
    b: int


class ImageIndex:
    """The table, in a file or for as long as it is open."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def find(self, image_id: str) -> ImageLocation | None:
        """Where an image is."""
        row = self._db.execute("SELECT part, a, b FROM place WHERE id = ?", (image_id,)).fetchone()
        return ImageLocation(*row) if row else None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM place").fetchone()[0])

    def close(self) -> None:
        """Closes it."""
        self._db.close()


def open_index(folder: Path, parts: Sequence[Path]) -> ImageIndex | None:
    """The index that is kept in a folder, if it speaks of just these parts."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        said = db.execute("SELECT name, bytes FROM part ORDER BY n").fetchall()
    except sqlite3.Error:
        return None
    if said == [(part.name, part.stat().st_size) for part in parts]:
        return ImageIndex(db)
    db.close()
    return None


def make_index(places: Iterable[tuple[str, int, int, int]]) -> ImageIndex:
    """An index for as long as it is open, in SQLite's own temporary file. Of equal ids, the first counts."""
    db = temporary_database(_CACHE)
    db.executescript(_SCHEMA)
    db.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?)", places)
    db.commit()
    return ImageIndex(db)


def write_index(path: Path, parts: Iterable[tuple[str, int]], places: Iterable[tuple[str, int, int, int]]) -> None:
    """Writes an index to keep. `places` come in the order of their ids, so the same store has the same bytes."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = OFF")
        db.executescript(_SCHEMA)
        db.executemany("INSERT INTO part VALUES (?, ?, ?)", ((n, *part) for n, part in enumerate(parts)))
        db.executemany("INSERT INTO place VALUES (?, ?, ?, ?)", places)
