"""How far a conversion has got: one SQLite file in its work folder, committed once per part of the store.

After a crash, everything since the last commit is discarded. That part is made again, with the same bytes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from syphus.errors import RunError, StorageError
from syphus.io.durable import storage_faults

FILE = "state.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    n INTEGER PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER NOT NULL, images INTEGER NOT NULL,
    skipped INTEGER NOT NULL, units INTEGER NOT NULL, results INTEGER NOT NULL, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS place (
    id TEXT PRIMARY KEY, part INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS skipped (n INTEGER PRIMARY KEY, id TEXT, entry TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS skipped_id ON skipped (id);
"""


class SourcePosition(NamedTuple):
    """How much of the sources is in the parts: whole units, results of the next unit, and bytes of source files."""

    units: int = 0
    results: int = 0
    done: int = 0


class ConversionState:
    """The state of the conversion in a folder. Only one process can open it; a second one gets a `RunError`.

    Methods that write raise `StorageError` if the disk fails.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        with storage_faults(self._path):
            self._db = sqlite3.connect(self._path, timeout=0)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cache_size = -32000")  # KiB
            self._db.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
        except sqlite3.OperationalError as error:
            self._db.close()
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise RunError(f"Another process is using {folder}.") from error
            raise StorageError(f"{self._path} can't be written: {error}.") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise RunError(f"{self._path} is damaged ({error}). Start over with --restart.") from error
        self.images, self.skipped = self._committed_counts()

    @property
    def settings(self) -> str:
        """The digest of the settings that the parts were made with; "" for a new conversion."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'settings'").fetchone()
        return str(row[0]) if row else ""

    def begin(self, settings: str) -> None:
        """Note the settings."""
        with storage_faults(self._path), self._db:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", (settings,))

    @property
    def position(self) -> SourcePosition:
        """Where in the sources to continue."""
        row = self._db.execute("SELECT units, results, done FROM part ORDER BY n DESC LIMIT 1").fetchone()
        return SourcePosition(*row) if row else SourcePosition()

    @property
    def parts(self) -> list[tuple[str, int]]:
        """Names and bytes of the finished parts, in order."""
        # The last commit may have had no part.
        return self._db.execute("SELECT name, bytes FROM part WHERE name != '' ORDER BY n").fetchall()

    def add_image(self, image_id: str, part: int, group: int, row: int) -> bool:
        """Note where an image will be. Return False if the id is already taken."""
        with storage_faults(self._path):
            added = self._db.execute("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?)", (image_id, part, group, row))
        self.images += added.rowcount
        return added.rowcount == 1

    def add_skipped(self, image_id: str, entry: dict[str, object]) -> None:
        """Note an image that is not in the store, and why."""
        line, image_id = (
            text.encode("utf-8", "backslashreplace").decode("utf-8")
            for text in (json.dumps(entry, ensure_ascii=False), image_id)
        )
        with storage_faults(self._path):
            self._db.execute("INSERT INTO skipped (id, entry) VALUES (?, ?)", (image_id, line))
        self.skipped += 1

    def commit(self, name: str, size: int, position: SourcePosition) -> None:
        """Commit everything since the last commit; the part of this name and size has it ("" if there was no image)."""
        images, skipped = self._committed_counts()
        with storage_faults(self._path):
            self._db.execute(
                "INSERT INTO part (name, bytes, images, skipped, units, results, done) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, size, self.images - images, self.skipped - skipped, *position),
            )
            self._db.commit()

    def skipped_entries(self) -> Iterator[str]:
        """Yield the skipped images, each as one line of JSON."""
        for (entry,) in self._db.execute("SELECT entry FROM skipped ORDER BY n"):
            yield entry

    def locations(self) -> Iterator[tuple[str, int, int, int]]:
        """Yield (id, part, row group, row) of every image, in the order of the ids."""
        yield from self._db.execute("SELECT id, part, a, b FROM place ORDER BY id")

    def is_known(self, image_id: str) -> bool:
        """Return whether an image is in the store, or was skipped under this id."""
        found = "SELECT 1 FROM place WHERE id = ?1 UNION ALL SELECT 1 FROM skipped WHERE id = ?1"
        return self._db.execute(found, (image_id,)).fetchone() is not None

    def close(self) -> None:
        """Close the file. Uncommitted changes are discarded."""
        self._db.close()

    def _committed_counts(self) -> tuple[int, int]:
        counts: tuple[int, int] = self._db.execute(
            "SELECT coalesce(sum(images), 0), coalesce(sum(skipped), 0) FROM part"
        ).fetchone()
        return counts


