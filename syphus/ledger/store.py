"""The ledger's file: its schema, opening and creating it, the lock on its folder, and errors of the disk.

WAL mode with `synchronous=FULL`: once a commit has returned, it survives a power cut. (With NORMAL we saw committed
rows and even the table vanish.) Group commits make this cheap. Storage errors are never retried: after a failed fsync,
the kernel may have dropped the very pages that a second fsync would report as written.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from syphus.errors import RunError, StorageError, writing_error_type
from syphus.io.durable import storage_faults, sync_folder
from syphus.ledger.control_desk import ControlDesk, process_name
from syphus.ledger.schema import (
    BATCH_INDEXES,
    BATCH_SCHEMA,
    CONTROL_SCHEMA,
    ENDPOINT_SCHEMA,
    FORMAT,
    LATER_COLUMNS,
    LATER_SCHEMA,
    NEW_PART_SPENDING,
    PART_COLUMNS,
    SCHEMA,
    SUM_ENDPOINTS,
    add_tally_views,
    tally_migration,
)
from syphus.storage.network_disks import network_disk

Columns = tuple[Any, ...]  #: of one row, as SQLite gives them

FILE = "run.sqlite"
LOCK = "run.lock"
_LOCK_TRIES, _LOCK_SECONDS = 5, 0.01
_RESTORE = " Restore it from a backup, with its -wal file if there is one."


class KeyFilter:
    """Remembers which requests may have an answer, so that the others need not be looked up in the file.

    One bit stands for many keys: a request that is not in here has no answer, one that is may have one.
    """

    _BYTES = 2**20  # after a million answers one request in nine is looked up although it is not there

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._bits = bytearray(self._BYTES)
        for key in keys:
            self.add(key)

    def add(self, key: bytes) -> None:
        """Add the key of a request that has an answer."""
        number = int.from_bytes(key[:4], "little") % (8 * self._BYTES)  # keys are hashes, so any of their bytes will do
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, key: bytes) -> bool:
        number = int.from_bytes(key[:4], "little") % (8 * self._BYTES)
        return bool(self._bits[number >> 3] & 1 << (number & 7))


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
        self.desk = None if lock is None else ControlDesk(folder, process_name(os.getpid(), socket.gethostname()))
        if self.desk is not None:
            self.desk.clear()  # what was left for an earlier process
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

    def has_table(self, name: str) -> bool:
        """Return whether the ledger has a table: those of earlier versions lack some."""
        return self.read_one("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", name) is not None

    def stream(self, sql: str, *values: object) -> Iterator[Columns]:
        """Yield the rows of a query one at a time; until it is exhausted, it does not see new commits."""
        with storage_faults(self.path):
            yield from self._reader.execute(sql, values)

    def read_in_batches(self, sql: str, *values: object, after: int = -1, size: int = 256) -> Iterator[list[Columns]]:
        """Yield the rows of a query in lists of up to `size`, so that commits can continue in between.

        The first column must be an integer that the rows are sorted by, and the last two parameters of `sql` are the
        value to continue after and the limit: `... AND position > ? ORDER BY position LIMIT ?`.
        """
        while rows := self.read(sql, *values, after, size):
            yield rows
            after = rows[-1][0]

    def read_uncommitted(self, sql: str, *values: object) -> list[Columns]:
        """Return all rows that a query finds, those of the open transaction included."""
        return self.execute(sql, *values).fetchall()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads in the block see the ledger as it was at the first one, whatever is committed meanwhile.

        A block inside another one belongs to that snapshot.
        """
        if self._reader.in_transaction:
            yield
            return
        self.read("BEGIN")
        try:
            yield
        finally:
            with storage_faults(self.path):
                self._reader.rollback()

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

        May be called in another thread while nothing else writes.
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
        """Close the file and release the folder."""
        if self.desk is not None:
            self.desk.clear()
        for connection in (self._reader, self._writer):  # the last to close writes the log back into the file
            if connection is not None:
                connection.close()
        if self._lock is not None and not self._lock.closed:
            with contextlib.suppress(OSError):
                self._lock.truncate(0)
            self._lock.close()

    def check_files(self) -> None:
        """Raise `StorageError` if the file, or one that belongs to it, was removed or replaced in the meantime."""
        for path, inode in self._inodes.items():
            try:
                now = _inode(path)
            except OSError as error:
                raise StorageError(f"{path} was removed while the run was working: {error.strerror}.") from error
            if now != inode:
                raise StorageError(f"{path} was replaced by another file while the run was working.")


