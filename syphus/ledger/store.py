"""The ledger's file: opening and creating it, its schema, the lock on its folder, and what is done when the disk fails.

WAL mode with `synchronous=FULL`: a commit that has returned survives a power cut (with NORMAL, committed rows and even
the table were seen to vanish). Group commits make that cheap. A storage fault is never retried: after a failed fsync
the kernel may have dropped the very pages that a second one would claim to have written.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from syphus.errors import RunError, StorageError
from syphus.io.durable import storage_faults, sync_folder

# FOLDED from part_tables.py:
# The tables of parts (`parts.py`), which ledgers of before do not have.

#: Made in every ledger that is opened for writing and has not got them yet.
TABLES = """
-- the parts of queries, by name: `asked` answers were judged for it, `opened` of them before it was last asked anew by
-- hand; `text` is what the newest one has of it, and `answer` its number
CREATE TABLE IF NOT EXISTS part (
    n INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, asked INTEGER NOT NULL, opened INTEGER NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, text TEXT NOT NULL, answer INTEGER,
    PRIMARY KEY (n, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS part_open ON part (name, n) WHERE state = 'pending';

-- what the parts have cost: the tokens of an answer are shared by those that it was asked for
CREATE TABLE IF NOT EXISTS part_spending (
    session INTEGER NOT NULL, name TEXT NOT NULL, model TEXT NOT NULL, asked INTEGER NOT NULL,
    prompt_tokens REAL NOT NULL, cached_tokens REAL NOT NULL, completion_tokens REAL NOT NULL,
    PRIMARY KEY (session, name, model)) WITHOUT ROWID;
"""


Columns = tuple[Any, ...]  #: of one row, as SQLite gives them

FILE = "run.sqlite"
FORMAT = 1  #: goes up when the tables change their meaning
LOCK = "run.lock"
_PUT_BACK = " Put a sound copy of it back, with its -wal file if there is one."

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- what the answers were asked with: prompt, model, parameters; a run has one, or one more for each accepted change
CREATE TABLE spec (id INTEGER PRIMARY KEY, created REAL NOT NULL, settings TEXT NOT NULL UNIQUE);

-- one start of a stage; `threads` bounds the calls that were in flight if it never ended
CREATE TABLE session (
    id INTEGER PRIMARY KEY, stage TEXT NOT NULL, spec INTEGER NOT NULL, started REAL NOT NULL, ended REAL,
    threads INTEGER NOT NULL, endpoint TEXT NOT NULL, version TEXT NOT NULL, stopped TEXT NOT NULL DEFAULT '',
    seconds REAL NOT NULL DEFAULT 0);

-- one row a query and stage: where it stands. Narrow, so that a million of them are counted in a moment.
-- `used` answers have been spent on it, `opened` of them before it was last made pending by hand
CREATE TABLE query (
    n INTEGER PRIMARY KEY, stage TEXT NOT NULL, id TEXT NOT NULL, position INTEGER, digest BLOB NOT NULL,
    checked INTEGER NOT NULL, changed INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'pending',
    used INTEGER NOT NULL DEFAULT 0, opened INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    answer INTEGER,
    reason TEXT NOT NULL DEFAULT '', pairs INTEGER NOT NULL DEFAULT 0, seq INTEGER, UNIQUE (id, stage));
CREATE INDEX query_position ON query (stage, position);
CREATE INDEX query_pending ON query (stage, position) WHERE state = 'pending';

-- what the query is about, as the plugin gave it; `ready` are pairs that it brought along
CREATE TABLE annotation (
    n INTEGER PRIMARY KEY, text TEXT NOT NULL, image_ids TEXT NOT NULL, meta TEXT NOT NULL, problem TEXT NOT NULL,
    ready TEXT NOT NULL);

-- what became of it: the pairs as [[id, instruction, answer, related], ...], the details of a reason, and how often
-- which rule has repaired something, as {rule: times}
CREATE TABLE result (n INTEGER PRIMARY KEY, pairs TEXT NOT NULL, detail TEXT NOT NULL, repairs TEXT NOT NULL);

-- answers that a rule has rejected, those included that were asked for again
CREATE TABLE rejection (
    session INTEGER NOT NULL, rule TEXT NOT NULL, answers INTEGER NOT NULL, PRIMARY KEY (session, rule)) WITHOUT ROWID;

-- every answer that was paid for, by the hash of the exact request
CREATE TABLE answer (
    n INTEGER PRIMARY KEY, key BLOB NOT NULL, sample INTEGER NOT NULL, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    refusal TEXT NOT NULL, flags TEXT NOT NULL, model TEXT NOT NULL, response_id TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, seconds REAL NOT NULL, session INTEGER NOT NULL);
CREATE UNIQUE INDEX answer_key ON answer (key, sample);

-- requests of a session by what came of them; `unknown` tokens may have been billed without an answer
CREATE TABLE attempt (
    session INTEGER NOT NULL, cause TEXT NOT NULL, requests INTEGER NOT NULL, maybe_billed INTEGER NOT NULL,
    unknown_tokens INTEGER NOT NULL, PRIMARY KEY (session, cause)) WITHOUT ROWID;
"""

#: Tables that a ledger of before may be without; it gets them when it is opened for writing.
_LATER = """
-- the images that go out with a query, where there are any: a JSON array of where each is and what it was, no image
CREATE TABLE IF NOT EXISTS picture (n INTEGER PRIMARY KEY, images TEXT NOT NULL);

-- what relates pairs of different queries: for each pair of a query the ids of the nearest, as [[id, ...], ...]
CREATE TABLE IF NOT EXISTS nearest (n INTEGER PRIMARY KEY, related TEXT NOT NULL);
"""


class Store:
    """An open ledger: one connection that reads what is committed, and one that writes, unless it is open for reading.

    Every method raises `StorageError` if the disk fails, and those that write raise `RunError` if the ledger is open
    for reading only.
    """

    def __init__(
        self, folder: Path, reader: sqlite3.Connection, writer: sqlite3.Connection | None, lock: IO[str] | None
    ):
        self.folder = folder
        self.path = folder / FILE
        self._reader = reader
        self._writer = writer
        self._lock = lock
        beside = (folder / f"{FILE}-wal", folder / LOCK) if lock else ()
        paths = (each.absolute() for each in (self.path, *beside))  # a plugin may change the current folder
        self._inodes = {each: _inode(each) for each in paths if each.exists()}

    def read(self, sql: str, *values: object) -> list[Columns]:
        """Return all rows that a query finds in what is committed."""
        with storage_faults(self.path):
            return self._reader.execute(sql, values).fetchall()

    def read_one(self, sql: str, *values: object) -> Columns | None:
        """Return the first row that a query finds in what is committed, or None."""
        with storage_faults(self.path):
            row: Columns | None = self._reader.execute(sql, values).fetchone()
        return row

    def read_value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row that a query finds in what is committed, or None."""
        row = self.read_one(sql, *values)
        return row[0] if row else None

    def stream(self, sql: str, *values: object) -> Iterator[Columns]:
        """Yield the rows of a query one at a time; while it is not exhausted, no new commits are seen."""
        with storage_faults(self.path):
            yield from self._reader.execute(sql, values)

    def read_in_batches(self, sql: str, *values: object, after: int = -1, size: int = 256) -> Iterator[list[Columns]]:
        """Yield the rows of a query in lists of up to `size`, so that commits can go on in between.

        The first column must be an integer that the rows are sorted by, and the last two parameters of `sql` are the
        value to continue after and the limit: `... AND position > ? ORDER BY position LIMIT ?`.
        """
        while rows := self.read(sql, *values, after, size):
            yield rows
            after = rows[-1][0]

    def read_uncommitted(self, sql: str, *values: object) -> list[Columns]:
        """Return all rows that a query finds, those of the open transaction included."""
        return self.execute(sql, *values).fetchall()

    def begin_snapshot(self) -> None:
        """Let all further reads see the ledger as it is now."""
        self.read("BEGIN")

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        """Write into the open transaction."""
        with storage_faults(self.path):
            return self._writing.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Write into the open transaction, once for each row of parameters."""
        with storage_faults(self.path):
            self._writing.executemany(sql, rows)

    def commit(self) -> None:
        """Make everything written so far durable.

        May be called in a thread of its own while nothing else writes.
        """
        with storage_faults(self.path):
            self._writing.commit()
        self.check_files()

    def rollback(self) -> None:
        """Drop everything written since the last commit."""
        with storage_faults(self.path):
            self._writing.rollback()

    @property
    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            raise RunError(f"{self.path} is open for reading only.")
        return self._writer

    def close(self) -> None:
        """Closes the file and lets go of the folder."""
        for connection in (self._reader, self._writer):  # the last to close writes the log back into the file
            if connection is not None:
                connection.close()
        if self._lock is not None:
            self._lock.close()

    def check_files(self) -> None:
        """Raises `StorageError` where the file, or one that belongs to it, was removed or replaced meanwhile."""
        for path, inode in self._inodes.items():
            try:
                now = _inode(path)
            except OSError as error:
                raise StorageError(f"{path} has gone while the run was working: {error.strerror}.") from error
            if now != inode:
                raise StorageError(f"{path} was replaced by another file while the run was working.")


def open_for_writing(folder: Path) -> Store:
    """Opens the run's ledger, creating folder and file where there is none, and locks the folder.

    Raises `RunError` where it is locked, unwritable, no ledger, or made by a newer Syphus.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        link = next((entry for entry in folder.iterdir() if entry.is_symlink()), None)
        if link is not None:
            raise RunError(
                f"{link} is a link to somewhere else. Syphus writes only inside of a run's folder; remove it."
            )
        lock = _locked(folder / LOCK)
    except OSError as error:
        raise RunError(f"{folder} can't be written: {error.strerror}.") from error
    path = folder / FILE
    with contextlib.ExitStack() as opened:  # closes again what was opened before something went wrong
        opened.callback(lock.close)
        try:
            writer = opened.enter_context(contextlib.closing(_connect(path, "rwc")))
            _prepare(writer, path)
            reader = opened.enter_context(contextlib.closing(_connect(path, "ro")))
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"{path} can't be used as a ledger: {error}.{_remedy(error)}") from error
        opened.pop_all()
        return Store(folder, reader, writer, lock)


def open_for_reading(folder: Path) -> Store:
    """Opens the ledger of a run, which may be working at the moment. Raises `RunError` where there is none.

    A run that nobody has open is read without leaving a trace, and so on a read-only disk too.
    """
    path = folder / FILE
    if not path.is_file():
        raise RunError(f"{folder} is no run: it holds no {FILE}.")
    if not path.stat().st_size:
        raise RunError(f"{path} is empty.{_PUT_BACK}")
    working = path.with_name(f"{FILE}-wal").exists()
    with contextlib.ExitStack() as opened:
        try:
            reader = opened.enter_context(contextlib.closing(_connect(path, "ro" if working else "ro&immutable=1")))
            _check_format(reader, path)
        except sqlite3.Error as error:
            raise RunError(f"{path} can't be read as a ledger: {error}.{_remedy(error)}") from error
        opened.pop_all()
        return Store(folder, reader, None, None)


def _remedy(error: Exception) -> str:
    """What to do about a ledger that is damaged; nothing for one that can't be opened, which says so itself."""
    return _PUT_BACK if type(error) is sqlite3.DatabaseError else ""


def is_working(folder: Path) -> bool:
    """Whether a process holds the lock of the run's folder."""
    try:
        import fcntl

        with (folder / LOCK).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ImportError):  # there is none, or the disk or the system knows no locks
        return False
    return False


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=10.0, check_same_thread=False, cached_statements=64)
    connection.execute("PRAGMA cache_size = -8000")  # KiB
    return connection


