"""The ids that an image store holds, without the images.

parquet  one file, or a folder of them: a column `base64`, the ids as the index that pandas or dask has written
json     one object: {"SD_IMG_00058_1": "<base64>", ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syphus.errors import InputError
from syphus.formats.parquet import require_pyarrow
from syphus.reading.records import read_json_items

_BATCH = 10_000
_INDEXES = ("__index_level_0__", "__null_dask_index__")  # how pandas and dask name an index without a name


def image_ids(path: Path) -> Iterator[str]:
    """Yields the ids in the order of the store, in constant memory, repeated ones too.

    Raises `InputError` where it can't be read or has no index of text, `ConfigError` where pyarrow is missing.
    """
    if path.is_dir():
        parts = sorted(path.glob("*.parquet"))
        if not parts:
            raise InputError(f"{path}: a folder without a parquet file")
        for part in parts:
            yield from _parquet(part)
    elif path.suffix == ".parquet":
        yield from _parquet(path)
    else:
        for name, _ in read_json_items(path):
            yield name


def _parquet(path: Path) -> Iterator[str]:
    pyarrow = require_pyarrow(str(path))
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            index = _index(file.schema_arrow)
            if index not in file.schema_arrow.names or not _is_text(pyarrow, file.schema_arrow.field(index).type):
                raise InputError(f"{path}: no index of text; the ids must be the index, as pandas writes it")
            for batch in file.iter_batches(_BATCH, columns=[index]):
                yield from batch.column(0).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _index(schema: Any) -> str:
    """The column that is the index, by what pandas notes in the file, or else by its usual name."""
    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    names = [name for name in noted if isinstance(name, str)]
    return str(next(iter((*names, *(name for name in _INDEXES if name in schema.names))), ""))


def _is_text(pyarrow: Any, kind: Any) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))
