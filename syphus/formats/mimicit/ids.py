"""Ids that may come only once, over millions of pairs: in a temporary file rather than in memory.

The ids of a query are the same but for what is behind the last "_", as a rule, and no other query's are. So a row for
each query is noted, and ids are looked at one by one only where two queries share what is before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice

import orjson

from syphus.errors import RunError
from syphus.io.durable import temporary_database
from syphus.ledger.results import QueryResult

_CACHE = 2_000  # KiB
_BATCH = 32  # queries that are noted together: so few are still at hand when they are written

_SHARED = (
    "SELECT stem, ends, query FROM noted WHERE stem IN (SELECT stem FROM noted GROUP BY stem HAVING count(*) > 1) "
    "ORDER BY rowid"
)


def check_unique(results: Iterable[QueryResult]) -> Iterator[QueryResult]:
    """Hands the results on; raises `RunError` behind the last, if the id of a pair is another's, too."""
    left = iter(results)
    with closing(temporary_database(_CACHE)) as db:
        db.execute("CREATE TABLE noted (stem TEXT, ends TEXT, query TEXT)")
        while batch := list(islice(left, _BATCH)):
            db.executemany("INSERT INTO noted VALUES (?, ?, ?)", (row for result in batch for row in _noted(result)))
            yield from batch
        _look_at_shared(db)


def _noted(result: QueryResult) -> Iterator[tuple[str, bytes, str]]:
    """The ids of a query: what they begin with, how those go on that begin so, and the query."""
    ends: dict[str, list[str]] = {}
    for pair in result.pairs:
        stem, mark, end = pair.id.rpartition("_")
        ends.setdefault(stem + mark, []).append(end)
    for stem, each in ends.items():
        if len(set(each)) < len(each):
            twice = next(end for end in each if each.count(end) > 1)
            raise _repeated(stem + twice, result.query, result.query)
        yield stem, orjson.dumps(each), result.query


def _look_at_shared(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE id (name TEXT PRIMARY KEY, query TEXT) WITHOUT ROWID")
    for stem, ends, query in db.execute(_SHARED):
        for end in orjson.loads(ends):
            try:
                db.execute("INSERT INTO id VALUES (?, ?)", (stem + end, query))
            except sqlite3.IntegrityError:
                (other,) = db.execute("SELECT query FROM id WHERE name = ?", (stem + end,)).fetchone()
                raise _repeated(stem + end, other, query) from None


def _repeated(name: str, one: str, other: str) -> RunError:
    return RunError(
        f"Pairs of the queries {one!r} and {other!r} have the same id {name!r}. Nothing is lost: have the plugin's "
        "instruction_id tell them apart, and run the same command; it costs nothing."
    )


# FOLDED from names.py:
# Names by the million, each of which may come once, and names that somebody refers to: in a temporary file.

_NAMES_CACHE = 64_000  # KiB of it are held in memory

_MISSING = """SELECT value, owner, place, reason FROM wanted, json_each(names)
    WHERE value NOT IN (SELECT name FROM name) ORDER BY wanted.rowid"""
_MISSING_ONCE = """SELECT value, owner, place, reason, min(wanted.rowid) AS first FROM wanted, json_each(names)
    WHERE value NOT IN (SELECT name FROM name) GROUP BY value ORDER BY first"""


class IdSet:
    """What there is, and what is wanted. Names are wanted by an owner, in a place, for a reason: all plain text.

    Raises `StorageError` where the disk fails.
    """

    def __init__(self) -> None:
        self._db = temporary_database(_NAMES_CACHE)
        self._db.execute("CREATE TABLE name (name TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TABLE wanted (names TEXT, owner TEXT, place TEXT, reason TEXT)")

    def __enter__(self) -> IdSet:
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

    def require(self, wanted: Iterable[tuple[Sequence[str], str, str, str]]) -> None:
        """Notes (names, owner, place, reason)."""
        rows = ((orjson.dumps(names).decode(), *rest) for names, *rest in wanted)
        self._db.executemany("INSERT INTO wanted VALUES (?, ?, ?, ?)", rows)

    def missing(self, once: bool = False) -> Iterator[tuple[str, str, str, str]]:
        """(name, owner, place, reason) of all that is wanted and not there, in the order in which it was wanted.

        With `once`, of each name only the first that wants it.
        """
        for name, owner, place, reason, *_ in self._db.execute(_MISSING_ONCE if once else _MISSING):
            yield name, owner, place, reason
