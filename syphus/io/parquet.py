"""MOVED"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from syphus.errors import ConfigError
from syphus.io.durable import replace_file
from syphus.text import install_hint

_GROUP = 20_000  # rows that are held at once, as Arrow has them


_BATCH = 250  # rows that are held as Python has them, which takes ten times the space


def require_pyarrow(what: str) -> Any:  # a module without types
    """The module `pyarrow`; raises `ConfigError` where it is not installed. `what` is what it is needed for."""
    try:
        import pyarrow.json
        import pyarrow.parquet  # noqa: F401 - loads that part, too
    except ImportError as error:
        raise ConfigError(f"{what} needs pyarrow: {install_hint('parquet')}") from error
    return pyarrow


def write_rows(path: Path, columns: Mapping[str, Any], rows: Iterator[tuple[object, ...]], group: int = _GROUP) -> None:
    """Writes rows as a Parquet file, zstd, in row groups of so many; `columns` are the Arrow types by their names.

    Raises `ConfigError` without pyarrow, `StorageError` where the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    schema = pyarrow.schema(list(columns.items()))
    tables = _tables(pyarrow, schema, rows)
    with replace_file(path) as file, pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := list(islice(tables, group // _BATCH)):
            writer.write_table(pyarrow.concat_tables(some))


def _tables(pyarrow: Any, schema: Any, rows: Iterator[tuple[object, ...]]) -> Iterator[Any]:
    """Rows as Arrow has them, by way of JSON: `pyarrow.array` loads pandas where it is installed, which takes 60 MB."""
    types = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    while batch := list(islice(rows, _BATCH)):
        lines = b"\n".join(orjson.dumps(dict(zip(schema.names, row, strict=True))) for row in batch)
        whole = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
        yield pyarrow.json.read_json(BytesIO(lines), whole, types)
