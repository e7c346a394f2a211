"""One Parquet table of a dataset in all its languages: a pair in a language a row.

id, language, instruction, answer   string; the language as its code, "en" for the source
image_ids, rel_ins_ids              list<string>
model                               string; who translated it, as the server named it, "" for the source
simulated                           bool; whether the simulated endpoint made the translation up
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syphus.formats.parquet import require_pyarrow, write_rows

ENGLISH = "en"
COLUMNS = ("id", "language", "instruction", "answer", "image_ids", "rel_ins_ids", "model", "simulated")

_GROUP = 4_000  # rows that are held at once: there are eight for each pair, with all its images


def write_table(path: Path, rows: Iterator[tuple[object, ...]]) -> None:
    """Writes rows with `COLUMNS`.

    Raises `ConfigError` without pyarrow, `StorageError` where the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, text, texts, texts, text, pyarrow.bool_())
    write_rows(path, dict(zip(COLUMNS, types, strict=True)), rows, _GROUP)