def _inode(path: Path) -> int:
    return path.stat().st_ino


def _refuse_orphans(path: Path) -> None:
    """Results without the ledger that they came from: it is lost, or not copied along, and all would be paid again."""
    for result in (*path.parent.glob("*_instructions.json"), path.parent / "pairs.jsonl"):
        if result.is_file() and result.stat().st_size:
            raise RunError(
                f"{path.parent} holds {result.name}, but its ledger {FILE} is missing or empty. Put that back (and its "
                "-wal file, if there is one), or use another --dataset_version for a new run."
            )


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = FULL")
    writer.execute("PRAGMA wal_autocheckpoint = 8000")  # pages; the same index pages come round again and again
    if writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        _refuse_orphans(path)
        writer.executescript(f"BEGIN; {_SCHEMA} INSERT INTO meta VALUES ('format', {FORMAT}); COMMIT;")
        sync_folder(path.parent)
    _check_format(writer, path)
    writer.executescript(f"BEGIN; {_LATER} {TABLES} COMMIT;")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    if row is None or row[0] != FORMAT:
        found = "an unknown" if row is None else f"the {'newer' if row[0] > FORMAT else 'older'}"
        raise RunError(f"{path} has {found} format {row[0] if row else ''}; this Syphus reads format {FORMAT}.")


def _locked(path: Path) -> IO[str]:
    """A lock that dies with its process, whatever kills it."""
    import fcntl  # here, so that reading a run works where there is no fcntl

    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise RunError(
            f"Another process is working in {path.parent}. Wait for it, or take another folder (--dataset_version, "
            "--output-dir)."
        ) from None
    except OSError as error:
        file.close()
        raise RunError(f"{path.parent} can't be locked ({error.strerror}); use a folder on a local disk.") from error
    return file
