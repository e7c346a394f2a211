"""Sets of millions of ids, in a temporary file rather than in memory: finds duplicate ids and missing references."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice

import orjson

from syphus.errors import RunError
from syphus.io.durable import temporary_database
from syphus.io.media import hashed_stem, may_be_hashed
from syphus.ledger.results import QueryResult

_SET_CACHE, _UNIQUE_CACHE = 64_000, 2_000  # KiB in memory
_BATCH = 32  # queries that are noted in one statement, and held until then

_MISSING = """SELECT value, owner, file, reason FROM reference, json_each(names)
    WHERE value NOT IN (SELECT name FROM name) ORDER BY reference.rowid"""
_MISSING_ONCE = """SELECT value, owner, file, reason, min(reference.rowid) AS first FROM reference, json_each(names)
    WHERE value NOT IN (SELECT name FROM name) GROUP BY value ORDER BY first"""
_IDS = "SELECT name FROM name UNION SELECT value FROM reference, json_each(names)"
_SHARED_STEMS = (
    "SELECT stem, ends, query FROM noted WHERE stem IN (SELECT stem FROM noted GROUP BY stem HAVING count(*) > 1) "
    "ORDER BY rowid"
)


class IdSet:
    """A set of ids, and of references to ids. A reference has an owner, a file and a reason, all plain text.

    Raises `StorageError` if the disk fails.
    """

    def __init__(self) -> None:
        self._db = temporary_database(_SET_CACHE)
        self._db.execute("CREATE TABLE name (name TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TABLE reference (names TEXT, owner TEXT, file TEXT, reason TEXT)")
        self._has_stems = False

    def __enter__(self) -> IdSet:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM name").fetchone()[0])

    def add(self, name: str) -> bool:
        """Add an id; return False if it was there before."""
        return self._db.execute("INSERT OR IGNORE INTO name VALUES (?)", (name,)).rowcount == 1

    def add_all(self, names: Iterable[str]) -> None:
        """Add many ids, whether or not they were there before."""
        self._db.executemany("INSERT OR IGNORE INTO name VALUES (?)", ((name,) for name in names))

    def __contains__(self, name: str) -> bool:
        return self._db.execute("SELECT 1 FROM name WHERE name = ?", (name,)).fetchone() is not None

    def id_of_file(self, stem: str, in_folder: bool) -> str:
        """Return the id of an image by the stem of its file: another one if `export` had to change the name.

        A file in a folder may also be called by what follows `XX_IMG_` in the id. Ids count that were added or required
        before the first call.
        """
        if not in_folder and not may_be_hashed(stem):
            return stem
        if not self._has_stems:
            self._db.execute("CREATE TABLE file (stem TEXT, rank INTEGER, id TEXT, PRIMARY KEY (stem, rank))")
            rows = (row for (name,) in self._db.execute(_IDS) for row in _files_of(name))
            self._db.executemany("INSERT OR IGNORE INTO file VALUES (?, ?, ?)", rows)
            self._has_stems = True
        sql = "SELECT id FROM file WHERE stem = ? AND rank <= ? ORDER BY rank"
        row = self._db.execute(sql, (stem, 2 if in_folder else 1)).fetchone()
        return row[0] if row else stem

    def require(self, references: Iterable[tuple[Sequence[str], str, str, str]]) -> None:
        """Add references, as (ids, owner, file, reason)."""
        rows = ((orjson.dumps(names).decode(), *rest) for names, *rest in references)
        self._db.executemany("INSERT INTO reference VALUES (?, ?, ?, ?)", rows)

    def missing(self, once: bool = False) -> Iterator[tuple[str, str, str, str]]:
        """Yield the references to ids that are not in the set, as (id, owner, file, reason), in the order of `require`.

        With `once`, yields only the first reference to each id.
        """
        for name, owner, file, reason, *_ in self._db.execute(_MISSING_ONCE if once else _MISSING):
            yield name, owner, file, reason


def _files_of(image_id: str) -> Iterator[tuple[str, int, str]]:
    """Yield the stems that the file of an image may have, the likeliest first, with their rank and the id."""
    stems = (image_id, hashed_stem(image_id, image_id), image_id.partition("_IMG_")[2])
    return ((stem, rank, image_id) for rank, stem in enumerate(stems) if stem)


def check_unique(results: Iterable[QueryResult]) -> Iterator[QueryResult]:
    """Yield the results unchanged; raise `RunError` after the last one if two pairs have the same id.

    As a rule, the ids of a query differ only after the last "_", and no other query shares what is before it. So this
    notes one row per query, and compares single ids only where queries share the part before the last "_".
    """
    left = iter(results)
    with closing(temporary_database(_UNIQUE_CACHE)) as db:
        db.execute("CREATE TABLE noted (stem TEXT, ends TEXT, query TEXT)")
        while batch := list(islice(left, _BATCH)):
            db.executemany("INSERT INTO noted VALUES (?, ?, ?)", (row for result in batch for row in _noted(result)))
            yield from batch
        _compare_shared_stems(db)


def _noted(result: QueryResult) -> Iterator[tuple[str, bytes, str]]:
    """Yield (stem, ends as JSON, query): the parts of the query's ids up to the last "_", and after it."""
    ends: dict[str, list[str]] = {}
    for pair in result.pairs:
        stem, separator, end = pair.id.rpartition("_")
        ends.setdefault(stem + separator, []).append(end)
    for stem, each in ends.items():
        if len(set(each)) < len(each):
            repeated = next(end for end in each if each.count(end) > 1)
            raise _duplicate_id(stem + repeated, result.query, result.query)
        yield stem, orjson.dumps(each), result.query


def _compare_shared_stems(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE id (name TEXT PRIMARY KEY, query TEXT) WITHOUT ROWID")
    for stem, ends, query in db.execute(_SHARED_STEMS):
        for end in orjson.loads(ends):
            try:
                db.execute("INSERT INTO id VALUES (?, ?)", (stem + end, query))
            except sqlite3.IntegrityError:
                (other,) = db.execute("SELECT query FROM id WHERE name = ?", (stem + end,)).fetchone()
                raise _duplicate_id(stem + end, other, query) from None


def _duplicate_id(name: str, one: str, other: str) -> RunError:
    return RunError(
        f"Pairs of the queries {one!r} and {other!r} have the same id {name!r}. Nothing is lost: make the plugin's "
        "instruction_id distinguish them, and run the same command again; that costs nothing."
    )
