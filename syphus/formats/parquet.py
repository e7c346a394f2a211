"""The Parquet format: one row per pair. The schema is fixed, whatever the rows hold.

    id, instruction, answer   string
    image_ids, rel_ins_ids    list<string>
    query_id, model           string; the model as the server names it, "" if the pair comes from the source itself
    simulated                 bool; whether the simulated endpoint made the answer up

The column of the query's id was called `query` before; trainers such as ms-swift take a column of that name for the
prompt, and drop the instruction.

Needs pyarrow, which comes with `pip install syphus[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syphus.formats.mimicit.ids import check_unique
from syphus.formats.source import ExportSource
from syphus.io.parquet import require_pyarrow, write_rows
from syphus.model_names import is_simulated

_COLUMNS = ("id", "instruction", "answer", "image_ids", "rel_ins_ids", "query_id", "model", "simulated")


def write_parquet(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX.parquet`; return its name.

    Raises `ConfigError` without pyarrow, `RunError` if two pairs have the same id, `StorageError` if the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, texts, texts, text, text, pyarrow.bool_())
    name = f"{source.name}.parquet"
    write_rows(folder / name, dict(zip(_COLUMNS, types, strict=True)), _rows(source))
    return (name,)


def _rows(source: ExportSource) -> Iterator[tuple[object, ...]]:
    for result in check_unique(source.results()):
        simulated = is_simulated(result.model)
        for pair, context in zip(result.pairs, result.contexts(), strict=True):
            yield (
                *(pair.id, pair.instruction, pair.answer, result.image_ids, context),
                *(result.query, result.model, simulated),
            )
