"""Read the Parquet files of a store, one row group at a time.

Two layouts exist. Which one a file has, its columns say:

- `base64`, with the ids as the index that pandas, dask or Syphus wrote: what Otter's loaders read.
- `image`, a struct of `bytes` and `path`, with a column `id`: what the Image feature of `datasets` reads.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from syphus.errors import InputError
from syphus.images.index import ImageLocation
from syphus.io.parquet import require_pyarrow

BASE64, IMAGE, ID = "base64", "image", "id"
INDEX = "__index_level_0__"  #: how pandas calls an index without a name
_INDEXES = (INDEX, "__null_dask_index__")
_OPEN_FILES = 8
_BATCH = 1_000  # images
_URL_SAFE = str.maketrans("-_", "+/")


def to_base64(data: bytes) -> str:
    """Encode in the standard alphabet of RFC 4648, with padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Decode the standard or the URL-safe alphabet. Raises `ValueError` for anything else, wrong padding included."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return binascii.a2b_base64(text.translate(_URL_SAFE), strict_mode=True)


class StoreColumns(NamedTuple):
    """The names of the columns with the ids and the images; `raw` if the images are bytes instead of base64."""

    ids: str
    images: str
    raw: bool


def store_columns(schema: Any) -> StoreColumns | None:
    """Return the columns of an image store by its Arrow schema; None if it has no column of text ids.

    The image column may still be missing: check `schema.names`.
    """
    raw = IMAGE in schema.names and BASE64 not in schema.names
    ids = ID if raw and ID in schema.names else index_column(schema)
    if ids not in schema.names or str(schema.field(ids).type) not in {"string", "large_string"}:
        return None
    return StoreColumns(ids, IMAGE if raw else BASE64, raw)


def index_column(schema: Any) -> str:
    """Return the index column that pandas noted in the file, or else the one with its usual name."""
    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    names = [name for name in noted if isinstance(name, str)]
    return str(next(iter((*names, *(name for name in _INDEXES if name in schema.names))), ""))


class ParquetStore:
    """Parquet files by number, a few of them open. Raises `InputError` if a file is not an image store."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._pyarrow = require_pyarrow("An image store of Parquet")
        self._paths = paths
        self._open: OrderedDict[int, tuple[Any, StoreColumns]] = OrderedDict()

    def locations(self) -> Iterator[tuple[str, int, int, int]]:
        """Yield (id, file number, row group, row) of every image."""
        for number in range(len(self._paths)):
            file, columns = self._file(number)
            with _input_errors(self._pyarrow, self._paths[number]):
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, columns=[columns.ids]).column(0).to_pylist()
                    yield from ((image_id, number, group, row) for row, image_id in enumerate(ids))

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Yield every id with its image (the bytes of an image file), in the order of the store."""
        for number, path in enumerate(self._paths):
            file, columns = self._file(number)
            with _input_errors(self._pyarrow, path):
                for batch in file.iter_batches(_BATCH, columns=[columns.ids, columns.images]):
                    ids = batch.column(columns.ids).to_pylist()
                    for image_id, value in zip(ids, batch.column(columns.images).to_pylist(), strict=True):
                        yield image_id, _image_bytes(value, path, image_id)

    def read(self, location: ImageLocation, image_id: str) -> bytes:
        """Read one image; `image_id` is for error messages."""
        file, columns = self._file(location.part)
        path = self._paths[location.part]
        with _input_errors(self._pyarrow, path):
            group = file.read_row_group(location.a, columns=[columns.images], use_threads=False)
            return _image_bytes(group.column(columns.images)[location.b].as_py(), path, image_id)

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1][0].close()

    def _file(self, number: int) -> tuple[Any, StoreColumns]:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        path = self._paths[number]
        with _input_errors(self._pyarrow, path):
            file = self._pyarrow.parquet.ParquetFile(path)
            columns = store_columns(file.schema_arrow)
            if columns is None or columns.images not in file.schema_arrow.names:
                file.close()
                raise InputError(f"{path}: not an image store: it needs a column base64, and the ids as its index")
        if len(self._open) == _OPEN_FILES:
            self._open.popitem(last=False)[1][0].close()
        self._open[number] = file, columns
        return file, columns


def _image_bytes(value: object, path: Path, image_id: str) -> bytes:
    if isinstance(value, dict):
        value = value.get("bytes")
    try:
        return from_base64(value) if isinstance(value, str) else bytes(memoryview(value))  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {image_id}: not an image in base64") from error


@contextmanager
def _input_errors(pyarrow: Any, path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error
