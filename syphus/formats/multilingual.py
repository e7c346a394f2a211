"""One Parquet table of a dataset in all its languages: a pair in a language a row.

id, language, instruction, answer   string; the language as its code, "en" for the source
image_ids, rel_ins_ids              list<string>
model                               string; who translated it, as the server named it, "" for the source
simulated                           bool; whether the simulated endpoint made the translation up
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from syphus.formats.files import replacing
from syphus.formats.parquet import require_pyarrow

ENGLISH = "en"
COLUMNS = ("id", "language", "instruction", "answer", "image_ids", "rel_ins_ids", "model", "simulated")

_GROUP = 4_000  # rows that are held at once


def write_table(path: Path, rows: Iterator[tuple[object, ...]]) -> None:
    """Writes rows with `COLUMNS`, zstd, in row groups.

    Raises `ConfigError` without pyarrow, `StorageError` where the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, text, texts, texts, text, pyarrow.bool_())
    schema = pyarrow.schema(list(zip(COLUMNS, types, strict=True)))
    with replacing(path) as file, pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(rows, _GROUP)):
            columns = zip(zip(*group, strict=True), types, strict=True)
            arrays = [pyarrow.array(column, kind) for column, kind in columns]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
