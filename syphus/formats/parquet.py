"""Parquet: a pair a row, under a schema that is declared here, whatever the rows hold.

    id, instruction, answer   string
    image_ids, rel_ins_ids    list<string>
    query, model              string; the model as the server named it, "" where the source had the pair already
    simulated                 bool; whether the answer was made up by the simulated endpoint

Needs pyarrow, which comes with `pip install syphus[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from syphus.errors import ConfigError
from syphus.formats.files import replacing
from syphus.formats.ids import distinct
from syphus.formats.source import Source
from syphus.types import SIMULATED

_GROUP = 20_000  # rows that are held at once
_COLUMNS = ("id", "instruction", "answer", "image_ids", "rel_ins_ids", "query", "model", "simulated")


def require_pyarrow(what: str) -> Any:  # a module without types
    """The module `pyarrow`; raises `ConfigError` where it is not installed. `what` is what it is needed for."""
    try:
        import pyarrow.parquet
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
    schema = pyarrow.schema(list(zip(_COLUMNS, types, strict=True)))
    rows, name = _rows(source), f"{source.name}.parquet"
    with (
        replacing(folder / name) as file,
        pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        while group := list(islice(rows, _GROUP)):
            columns = [
                pyarrow.array(column, kind) for column, kind in zip(zip(*group, strict=True), types, strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(columns, schema=schema))
    return (name,)


def _rows(source: Source) -> Iterator[tuple[object, ...]]:
    for result in distinct(source.results()):
        simulated = result.model.startswith(SIMULATED)
        for pair, related in zip(result.pairs, result.contexts(), strict=True):
            yield (
                *(pair.id, pair.instruction, pair.answer, result.image_ids, related),
                *(result.query, result.model, simulated),
            )
