"""Which photos could not be downloaded, and why: an SQLite file in their folder, `.downloads.sqlite`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from syphus.io.durable import storage_faults

FILE = ".downloads.sqlite"
_SMALL = 1 << 16  # bytes; a placeholder is a small file
_MIN_DUPLICATES = 3  # photos with the same bytes are a placeholder
_SCHEMA = """
CREATE TABLE IF NOT EXISTS missing (path TEXT PRIMARY KEY, reason TEXT NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS small (digest BLOB NOT NULL, path TEXT NOT NULL, PRIMARY KEY (digest, path)) WITHOUT ROWID;
"""


class DownloadLog:
    """The log of a folder, written as soon as something is learned. Paths are stored relative to the folder.

    Raises `StorageError` if the disk fails or the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        with storage_faults(self._path):
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.execute("PRAGMA synchronous = OFF")  # what a power cut loses is learned again
            self._db.executescript(_SCHEMA)

    def is_gone(self, path: Path) -> bool:
        """Return whether a photo is known to be gone for good."""
        row = self._run("SELECT gone FROM missing WHERE path = ?", (self._name(path),)).fetchone()
        return bool(row and row[0])

    def reason(self, path: Path) -> str:
        """Return why a photo could not be downloaded; "" if nobody has tried."""
        row = self._run("SELECT reason, gone FROM missing WHERE path = ?", (self._name(path),)).fetchone()
        return "" if row is None else f"expired: {row[0]}" if row[1] else f"could not be downloaded: {row[0]}"

    def add(self, path: Path, reason: str, *, gone: bool) -> None:
        """Note why a photo could not be downloaded; `gone` if it never can be."""
        self._run("INSERT OR REPLACE INTO missing VALUES (?, ?, ?)", (self._name(path), reason, gone))

    def find_duplicates(self, path: Path, digest: bytes, size: int) -> list[Path]:
        """Return the other photos with the same bytes, if they are a placeholder: small, and the same several times.

        These are then noted as gone.
        """
        if size > _SMALL:
            return []
        self._run("INSERT OR IGNORE INTO small VALUES (?, ?)", (digest, self._name(path)))
        names = [name for (name,) in self._run("SELECT path FROM small WHERE digest = ?", (digest,))]
        if len(names) < _MIN_DUPLICATES:
            return []
        others = [self._folder / name for name in names if name != self._name(path)]
        for other in others:
            self.add(other, "the same picture as other photos: a placeholder", gone=True)
        return others

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        with storage_faults(self._path):
            return self._db.execute(sql, values)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path)
