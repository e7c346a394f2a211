"""Names by the million, each of which may come once, and names that somebody refers to: in a temporary file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syphus.ledger.temporary import temporary_database

_CACHE = 64_000  # KiB of it are held in memory


class Names:
    """What there is, and what is wanted. A name is wanted by an owner, in a place, for a reason: all plain text.

    With `once`, only the first that wants a name is told, if it is missing. Raises `StorageError` where the disk fails.
    """

    def __init__(self, once: bool = False) -> None:
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE name (name TEXT PRIMARY KEY) WITHOUT ROWID")
        unique = "PRIMARY KEY" if once else ""
        self._db.execute(f"CREATE TABLE wanted (name TEXT {unique}, owner TEXT, place TEXT, reason TEXT)")

    def __enter__(self) -> Names:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM name").fetchone()[0])

    def add(self, name: str) -> bool:
        """Notes that a name is there; False where it was before."""
        return self._db.execute("INSERT OR IGNORE INTO name VALUES (?)", (name,)).rowcount == 1

    def add_all(self, names: Iterable[str]) -> None:
        """The same for many, whether or not they were there before."""
        self._db.executemany("INSERT OR IGNORE INTO name VALUES (?)", ((name,) for name in names))

    def __contains__(self, name: str) -> bool:
        return self._db.execute("SELECT 1 FROM name WHERE name = ?", (name,)).fetchone() is not None

    def want(self, wanted: Iterable[tuple[str, str, str, str]]) -> None:
        """Notes (name, owner, place, reason)."""
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?, ?, ?)", wanted)

    def missing(self) -> Iterator[tuple[str, str, str, str]]:
        """What is wanted and not there, in the order in which it was first wanted."""
        return iter(
            self._db.execute("SELECT * FROM wanted WHERE name NOT IN (SELECT name FROM name) ORDER BY wanted.rowid")
        )