def open_for_writing(folder: Path, mounts: str | None = None) -> Store:
    """Open the ledger of the run in `folder`, create both if they are missing, and lock the folder.

    Raises `RunError` if the folder can't be used, is on a network file system by the list of `mounts` (default: that of
    the system), or its ledger is damaged or newer; `StorageError` if the disk fails.
    """
    if network := network_disk(folder, mounts):
        raise RunError(
            f"{folder} is on a network file system ({network}), where a ledger is not safe. Use a folder on a local "
            "disk (--output-dir), and --snapshot for copies elsewhere; move a run that is here."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        link = next((entry for entry in folder.iterdir() if entry.is_symlink()), None)
        if link is not None:
            raise RunError(f"{link} is a symbolic link. Syphus writes only inside the run's folder; remove the link.")
        lock = _locked(folder / LOCK)
    except OSError as error:
        raise writing_error_type(error)(f"{folder} can't be written: {error.strerror}.") from error
    path = folder / FILE
    with contextlib.ExitStack() as opened:  # closes what is open if something goes wrong
        opened.callback(lock.close)
        try:
            writer = opened.enter_context(contextlib.closing(_connect(path, "rwc")))
            _prepare(writer, path)
            reader = opened.enter_context(contextlib.closing(_connect(path, "ro")))
        except (sqlite3.Error, OSError) as error:
            kind = writing_error_type(error)
            problem = "used as a ledger" if kind is RunError else "written"
            raise kind(f"{path} can't be {problem}: {error}.{_remedy(error)}") from error
        opened.pop_all()
        return Store(folder, reader, writer, lock)


def open_for_reading(folder: Path) -> Store:
    """Open the ledger of a run for reading, even while the run is working. Raises `RunError` if there is none.

    If no process has it open, nothing is written, so this works on a read-only disk, too.
    """
    path = folder / FILE
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it has no {FILE}.")
    if not path.stat().st_size:
        raise RunError(f"{path} is empty.{_RESTORE}")
    working = path.with_name(f"{FILE}-wal").exists()
    with contextlib.ExitStack() as opened:
        try:
            reader = opened.enter_context(contextlib.closing(_connect(path, "ro" if working else "ro&immutable=1")))
            _check_format(reader, path)
            _fill_missing_columns(reader)
            add_tally_views(reader)
        except sqlite3.Error as error:
            raise RunError(f"{path} can't be read as a ledger: {error}.{_remedy(error)}") from error
        opened.pop_all()
        return Store(folder, reader, None, None)


def _remedy(error: Exception) -> str:
    """Return advice for a damaged ledger; a ledger that can't be opened needs none, its error says why."""
    return _RESTORE if type(error) is sqlite3.DatabaseError else ""


def is_working(folder: Path) -> bool:
    """Return whether a process holds the lock of the run's folder."""
    try:
        import fcntl

        with (folder / LOCK).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ImportError):  # no lock file, or the disk or the system has no locks
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
    """Refuse results whose ledger is missing, for example not copied along: everything would be paid for again."""
    for result in (*path.parent.glob("*_instructions.json"), path.parent / "pairs.jsonl"):
        if result.is_file() and result.stat().st_size:
            raise RunError(
                f"{path.parent} holds {result.name}, but its ledger {FILE} is missing or empty. Restore it (and its "
                "-wal file, if there is one), or use another --dataset_version for a new run."
            )


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = FULL")
    writer.execute("PRAGMA wal_autocheckpoint = 8000")  # pages; the same index pages are written again and again
    if writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        _refuse_orphans(path)
        writer.executescript(f"BEGIN; {SCHEMA} INSERT INTO meta VALUES ('format', {FORMAT}); COMMIT;")
        sync_folder(path.parent)
    _check_format(writer, path)
    _migrate(writer)


