"""The images of an image store, by their ids, one after the other.

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

COLUMN = "base64"
_IDS, _IMAGES = 10_000, 64  # rows that are held at once
_INDEXES = ("__index_level_0__", "__null_dask_index__")  # how pandas and dask name an index without a name


def image_ids(path: Path) -> Iterator[str]:
    """Yields the ids in the order of the store, in constant memory, repeated ones too.

    Raises `InputError` where it can't be read or has no index of text, `ConfigError` where pyarrow is missing.
    """
    return (name for name, _ in _items(path, with_images=False))


def images(path: Path) -> Iterator[tuple[str, object]]:
    """Yields each id with its image, base64 as it stands in the store (JSON may hold anything). Raises as `image_ids`.

    A store without a column of that name can't be read.
    """
    return _items(path, with_images=True)


def _items(path: Path, with_images: bool) -> Iterator[tuple[str, object]]:
    if path.is_dir():
        parts = sorted(path.glob("*.parquet"))
        if not parts:
            raise InputError(f"{path}: a folder without a parquet file")
        for part in parts:
            yield from _parquet(part, with_images)
    elif path.suffix == ".parquet":
        yield from _parquet(path, with_images)
    else:
        yield from read_json_items(path)


def _parquet(path: Path, with_images: bool) -> Iterator[tuple[str, object]]:
    pyarrow = require_pyarrow(str(path))
    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:  # a column may be 2 GB
            schema = file.schema_arrow
            index = _index(schema)
            if index not in schema.names or not _is_text(pyarrow, schema.field(index).type):
                raise InputError(f"{path}: no index of text; the ids must be the index, as pandas writes it")
            if with_images and COLUMN not in schema.names:
                raise InputError(f"{path}: no column {COLUMN}")
            rows, columns = (_IMAGES, [index, COLUMN]) if with_images else (_IDS, [index])
            for batch in file.iter_batches(rows, columns=columns):
                names = batch.column(index).to_pylist()
                yield from zip(names, batch.column(COLUMN).to_pylist() if with_images else names, strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _index(schema: Any) -> str:
    """The column that is the index, by what pandas notes in the file, or else by its usual name."""
    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    names = [name for name in noted if isinstance(name, str)]
    return str(next(iter((*names, *(name for name in _INDEXES if name in schema.names))), ""))


def _is_text(pyarrow: Any, kind: Any) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))