# Which photos could not be downloaded, and why.

DOWNLOADS_FILE = ".downloads.sqlite"
_SMALL = 1 << 16  # bytes; a placeholder is a small file
_MIN_DUPLICATES = 3  # photos with the same bytes are a placeholder
PLACEHOLDER_REASON = "the same picture as other photos: a placeholder"
_LOG_SCHEMA = """
CREATE TABLE IF NOT EXISTS address (url TEXT PRIMARY KEY, reason TEXT NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS small_photo (
    digest BLOB NOT NULL, path TEXT NOT NULL, url TEXT NOT NULL, PRIMARY KEY (digest, path)) WITHOUT ROWID;
"""  # earlier versions noted in `missing` and `small` by the path of a photo, whatever its address was


class DownloadLog:
    """The log of a folder, written as soon as something is learned. A photo is known by its addresses.

    Paths are stored relative to the folder. Raises `StorageError` if the disk fails or the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / DOWNLOADS_FILE
        with storage_faults(self._path):
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.execute("PRAGMA synchronous = OFF")  # what a power cut loses is learned again
            self._db.executescript(_LOG_SCHEMA)

    def are_gone(self, urls: Sequence[str]) -> bool:
        """Return whether a photo is known to be gone for good from all of its addresses."""
        return bool(urls) and all(found is not None and found[1] for found in map(self._find, urls))

    def reason(self, urls: Sequence[str]) -> str:
        """Return why a photo could not be downloaded; "" if one of its addresses was not tried yet."""
        found = [each for each in map(self._find, urls) if each is not None]
        if not found or len(found) < len(urls):
            return ""
        failed = next((reason for reason, gone in found if not gone), None)
        return f"expired: {found[0][0]}" if failed is None else f"could not be downloaded: {failed}"

    def add(self, url: str, reason: str, *, gone: bool) -> None:
        """Note why a photo could not be downloaded from an address; `gone` if it never can be."""
        self._run("INSERT OR REPLACE INTO address VALUES (?, ?, ?)", (_storable(url), _storable(reason), gone))

    def forget(self) -> None:
        """Forget which addresses failed, so that all are tried again."""
        self._run("DELETE FROM address", ())

    def find_duplicates(self, path: Path, url: str, digest: bytes, size: int) -> list[Path]:
        """Return the other photos with the same bytes, if they are a placeholder: small, and the same several times.

        These are then noted as gone.
        """
        if size > _SMALL:
            return []
        name = self._name(path)
        self._run("INSERT OR REPLACE INTO small_photo VALUES (?, ?, ?)", (digest, name, _storable(url)))
        found = self._run("SELECT path, url FROM small_photo WHERE digest = ?", (digest,)).fetchall()
        if len({address for _, address in found}) < _MIN_DUPLICATES:  # one photo may have several names
            return []
        for other, address in found:
            if other != name:
                self.add(address, PLACEHOLDER_REASON, gone=True)
        return [self._folder / other for other, _ in found if other != name]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        with storage_faults(self._path):
            return self._db.execute(sql, values)

    def _find(self, url: str) -> tuple[str, bool] | None:
        """Return why an address failed, and whether its photo is gone; None if it did not."""
        found = self._run("SELECT reason, gone FROM address WHERE url = ?", (_storable(url),)).fetchone()
        return None if found is None else (found[0], bool(found[1]))

    def _name(self, path: Path) -> str:
        return _storable(str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path))


def _storable(text: str) -> str:
    """Return a text as SQLite takes it; half a surrogate pair becomes a backslash escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
