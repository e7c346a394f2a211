"""Ids that may come only once, over millions of pairs: in a temporary file rather than in memory.

The ids of a query are the same but for what is behind the last "_", as a rule, and no other query's are. So a row for
each query is noted, and ids are looked at one by one only where two queries share what is before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

import orjson

from syphus.errors import RunError
from syphus.ledger.results import Result
from syphus.ledger.temporary import temporary_database

_CACHE = 2_000  # KiB
_BATCH = 32  # queries that are noted together: so few are still at hand when they are written

_SHARED = (
    "SELECT stem, ends, query FROM noted WHERE stem IN (SELECT stem FROM noted GROUP BY stem HAVING count(*) > 1) "
    "ORDER BY rowid"
)


def distinct(results: Iterable[Result]) -> Iterator[Result]:
    """Hands the results on; raises `RunError` behind the last, if the id of a pair is another's, too."""
    left = iter(results)
    with closing(temporary_database(_CACHE)) as db:
        db.execute("CREATE TABLE noted (stem TEXT, ends TEXT, query TEXT)")
        while batch := list(islice(left, _BATCH)):
            db.executemany("INSERT INTO noted VALUES (?, ?, ?)", (row for result in batch for row in _noted(result)))
            yield from batch
        _look_at_shared(db)


def _noted(result: Result) -> Iterator[tuple[str, bytes, str]]:
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
