"""Writes the viewer's own index of a run: reads in the ledger what is new, a few hundred rows at a time.

Each step is one transaction, which begins by looking how far the index has come. So several viewers may write one
index, and one that was killed is gone on with.

words_0, words_1   the words of annotations by the number of the query, and of answers by their number
span               which answers, from a first to a last number, are of a source: a model in a session
repair             which queries a rule has repaired
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from syphus.ledger.schema import BILLED, REPAIR
from syphus.ledger.sessions import has_open_session
from syphus.ledger.store import FILE, Columns, Store
from syphus.viewer.ledger_access import read_ledger
from syphus.viewer.query_filter import separated

_FORMAT = 1
_ROWS = 200  #: that are read at once
_WINDOW = 5000  #: queries whose repairs are read at once
_LONGEST = 200_000  #: characters of a text that are indexed
_SPACE = 0.6  #: of the size of a ledger that the words of its texts may take, at most
_SPARE = 1 << 30  #: bytes of the disk that stay free
_CACHE = 2000  #: KiB

_SCHEMA = f"""
CREATE TABLE fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO fact VALUES ('format', {_FORMAT});
CREATE TABLE source (id INTEGER PRIMARY KEY, model TEXT NOT NULL, session INTEGER NOT NULL, UNIQUE (model, session));
CREATE TABLE span (source INTEGER, first INTEGER, last INTEGER, PRIMARY KEY (source, first)) WITHOUT ROWID;
CREATE TABLE repair (rule TEXT, n INTEGER, times INTEGER, PRIMARY KEY (rule, n)) WITHOUT ROWID;
"""
_WORDS = (
    "CREATE VIRTUAL TABLE words_{} USING fts5 (text, content='', detail=none, columnsize=0, "
    'tokenize="unicode61 remove_diacritics 0")'
)
_ANNOTATIONS = (
    "SELECT n, id || ' ' || text FROM query JOIN annotation USING (n) WHERE n > ? AND n <= ? ORDER BY n LIMIT ?"
)
_ANSWERS = "SELECT n, text || ' ' || refusal, model, session FROM answer WHERE n > ? AND n <= ? ORDER BY n LIMIT ?"
_REPAIRS = (
    "SELECT query.n, key, value FROM query JOIN result USING (n), json_each(repairs) "
    "WHERE {} AND repairs <> '{{}}' AND position IS NOT NULL"
)


class IndexWriter:
    """Brings the index of a run up to date."""

    def __init__(self, run: Path, path: Path) -> None:
        self._run = run
        self._path = path

    def follow(self, is_stopped: Callable[[], bool]) -> None:
        """Index everything that the run has now. Raises `OSError`, `sqlite3.Error` or `RunError`."""
        try:
            self._follow(is_stopped)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # busy, or a full disk
                raise
            for path in self._path.parent.glob(f"{self._path.name}*"):  # damaged: it is made again
                path.unlink(missing_ok=True)
            self._follow(is_stopped)

    def _follow(self, is_stopped: Callable[[], bool]) -> None:
        identity, checked = read_ledger(self._run, lambda store: (_identity(store), _last_check(store)))
        with contextlib.closing(self._open(identity)) as index:
            texts = bool(_fact(index, "texts"))
            if texts and _fact(index, "checked") != checked:  # the input was read again, so annotations may differ
                with _transaction(index):
                    index.execute("DROP TABLE IF EXISTS words_0")
                    index.execute(_WORDS.format(0))
                    _set(index, checked=checked, annotations=0)
            steps: list[Callable[[sqlite3.Connection], bool]] = [self._add_answers]
            if texts:
                steps.insert(0, self._add_annotations)
            for step in steps:
                while step(index):
                    if is_stopped():
                        return
            self._check_repairs(index)
            with _transaction(index):
                _set(index, ready=1)

    def _open(self, identity: str) -> sqlite3.Connection:
        """Open the index, and create it if it is missing, or of another ledger at the same place."""
        index = sqlite3.connect(self._path, timeout=10.0, isolation_level=None, check_same_thread=False)
        try:
            index.execute("PRAGMA journal_mode = WAL")
            index.execute("PRAGMA synchronous = NORMAL")  # it can be made again
            index.execute(f"PRAGMA cache_size = -{_CACHE}")
            index.execute("BEGIN IMMEDIATE")
            if index.execute("SELECT 1 FROM sqlite_schema WHERE name = 'fact'").fetchone():
                if (_fact(index, "format"), _fact(index, "identity")) == (_FORMAT, identity):
                    index.execute("COMMIT")
                    return index
                for (table,) in index.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOTNULL AND "
                    "(name NOT LIKE 'words!_%!_%' ESCAPE '!')"
                ).fetchall():
                    index.execute(f"DROP TABLE {table}")
            for statement in _SCHEMA.split(";"):
                index.execute(statement)
            texts = self._has_space()
            for kind in (0, 1) if texts else ():
                index.execute(_WORDS.format(kind))
            _set(index, identity=identity, texts=int(texts))
            index.execute("COMMIT")
        except BaseException:
            index.close()
            raise
        return index

    def _has_space(self) -> bool:
        size = (self._run / FILE).stat().st_size
        return shutil.disk_usage(self._path.parent).free > size * _SPACE + _SPARE

    def _add_annotations(self, index: sqlite3.Connection) -> bool:
        """Index some annotations; return whether there may be more."""
        with _transaction(index):
            done = _fact(index, "annotations") or 0
            rows = read_ledger(self._run, lambda store: store.read(_ANNOTATIONS, done, 1 << 62, _ROWS))
            _add_words(index, 0, rows)
            if rows:
                _set(index, annotations=rows[-1][0])
        return len(rows) == _ROWS

    def _add_answers(self, index: sqlite3.Connection) -> bool:
        """Index some answers, and the repairs of the queries whose newest answers they are; return as above."""
        with _transaction(index):
            done = _fact(index, "answers") or 0
            rows, repairs = read_ledger(self._run, lambda store: _new_answers(store, done))
            if _fact(index, "texts"):
                _add_words(index, 1, rows)
            _add_spans(index, rows)
            _add_repairs(index, repairs)
            if rows:
                _set(index, answers=rows[-1][0])
        return len(rows) == _ROWS

    def _check_repairs(self, index: sqlite3.Connection) -> None:
        """Read all repairs again if their number is not that of the ledger: answers may have been judged again."""
        counted, last = read_ledger(self._run, _count_repairs)
        if counted is None:
            return
        with _transaction(index):
            ((known,),) = index.execute("SELECT total(times) FROM repair").fetchall()
            if counted in (known, _fact(index, "repairs")):
                return
            index.execute("DELETE FROM repair")
            for first in range(0, last + 1, _WINDOW):
                condition = _REPAIRS.format("query.n BETWEEN ? AND ?")
                _add_repairs(index, read_ledger(self._run, partial(_read, condition, first, first + _WINDOW - 1)))
            _set(index, repairs=counted)


@contextlib.contextmanager
def _transaction(index: sqlite3.Connection) -> Iterator[None]:
    index.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        index.execute("ROLLBACK")
        raise
    index.execute("COMMIT")


def _identity(store: Store) -> str:
    """Return what tells a ledger from another one that replaces it."""
    stat = store.path.stat()
    began = store.read_value("SELECT min(started) FROM session")
    return json.dumps([stat.st_ino, began])


def _last_check(store: Store) -> int:
    """Return a number that grows when the input is read again."""
    return int(store.read_value("SELECT checked FROM query WHERE n = (SELECT max(n) FROM query)") or 0)


def _new_answers(store: Store, done: int) -> tuple[list[Columns], list[Columns]]:
    """Return answers after a number, up to which none are missing, and repairs by number of query and rule."""
    last = 1 << 62
    if has_open_session(store):
        last = max(int(store.read_value("SELECT value FROM meta WHERE name = ?", BILLED) or 0), done)
    rows = store.read(_ANSWERS, done, last, _ROWS)
    if not rows:
        return [], []
    return rows, store.read(_REPAIRS.format("query.answer BETWEEN ? AND ?"), rows[0][0], rows[-1][0])


def _count_repairs(store: Store) -> tuple[float | None, int]:
    """Return how often anything was repaired, None while a process may be working, and the last query's number."""
    if has_open_session(store):
        return None, 0
    total = store.read_value("SELECT total(times) FROM tally WHERE kind = ?", REPAIR)
    return float(total or 0.0), int(store.read_value("SELECT max(n) FROM query") or 0)


