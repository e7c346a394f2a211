"""Parquet: a pair a row, under a schema that is declared here, whatever the rows hold.

    id, instruction, answer   string
    image_ids, rel_ins_ids    list<string>
    query, model              string; the model as the server named it, "" where the source had the pair already
    simulated                 bool; whether the answer was made up by the simulated endpoint

Needs pyarrow, which comes with `pip install syphus[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from syphus.errors import ConfigError
from syphus.formats.files import replacing
from syphus.formats.ids import distinct
from syphus.formats.source import Source
from syphus.types import SIMULATED

_GROUP = 20_000  # rows that are held at once, as Arrow has them
_BATCH = 250  # rows that are held as Python has them, which takes ten times the space
_COLUMNS = ("id", "instruction", "answer", "image_ids", "rel_ins_ids", "query", "model", "simulated")


def require_pyarrow(what: str) -> Any:  # a module without types
    """The module `pyarrow`; raises `ConfigError` where it is not installed. `what` is what it is needed for."""
    try:
        import pyarrow.json
        import pyarrow.parquet  # noqa: F401 - loads that part, too
    except ImportError as error:
        raise ConfigError(f"{what} needs pyarrow: pip install 'syphus[parquet]'") from error
    return pyarrow


def write_parquet(folder: Path, source: Source) -> tuple[str, ...]:
    """Writes `XX.parquet`; returns its name.

    Raises `ConfigError` without pyarrow, `RunError` where two pairs have the same id, `StorageError` where the disk
    fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, texts, texts, text, text, pyarrow.bool_())
    name = f"{source.name}.parquet"
    write_rows(folder / name, dict(zip(_COLUMNS, types, strict=True)), _rows(source))
    return (name,)


def write_rows(path: Path, columns: Mapping[str, Any], rows: Iterator[tuple[object, ...]], group: int = _GROUP) -> None:
    """Writes rows as a Parquet file, zstd, in row groups of so many; `columns` are the Arrow types by their names.

    Raises `ConfigError` without pyarrow, `StorageError` where the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    schema = pyarrow.schema(list(columns.items()))
    tables = _tables(pyarrow, schema, rows)
    with replacing(path) as file, pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := list(islice(tables, group // _BATCH)):
            writer.write_table(pyarrow.concat_tables(some))


def _tables(pyarrow: Any, schema: Any, rows: Iterator[tuple[object, ...]]) -> Iterator[Any]:
    """Rows as Arrow has them, by way of JSON: `pyarrow.array` loads pandas where it is installed, which takes 60 MB."""
    types = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    while batch := list(islice(rows, _BATCH)):
        lines = b"\n".join(orjson.dumps(dict(zip(schema.names, row, strict=True))) for row in batch)
        whole = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
        yield pyarrow.json.read_json(BytesIO(lines), whole, types)


def _rows(source: Source) -> Iterator[tuple[object, ...]]:
    for result in distinct(source.results()):
        simulated = result.model.startswith(SIMULATED)
        for pair, related in zip(result.pairs, result.contexts(), strict=True):
            yield (
                *(pair.id, pair.instruction, pair.answer, result.image_ids, related),
                *(result.query, result.model, simulated),
            )
