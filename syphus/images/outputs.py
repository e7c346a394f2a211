"""The last step: from the parts of a store to what was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from syphus.formats.files import replacing
from syphus.formats.parquet import require_pyarrow
from syphus.images import index
from syphus.images.encoding import to_base64
from syphus.images.parts import PARTIAL, parquet_writer
from syphus.images.state import State
from syphus.images.store import read_images

_INDEX_PARTIAL = f".{index.FILE}.partial"
_UNFINISHED = (PARTIAL, _INDEX_PARTIAL)


def finish_folder(folder: Path, state: State) -> None:
    """Puts the index into a folder of parts."""
    temporary = folder / _INDEX_PARTIAL
    temporary.unlink(missing_ok=True)
    index.write_index(temporary, state.parts, state.places())
    temporary.replace(folder / index.FILE)


def join_parquet(parts: Sequence[Path], target: Path) -> None:
    """One Parquet file of several, row group by row group; no image is decoded."""
    pyarrow = require_pyarrow("An image store")
    schema = pyarrow.parquet.read_schema(parts[0])
    with replacing(target) as file, parquet_writer(pyarrow, file, schema) as writer:
        for part in parts:
            _copy_groups(pyarrow, part, schema, writer)


def _copy_groups(pyarrow: Any, part: Path, schema: Any, writer: Any) -> None:
    with pyarrow.parquet.ParquetFile(part) as source:
        for number in range(source.num_row_groups):
            table = source.read_row_group(number, use_threads=False)
            writer.write_table(table.cast(schema), row_group_size=table.num_rows)


def join_json(parts: Sequence[Path], target: Path) -> None:
    """`{"SD_IMG_00058_1": "<base64>", ...}`, an image a line."""
    between = b"{"
    with replacing(target) as file:
        for part in parts:
            for name, data in read_images(part):
                file.write(between + f'\n{json.dumps(name, ensure_ascii=False)}: "{to_base64(data)}"'.encode())
                between = b","
        file.write(b"\n}\n" if parts else b"{}\n")


def write_skipped(target: Path, state: State) -> None:
    """What was skipped, a JSON object a line; no file where it is nothing."""
    if not state.skipped:
        target.unlink(missing_ok=True)
        return
    with replacing(target) as file:
        for entry in state.entries():
            file.write(f"{entry}\n".encode())


def is_free(target: Path) -> bool:
    """Whether nothing is there that would be written over; what a killed conversion has not finished is nothing."""
    if target.is_dir():
        return all(each.name in _UNFINISHED for each in target.iterdir())
    return not target.exists()
