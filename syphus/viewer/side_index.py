"""The viewer's own index of a run, for what the ledger has no index of: words, models, sessions, repairs by rule.

It is a SQLite file in the user's cache folder, which can be deleted at any time. A thread of low priority makes it once
the queries of a run are looked at, and follows the run from then on: answers never change, so it reads each once. Until
it is complete, lists are searched row by row.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from syphus.errors import SyphusError
from syphus.viewer.index_writer import IndexWriter
from syphus.viewer.query_filter import Text

_FOLLOW_SECONDS = 5.0  #: between looks at a run that is being looked at
_OLD_SECONDS = 30 * 86400.0  #: after which an index that nobody used is deleted
_LOW_PRIORITY = 15
_CACHE = 2000  #: KiB
_PRIVATE_FOLDER = 0o700


def cache_folder() -> Path:
    """Return the user's folder for what the viewer keeps and can make again; create it. Raises `OSError`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    parent = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    folder = parent / "syphus" / "viewer"
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    return folder


class SideIndex:
    """The index of a run, open for reading; of a run without one, nothing is ready."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection
        facts = dict(connection.execute("SELECT name, value FROM fact")) if connection is not None else {}
        self.is_ready = bool(facts.get("ready"))
        self.has_texts = self.is_ready and bool(facts.get("texts"))

    def search(self, text: Text, kind: int, start: int, backwards: bool, size: int) -> list[int]:
        """Return numbers of annotations (0) or answers (1) with all words of a text, from `start` on or before it."""
        where, order = ("<=", "DESC") if backwards else (">=", "ASC")
        return self._numbers(
            f"SELECT rowid FROM words_{int(kind)} WHERE words_{int(kind)} MATCH ? AND rowid {where} ? "
            f"ORDER BY rowid {order} LIMIT ?",
            *(" AND ".join(text.words()), start, size),
        )

    def repaired(self, rule: str, start: int, backwards: bool, size: int) -> list[int]:
        """Return numbers of queries that a rule has repaired."""
        where, order = ("<=", "DESC") if backwards else (">=", "ASC")
        return self._numbers(
            f"SELECT n FROM repair WHERE rule = ? AND n {where} ? ORDER BY n {order} LIMIT ?",
            *(rule, start, size),
        )

    def answers(self, model: str, session: int | None, start: int, backwards: bool, size: int) -> list[int]:
        """Return numbers of answers of a model and of a session, where they are given."""
        sources = self._numbers(
            "SELECT id FROM source WHERE (?1 = '' OR model = ?1) AND (?2 IS NULL OR session = ?2)", model, session
        )
        found: list[int] = []
        for source in sources:
            found += self._of_source(source, start, backwards, size)
        return sorted(found, reverse=backwards)[:size]

    def _of_source(self, source: int, start: int, backwards: bool, size: int) -> list[int]:
        where, order = ("first <=", "DESC") if backwards else ("last >=", "ASC")
        if not backwards:  # spans do not overlap, so all from the one that holds `start` on
            held = "SELECT max(first) FROM span WHERE source = ?1 AND first <= ?2"
            ((first,),) = self._read(held, source, start)
            where, start_of = "first >=", start if first is None else first
        else:
            start_of = start
        spans = self._read(
            f"SELECT first, last FROM span WHERE source = ? AND {where} ? ORDER BY first {order} LIMIT ?",
            *(source, start_of, size),
        )
        numbers: list[int] = []
        for first, last in spans:
            left = size - len(numbers)
            if left <= 0:
                break
            if backwards:
                numbers += range(min(last, start), max(first - 1, min(last, start) - left), -1)
            else:
                numbers += range(max(first, start), min(last, max(first, start) + left - 1) + 1)
        return numbers

    def _numbers(self, sql: str, *values: object) -> list[int]:
        return [number for (number,) in self._read(sql, *values)]

    def _read(self, sql: str, *values: object) -> list[tuple[int, ...]]:
        return [] if self._connection is None else self._connection.execute(sql, values).fetchall()


class SideIndexes:
    """The indexes of all runs, and the thread that makes them and follows the runs."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._wanted: dict[Path, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    @contextlib.contextmanager
    def reader(self, run: Path) -> Iterator[SideIndex]:
        """Open the index of a run for reading, and see to it that there will be one."""
        self._want(run)
        connection = None
        try:
            path = self._path(run)
            if path.is_file():
                connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0, check_same_thread=False)
                connection.execute(f"PRAGMA cache_size = -{_CACHE}")
            side = SideIndex(connection)
        except (OSError, sqlite3.Error):  # it can be done without
            side = SideIndex(None)
        try:
            yield side
        finally:
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """End the thread. What it has made stays."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def catch_up(self, run: Path) -> None:
        """Index everything that a run has now."""
        IndexWriter(run, self._path(run)).follow(lambda: self._stopped)

    def _path(self, run: Path) -> Path:
        name = hashlib.blake2b(os.fsencode(run.absolute()), digest_size=12).hexdigest()
        folder = self._folder or cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.sqlite"

    def _want(self, run: Path) -> None:
        with self._changed:
            self._wanted[run] = time.monotonic()
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._work, name="viewer index", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _work(self) -> None:
        _lower_priority()
        with contextlib.suppress(OSError):
            _delete_old(self._folder or cache_folder())
        while not self._stopped:
            with self._changed:
                runs = list(self._wanted)
                self._wanted.clear()
                if not runs:
                    self._changed.wait()
                    continue
            for run in runs:
                # without an index, lists are searched row by row; the next look tries again
                with contextlib.suppress(OSError, sqlite3.Error, SyphusError):
                    self.catch_up(run)
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, _FOLLOW_SECONDS)


def _lower_priority() -> None:
    """Let the run and everything else go first; on Linux a thread has a priority of its own."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)


def _delete_old(folder: Path) -> None:
    for path in folder.glob("*.sqlite"):
        if time.time() - path.stat().st_mtime > _OLD_SECONDS:
            for each in folder.glob(f"{path.name}*"):
                each.unlink(missing_ok=True)