def _read(sql: str, first: int, last: int, store: Store) -> list[Columns]:
    return store.read(sql, first, last)


def _add_words(index: sqlite3.Connection, kind: int, rows: Sequence[Columns]) -> None:
    index.executemany(
        f"INSERT INTO words_{kind} (rowid, text) VALUES (?, ?)",
        [(row[0], separated(row[1][:_LONGEST])) for row in rows],
    )


def _add_spans(index: sqlite3.Connection, rows: Sequence[Columns]) -> None:
    """Note the source of each answer; consecutive answers from one source become one span."""
    for n, _, model, session in rows:
        index.execute("INSERT OR IGNORE INTO source (model, session) VALUES (?, ?)", (model, session))
        values = (model, session, n)
        longer = index.execute(
            "UPDATE span SET last = ?3 WHERE source = (SELECT id FROM source WHERE model = ?1 AND session = ?2) "
            "AND first = (SELECT max(first) FROM span WHERE source = "
            "(SELECT id FROM source WHERE model = ?1 AND session = ?2)) AND last = ?3 - 1",
            values,
        )
        if not longer.rowcount:
            index.execute("INSERT INTO span SELECT id, ?3, ?3 FROM source WHERE model = ?1 AND session = ?2", values)


def _add_repairs(index: sqlite3.Connection, repairs: Iterable[Columns]) -> None:
    index.executemany(
        "INSERT OR REPLACE INTO repair VALUES (?, ?, ?)", [(rule, n, times) for n, rule, times in repairs]
    )


def _fact(index: sqlite3.Connection, name: str) -> Any:
    row = index.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def _set(index: sqlite3.Connection, **facts: object) -> None:
    index.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(facts.items()))
