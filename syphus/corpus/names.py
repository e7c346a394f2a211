"""Names by the million, each of which may come once, and names that somebody refers to: in a temporary file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import orjson

from syphus.ledger.temporary import temporary_database

_CACHE = 64_000  # KiB of it are held in memory

_MISSING = """SELECT value, owner, place, reason FROM wanted, json_each(names)
    WHERE value NOT IN (SELECT name FROM name) ORDER BY wanted.rowid"""
_MISSING_ONCE = """SELECT value, owner, place, reason, min(wanted.rowid) AS first FROM wanted, json_each(names)
    WHERE value NOT IN (SELECT name FROM name) GROUP BY value ORDER BY first"""


class Names:
    """What there is, and what is wanted. Names are wanted by an owner, in a place, for a reason: all plain text.

    Raises `StorageError` where the disk fails.
    """

    def __init__(self) -> None:
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE name (name TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TABLE wanted (names TEXT, owner TEXT, place TEXT, reason TEXT)")

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

    def want(self, wanted: Iterable[tuple[Sequence[str], str, str, str]]) -> None:
        """Notes (names, owner, place, reason)."""
        rows = ((orjson.dumps(names).decode(), *rest) for names, *rest in wanted)
        self._db.executemany("INSERT INTO wanted VALUES (?, ?, ?, ?)", rows)

    def missing(self, once: bool = False) -> Iterator[tuple[str, str, str, str]]:
        """(name, owner, place, reason) of all that is wanted and not there, in the order in which it was wanted.

        With `once`, of each name only the first that wants it.
        """
        for name, owner, place, reason, *_ in self._db.execute(_MISSING_ONCE if once else _MISSING):
            yield name, owner, place, reason