def _migrate(writer: sqlite3.Connection) -> None:
    """Give an older ledger the tables and columns it lacks; all of them, or none if that is interrupted."""
    added = " ".join(
        f"ALTER TABLE {table} ADD COLUMN {name} {kind} DEFAULT {default};"
        for table, columns in LATER_COLUMNS.items()
        for name, (kind, default) in columns.items()
        if name not in _columns(writer, table)
    )
    has_old_parts = _columns(writer, "part_spending") and "prompt_size" not in _columns(writer, "part_spending")
    rename, copy = NEW_PART_SPENDING if has_old_parts else ("", "")
    added_schemas = (ENDPOINT_SCHEMA, CONTROL_SCHEMA, BATCH_SCHEMA)
    later = LATER_SCHEMA + "".join(each.format(temp="") for each in added_schemas) + BATCH_INDEXES
    sums = "" if _columns(writer, "endpoint_request") else SUM_ENDPOINTS
    counters = tally_migration(writer)
    writer.executescript(f"BEGIN; {rename} {later} {copy} {added} {sums} {counters} COMMIT;")


def _fill_missing_columns(reader: sqlite3.Connection) -> None:
    """Let an older ledger that is open for reading look as if it had the columns, and the tables, that it lacks."""
    later = {table: {name: default for name, (_, default) in each.items()} for table, each in LATER_COLUMNS.items()}
    for table, columns in {**later, "part_spending": PART_COLUMNS}.items():
        existing = _columns(reader, table)
        missing = [f"{default} AS {name}" for name, default in columns.items() if name not in existing]
        if existing and missing:
            reader.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {', '.join(missing)} FROM main.{table}")
    if not _columns(reader, "control"):
        reader.executescript(CONTROL_SCHEMA.format(temp="TEMP"))
    if not _columns(reader, "endpoint_request"):
        reader.executescript(f"{ENDPOINT_SCHEMA.format(temp='TEMP')} {SUM_ENDPOINTS}")
    if not _columns(reader, "shard"):
        reader.executescript(BATCH_SCHEMA.format(temp="TEMP"))


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of the columns of a table; none if there is no such table."""
    return {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    if row is None or row[0] != FORMAT:
        found = "an unknown" if row is None else f"the {'newer' if row[0] > FORMAT else 'older'}"
        raise RunError(f"{path} has {found} format {row[0] if row else ''}; this Syphus reads format {FORMAT}.")


def _locked(path: Path) -> IO[str]:
    """Return a lock that ends with the process, whatever kills it."""
    import fcntl  # imported here, so that runs can be read on systems without fcntl

    file = path.open("a", encoding="utf-8")
    try:
        for _ in range(_LOCK_TRIES):  # who looks whether a run works holds the lock for a moment
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_LOCK_SECONDS)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise RunError(
            f"Another process is working in {path.parent}. Wait for it, or use another folder (--dataset_version, "
            "--output-dir)."
        ) from None
    except OSError as error:
        file.close()
        raise RunError(f"{path.parent} can't be locked ({error.strerror}); use a folder on a local disk.") from error
    with contextlib.suppress(OSError):  # only for people who look at the run
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()} {socket.gethostname()}\n".encode())
    return file


class LockHolder(NamedTuple):
    """The process that works on a run."""

    pid: int
    host: str


def lock_holder(folder: Path) -> LockHolder | None:
    """Return the process that works on the run in a folder; None if none does, or if it is not known which."""
    if not is_working(folder):
        return None
    try:
        pid, host = (folder / LOCK).read_text("utf-8").split()
        return LockHolder(int(pid), host)
    except (OSError, ValueError):
        return None
