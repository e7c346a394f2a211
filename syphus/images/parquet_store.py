"""The Parquet files of a store, read a row group at a time."""

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

# FOLDED from columns.py:
# Which columns of a Parquet file hold the ids and the images.
#
# - `base64`, with the ids as the index that pandas, dask or Syphus has written: what Otter's loaders open.
# - `image`, a struct of `bytes` and `path`, with a column `id`: what the Image feature of `datasets` opens.

BASE64, IMAGE, ID = "base64", "image", "id"
INDEX = "__index_level_0__"  #: how pandas calls an index without a name
_INDEXES = (INDEX, "__null_dask_index__")


class StoreColumns(NamedTuple):
    """The names of both columns; `raw` where the images are bytes instead of base64."""

    ids: str
    images: str
    raw: bool


def columns(schema: Any) -> StoreColumns | None:
    """The columns of an image store by its Arrow schema; None where it has no ids that are text.

    Whether there are images in it, `schema.names` says.
    """
    raw = IMAGE in schema.names and BASE64 not in schema.names
    ids = ID if raw and ID in schema.names else _index(schema)
    if ids not in schema.names or str(schema.field(ids).type) not in {"string", "large_string"}:
        return None
    return StoreColumns(ids, IMAGE if raw else BASE64, raw)


def _index(schema: Any) -> str:
    """The column that is the index, by what pandas notes in the file, or else by its usual name."""
    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    names = [name for name in noted if isinstance(name, str)]
    return str(next(iter((*names, *(name for name in _INDEXES if name in schema.names))), ""))


# FOLDED from encoding.py:
# base64 as it is found in image stores: RFC 4648, in the standard or the URL-safe alphabet.

_URL_SAFE = str.maketrans("-_", "+/")


def to_base64(data: bytes) -> str:
    """In the standard alphabet, with its padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes; raises `ValueError` where the text is anything else, a wrong padding included."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return binascii.a2b_base64(text.translate(_URL_SAFE), strict_mode=True)


_OPEN_FILES = 8
_BATCH = 1_000  # images


class ParquetStore:
    """Parquet files by their number, of which a few are open. Raises `InputError` where one is no image store."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._pyarrow = require_pyarrow("An image store of Parquet")
        self._paths = paths
        self._open: OrderedDict[int, tuple[Any, StoreColumns]] = OrderedDict()

    def ids(self) -> Iterator[tuple[str, int, int, int]]:
        """Every id with its file, row group and row."""
        for number in range(len(self._paths)):
            file, names = self._file(number)
            with _faults(self._pyarrow, self._paths[number]):
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, columns=[names.ids]).column(0).to_pylist()
                    yield from ((name, number, group, row) for row, name in enumerate(ids))

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Every id with its image as a file has it, JPEG or PNG for example, in the order of the store."""
        for number, path in enumerate(self._paths):
            file, names = self._file(number)
            with _faults(self._pyarrow, path):
                for batch in file.iter_batches(_BATCH, columns=[names.ids, names.images]):
                    values = batch.column(names.images).to_pylist()
                    for name, value in zip(batch.column(names.ids).to_pylist(), values, strict=True):
                        yield name, _bytes(value, path, name)

    def read(self, place: ImageLocation, image_id: str) -> bytes:
        """One image."""
        file, names = self._file(place.part)
        path = self._paths[place.part]
        with _faults(self._pyarrow, path):
            column = file.read_row_group(place.a, columns=[names.images], use_threads=False).column(names.images)
            return _bytes(column[place.b].as_py(), path, image_id)

    def close(self) -> None:
        """Closes all files."""
        while self._open:
            self._open.popitem()[1][0].close()

    def _file(self, number: int) -> tuple[Any, StoreColumns]:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        path = self._paths[number]
        with _faults(self._pyarrow, path):
            file = self._pyarrow.parquet.ParquetFile(path)
            names = columns(file.schema_arrow)
            if names is None or names.images not in file.schema_arrow.names:
                file.close()
                raise InputError(f"{path}: no image store: it needs a column base64, and the ids as its index")
        if len(self._open) == _OPEN_FILES:
            self._open.popitem(last=False)[1][0].close()
        self._open[number] = file, names
        return file, names


def _bytes(value: object, path: Path, image_id: str) -> bytes:
    if isinstance(value, dict):
        value = value.get("bytes")
    try:
        return from_base64(value) if isinstance(value, str) else bytes(memoryview(value))  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {image_id}: no image in base64") from error


@contextmanager
def _faults(pyarrow: Any, path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error
