"""Reads Parquet files and data sets of the Hugging Face Hub row by row, and groups rows.

The rows are dicts. They have positions, and bad ones are collected, as with the readers of JSON in `records`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from syphus.errors import ConfigError, InputError
from syphus.io.durable import temporary_database
from syphus.io.parquet import require_pyarrow
from syphus.io.record_reader import Record, RecordReader, position
from syphus.io.records import missing_file, record_error
from syphus.io.text_files import Position, local_file
from syphus.storage.addresses import as_url, join_url
from syphus.text import did_you_mean, install_hint, listed, missing_key, one_line

T = TypeVar("T")

_BATCH = 256  # rows of a Parquet file that are decoded at once
_GROUPED_IN_MEMORY = 50_000  # rows; more are kept in a temporary file


def read_parquet(path: str | Path, columns: Sequence[str] = ()) -> Iterator[dict[str, Record]]:
    """Yield the rows of a Parquet file, or of all Parquet files below a folder, as dicts. Needs the extra `parquet`.

    `path` may be a URL.

    With `columns`, only these are read, which saves the time for images that are not needed. Only some hundred rows are
    in memory. Raises `InputError`, and `ConfigError` if pyarrow is not installed.
    """
    for file in _parquet_files(path):
        with closing(_ParquetReader(file.name)) as reader:
            yield from reader.rows(file.local, columns)


def read_hf(name: str | Path, split: str = "train", config: str = "", columns: Sequence[str] = ()) -> Iterator[Record]:
    """Yield the rows of a data set on the Hugging Face Hub, streamed, or of a folder that `save_to_disk` has written.

    `config` is the name of the configuration, for data sets that have several. Needs the extra `hf`. Raises
    `InputError`, and `ConfigError` if the package `datasets` is not installed.
    """
    with closing(_HubReader(str(name))) as reader:
        yield from reader.rows(split, config, columns)


def grouped(rows: Iterable[T], key: str | Callable[[T], Hashable]) -> Iterator[tuple[Any, list[T]]]:
    """Yield (value, rows) for the rows that have the same value under `key`, such as all captions of one image.

    `key` is a column, or a function of a row. Groups come in the order in which they first appear, and rows keep their
    order, wherever they stand. All rows are read first; if they are many, a temporary file keeps them. In use, a group
    is at the position of its first row. Raises `InputError` for a row without the key.
    """
    with closing(_Groups()) as groups:
        groups.collect(rows, key if callable(key) else _column(key))
        yield from groups.groups()


class _ParquetReader(RecordReader):
    def rows(self, local: str, columns: Sequence[str]) -> Iterator[dict[str, Record]]:
        pyarrow = require_pyarrow("A Parquet file")
        try:
            with pyarrow.parquet.ParquetFile(local) as file:
                _check_columns(self.path, columns, file.schema_arrow.names)
                for batch in file.iter_batches(_BATCH, columns=list(columns) or None, use_threads=False):
                    for row in batch.to_pylist():
                        if self._note(row):
                            yield row
        except (pyarrow.ArrowException, OSError) as error:
            where = f"{self.path}: record {self.number + 1}" if self.number else self.path
            raise InputError(f"{where}: can't be read as Parquet: {one_line(str(error))}") from error
        self._done = True


class _NamedFile(NamedTuple):
    """A file by the name that people know, which may be a URL, and by its local path."""

    name: str
    local: str


def _parquet_files(path: str | Path) -> list[_NamedFile]:
    local, url = Path(local_file(path)), as_url(path)
    if not str(path) or not local.is_dir():
        if not local.is_file():
            raise missing_file(path)
        return [_NamedFile(url or str(path), str(local))]
    files = sorted(each for each in local.rglob("*.parquet") if each.is_file())
    if not files:
        raise InputError(f"{path}: a folder without Parquet files")
    return [_NamedFile(join_url(url, str(each.relative_to(local))) if url else str(each), str(each)) for each in files]


def _check_columns(path: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise InputError(f"{path}: {missing_key(name, known)}")


class _HubReader(RecordReader):
    def rows(self, split: str, config: str, columns: Sequence[str]) -> Iterator[Record]:
        if not self.path:
            raise InputError("no annotations are named; set them with --query_inputs_path (-in)")
        try:
            rows = self._open(split, config)
            if rows.column_names is not None:
                _check_columns(self.path, columns, rows.column_names)
            for row in rows.select_columns(list(columns)) if columns else rows:
                if self._note(row):
                    yield row
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            raise InputError(f"{self.path}: can't be read with datasets: {one_line(str(error))}") from error
        self._done = True

    def _open(self, split: str, config: str) -> Any:
        datasets = require_datasets()
        folder = Path(self.path)
        if not (folder / "dataset_dict.json").exists() and not (folder / "state.json").exists():
            return datasets.load_dataset(self.path, config or None, split=split, streaming=True)
        saved = datasets.load_from_disk(self.path)
        if not isinstance(saved, dict):  # one split alone
            return saved
        if split not in saved:
            known = list(saved)
            raise InputError(f'{self.path}: no split "{split}"{did_you_mean(split, known)} There is {listed(known)}')
        return saved[split]


def require_datasets() -> Any:  # a module that may be missing
    """Return the package `datasets` of Hugging Face. Raises `ConfigError` if it is not installed.

    Without it, a folder `datasets` with plugins can be imported under its name.
    """
    try:
        module = import_module("datasets")
        getattr(module, "load_dataset")  # noqa: B009 - of a module that may be a folder
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"read_hf needs the package datasets: {install_hint('hf')}") from error
    return module


def _column(name: str) -> Callable[[Any], Hashable]:
    def value(row: Any) -> Hashable:
        if not isinstance(row, dict):
            raise record_error(f"rows with columns are expected, this is {type(row).__name__}; use a function as key")
        if name not in row:
            raise record_error(missing_key(name, row))
        found = row[name]
        if not isinstance(found, Hashable):
            raise record_error(f'"{name}" is a {type(found).__name__}; rows are grouped by text or numbers')
        return found

    return value


class _Groups(RecordReader):
    """Rows by their key, in memory, or in a temporary database if they are many."""

    def __init__(self) -> None:
        super().__init__("")
        self._numbers: dict[Hashable, int] = {}  # of the groups, in the order of their first rows
        self._rows: dict[Hashable, list[Any]] = {}  # those in memory
        self._positions: dict[Hashable, Position | None] = {}  # of the first of these
        self._database: Any = None
        self._position: Position | None = None

    def collect(self, rows: Iterable[T], key: Callable[[T], Hashable]) -> None:
        """Read all rows."""
        for count, row in enumerate(rows, 1):
            value = key(row)
            self._numbers.setdefault(value, len(self._numbers))
            if value not in self._rows:
                self._rows[value], self._positions[value] = [], position()
            self._rows[value].append(row)
            if count % _GROUPED_IN_MEMORY == 0:
                self._spill()

    def groups(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield the groups."""
        for value, rows, first in self._spilled() if self._database else self._in_memory():
            self._position = first
            self._register()
            yield value, rows
        self._done = True

    def position(self) -> Position:
        """Return the position of the first row of the group last yielded."""
        return self._position or Position("a group", self.number, 0)

    def close(self) -> None:
        """Delete the temporary file."""
        super().close()
        if self._database is not None:
            self._database.close()

    def _in_memory(self) -> Iterator[tuple[Hashable, list[Any], Position | None]]:
        yield from ((value, rows, self._positions[value]) for value, rows in self._rows.items())

    def _spill(self) -> None:
        """Move the rows to the database, a part for each group."""
        if self._database is None:
            self._database = temporary_database(16 << 10)
            self._database.execute("CREATE TABLE part (number INTEGER, value BLOB)")
        parts = (
            (self._numbers[value], pickle.dumps((value, rows, self._positions[value])))
            for value, rows in self._rows.items()
        )
        self._database.executemany("INSERT INTO part VALUES (?, ?)", parts)
        self._rows.clear()
        self._positions.clear()

    def _spilled(self) -> Iterator[tuple[Hashable, list[Any], Position | None]]:
        self._spill()
        parts = self._database.execute("SELECT number, value FROM part ORDER BY number, rowid")
        for _, group in groupby(parts, key=itemgetter(0)):
            loaded = [pickle.loads(part) for _, part in group]  # noqa: S301 - our own file, which has no name
            value, _, first = loaded[0]
            yield value, [row for _, rows, _ in loaded for row in rows], first
