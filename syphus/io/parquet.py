"""Writes Parquet files row by row, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from syphus.errors import ConfigError
from syphus.io.durable import replace_file
from syphus.text import install_hint

Arrow: TypeAlias = Any  #: the module pyarrow, or a schema, type, table or file of it: it has no types

_GROUP = 20_000  # rows held at once as Arrow data
_BATCH = 250  # rows held at once as Python objects, which take ten times the space


def require_pyarrow(what: str) -> Arrow:
    """Return the module `pyarrow`. Raises `ConfigError` if it is not installed; `what` says what needs it."""
    try:
        import pyarrow.json
        import pyarrow.parquet  # noqa: F401 - imports the submodule
    except ImportError as error:
        raise ConfigError(f"{what} needs pyarrow: {install_hint('parquet')}") from error
    return pyarrow


def write_rows(
    path: Path, columns: Mapping[str, Arrow], rows: Iterator[tuple[object, ...]], group: int = _GROUP
) -> None:
    """Write rows to a Parquet file with zstd compression and `group` rows per row group.

    `columns` maps names to Arrow types. Raises `ConfigError` without pyarrow, `StorageError` if the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    schema = pyarrow.schema(list(columns.items()))
    tables = _tables(pyarrow, schema, rows)
    with replace_file(path) as file, pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group_tables := list(islice(tables, group // _BATCH)):
            writer.write_table(pyarrow.concat_tables(group_tables))


def _tables(pyarrow: Arrow, schema: Arrow, rows: Iterator[tuple[object, ...]]) -> Iterator[Arrow]:
    """Convert rows to Arrow tables through JSON: `pyarrow.array` would import pandas if installed (60 MB)."""
    types = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    while batch := list(islice(rows, _BATCH)):
        lines = b"\n".join(orjson.dumps(dict(zip(schema.names, row, strict=True))) for row in batch)
        whole = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
        yield pyarrow.json.read_json(BytesIO(lines), whole, types)
