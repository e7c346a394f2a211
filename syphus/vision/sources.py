"""The image files of a dataset as its source has them, by the ids that its plugin gives them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from syphus.ledger.temporary import temporary_database
from syphus.types import Frame, Still, Video

_CACHE = 32_000  # KiB

Listing = Callable[[Path], Iterable[Still | Frame | Video]]


class Sources:
    """Paths by id, for any thread: `listing` is asked once, when the first id is looked for.

    They are kept in a temporary file, not in memory. Frames of videos are left out: they need a store.
    """

    def __init__(self, folder: Path, listing: Listing) -> None:
        self._folder = folder
        self._listing = listing
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None

    def find(self, name: str) -> Path | None:
        """The file of an image. Raises `UsageError` where the plugin fails on the folder."""
        with self._lock:
            if self._db is None:
                self._db = self._listed()
            row = self._db.execute("SELECT path FROM still WHERE id = ?", (name,)).fetchone()
        return self._folder / row[0] if row else None

    def close(self) -> None:
        """Forgets them."""
        if self._db is not None:
            self._db.close()

    def _listed(self) -> sqlite3.Connection:
        stills = ((each.id, str(each.path)) for each in self._listing(self._folder) if isinstance(each, Still))
        db = temporary_database(_CACHE)
        db.execute("CREATE TABLE still (id TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID")
        db.executemany("INSERT OR IGNORE INTO still VALUES (?, ?)", stills)
        return db
