"""Read the Parquet files of a store, one row group at a time.

Two layouts exist. Which one a file has, its columns say:

- `base64`, with the ids as the index that pandas, dask or Syphus wrote: what Otter's loaders read.
- `image`, a struct of `bytes` and `path`, with a column `id`: what the Image feature of `datasets` reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from syphus.errors import ImageError, InputError
from syphus.images.index import ImageLocation
from syphus.io.media import media_kind
from syphus.io.parquet import Arrow, require_pyarrow

BASE64, IMAGE, IMAGES, ID = "base64", "image", "images", "id"
INDEX = "__index_level_0__"  #: how pandas calls an index without a name
_INDEXES = (INDEX, "__null_dask_index__")
_OPEN_FILES = 8
_KEPT_BYTES = 6_000_000  # of groups of rows that are kept in memory
_BATCH = 100  # images
_PAIRS = 32  # rows with several images in memory at once
_MOST_OF_PAIR = 1 << 16  # images of a pair
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


_DATA_URI = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)
_BYTES_AS_TEXT = re.compile(r"""b(['"])(.*)\1""", re.DOTALL)  # what `str` makes of bytes
_NO_IMAGE = "not an image in base64"


def stored_image(value: object) -> bytes:
    """Return the bytes of an image file from a value of a store, whatever program wrote it.

    That is base64 as text or bytes, with line breaks or as a data URI, bytes, or `{"bytes": ...}`, alone or in a list.
    Raises `ValueError` with the reason in a few words.
    """
    if isinstance(value, dict):
        if value.get("bytes") is None:
            raise ValueError("the path of a file, not an image" if value.get("path") else "null")
        value = value["bytes"]
    if isinstance(value, list):
        if len(value) == 1:
            return stored_image(value[0])
        value = _from_numbers(value)
    if value is None:
        raise ValueError("null")
    if not isinstance(value, str | bytes | bytearray | memoryview):
        raise ValueError(_NO_IMAGE)
    data = _from_text(value) if isinstance(value, str) else bytes(value)
    if media_kind(data) is None and data.isascii():  # base64 as bytes, or base64 of base64
        try:
            inner = _from_text(data.decode("ascii"))
        except ValueError:
            return data
        return inner if media_kind(inner) else data
    return data


def _from_numbers(values: list[object]) -> bytes:
    numbers = [value for value in values if type(value) is int and 0 <= value < 256]
    if not values or len(numbers) != len(values):
        raise ValueError(f"a list of {len(values):,} values, not an image")
    return bytes(numbers)


def _from_text(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError:
        pass
    text = text.strip()
    if found := _BYTES_AS_TEXT.fullmatch(text):
        text = found[2]
    if found := _DATA_URI.match(text):
        if found[1] is None:
            raise ValueError("a data URI without base64")
        text = unquote(text[found.end() :])
    text = "".join(text.split())
    unpadded = text.rstrip("=")
    padded = unpadded + "=" * (-len(unpadded) % 4)
    try:
        data = from_base64(padded)
    except ValueError as error:
        raise ValueError(_NO_IMAGE) from error
    if padded != text and not _is_complete(data):  # text that was cut off lacks its padding, too
        raise ValueError(_NO_IMAGE)
    return data


def _is_complete(data: bytes) -> bool:
    from syphus.images.convert_options import EncodeOptions  # Pillow is slow to import, and rarely needed here
    from syphus.images.pixels import BadImageError, convert_still

    try:
        convert_still(data, EncodeOptions(lenient=True))
    except BadImageError:
        return False
    return True


class StoreColumns(NamedTuple):
    """The names of the columns with the ids and the images; `raw` if the images are bytes instead of base64.

    `of_pairs` says that a row is a pair with a list of images: `pair_images` has their ids.
    """

    ids: str
    images: str
    raw: bool
    of_pairs: bool = False


def store_columns(schema: Arrow) -> StoreColumns | None:
    """Return the columns of an image store by its Arrow schema; None if it has no column of text ids.

    The image column may still be missing: check `schema.names`.
    """
    if has_pair_images(schema):
        return StoreColumns(ID, IMAGES, raw=True, of_pairs=True)
    raw = IMAGE in schema.names and BASE64 not in schema.names
    ids = ID if raw and ID in schema.names else index_column(schema)
    if ids not in schema.names:
        return None
    kind = schema.field(ids).type
    if str(getattr(kind, "value_type", kind)) not in {"string", "large_string", "string_view"}:  # of a dictionary
        return None
    return StoreColumns(ids, IMAGE if raw else BASE64, raw)


def has_pair_images(schema: Arrow) -> bool:
    """Return whether a table of pairs has the images themselves in its column `images`, by its Arrow schema."""
    kind = schema.field(IMAGES).type if {ID, IMAGES} <= set(schema.names) else None
    return hasattr(getattr(kind, "value_type", None), "get_field_index")


def pair_images(pair: object, images: object) -> Iterator[tuple[str, object]]:
    """Yield each image of a pair with its id: the name of its file, or else the id of the pair and a number."""
    for number, image in enumerate(images if isinstance(images, list) else (), 1):
        file = image.get("path") if isinstance(image, dict) else None
        yield PurePosixPath(file).stem if isinstance(file, str) and file else f"{pair}_{number}", image


def index_column(schema: Arrow) -> str:
    """Return the index column that pandas noted in the file, or else the one with its usual name."""
    noted = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    names = [name for name in noted if isinstance(name, str)]
    return str(next(iter((*names, *(name for name in _INDEXES if name in schema.names))), ""))


def batch_images(batch: Arrow, columns: StoreColumns, seen: set[str]) -> Iterator[tuple[Arrow, object]]:
    """Yield the ids and images of a batch of rows. Images of pairs that are in `seen` are left out; it grows."""
    rows = zip(batch.column(columns.ids).to_pylist(), batch.column(columns.images).to_pylist(), strict=True)
    if not columns.of_pairs:
        yield from rows
        return
    for pair, images in rows:
        for image_id, image in pair_images(pair, images):
            if image_id not in seen:
                seen.add(image_id)
                yield image_id, image


def _pair_locations(file: Arrow, columns: StoreColumns, number: int, group: int) -> Iterator[tuple[str, int, int, int]]:
    table = file.read_row_group(group, columns=[columns.ids, columns.images])
    pairs = zip(table.column(columns.ids).to_pylist(), table.column(columns.images).to_pylist(), strict=True)
    for row, (pair, images) in enumerate(pairs):
        for place, (image_id, _) in enumerate(pair_images(pair, images)):
            yield image_id, number, group, row * _MOST_OF_PAIR + place


class ParquetStore:
    """Parquet files by number, a few of them open. Raises `InputError` if a file is not an image store."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._pyarrow = require_pyarrow("An image store of Parquet")
        self._paths = paths
        self._open: OrderedDict[int, tuple[Arrow, StoreColumns]] = OrderedDict()
        self._groups: OrderedDict[tuple[int, int], Arrow] = OrderedDict()  # by file and number

    def locations(self) -> Iterator[tuple[str, int, int, int]]:
        """Yield (id, file number, row group, row) of every image."""
        for number in range(len(self._paths)):
            file, columns = self._file(number)
            with _input_errors(self._pyarrow, self._paths[number]):
                for group in range(file.num_row_groups):
                    if columns.of_pairs:
                        yield from _pair_locations(file, columns, number, group)
                        continue
                    ids = file.read_row_group(group, columns=[columns.ids]).column(0).to_pylist()
                    yield from ((image_id, number, group, row) for row, image_id in enumerate(ids))

    def images(self) -> Iterator[tuple[str, bytes | ImageError]]:
        """Yield every id with its image (the bytes of an image file) or its fault, in the order of the store."""
        seen: set[str] = set()
        for number, path in enumerate(self._paths):
            file, columns = self._file(number)
            with _input_errors(self._pyarrow, path):
                rows = _PAIRS if columns.of_pairs else _BATCH
                for batch in file.iter_batches(rows, columns=[columns.ids, columns.images]):
                    for image_id, value in batch_images(batch, columns, seen):
                        try:
                            yield image_id or "", stored_image(value if image_id else None)
                        except ValueError as error:
                            problem = str(error) if image_id else "its id is null"
                            yield image_id or "", ImageError(f"{path}: {image_id}", problem)

    def read(self, location: ImageLocation, image_id: str) -> bytes:
        """Read one image; `image_id` is for error messages. Raises `ImageError` if the store holds none under it."""
        _, columns = self._file(location.part)
        path = self._paths[location.part]
        with _input_errors(self._pyarrow, path):
            group = self._group(location)
            try:
                row, place = divmod(location.b, _MOST_OF_PAIR) if columns.of_pairs else (location.b, 0)
                value = group[row].as_py()
                return stored_image(value[place] if columns.of_pairs else value)
            except ValueError as error:
                raise ImageError(f"{path}: {image_id}", str(error)) from error

    def largest_group(self) -> int:
        """Return the size of the largest group of rows in bytes, all of which is read for one image."""
        sizes = [0]
        for number, path in enumerate(self._paths):
            file, _ = self._file(number)
            with _input_errors(self._pyarrow, path):
                sizes += [file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups)]
        return max(sizes)

    def _group(self, location: ImageLocation) -> Arrow:
        """Return the images of a group of rows. The latest groups are kept: images are mostly read in their order."""
        key = location.part, location.a
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        file, columns = self._file(location.part)
        images = file.read_row_group(location.a, columns=[columns.images], use_threads=False).column(columns.images)
        if images.nbytes <= _KEPT_BYTES:
            self._groups[key] = images
            while sum(kept.nbytes for kept in self._groups.values()) > _KEPT_BYTES:
                self._groups.popitem(last=False)
        return images

    def close(self) -> None:
        """Close all files."""
        self._groups.clear()
        while self._open:
            self._open.popitem()[1][0].close()

    def _file(self, number: int) -> tuple[Arrow, StoreColumns]:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        path = self._paths[number]
        with _input_errors(self._pyarrow, path):
            # In small reads, as a group of rows may hold gigabytes.
            file = self._pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
            columns = store_columns(file.schema_arrow)
            if columns is None or columns.images not in file.schema_arrow.names:
                file.close()
                raise InputError(f"{path}: not an image store: it needs a column base64, and the ids as its index")
        if len(self._open) == _OPEN_FILES:
            self._open.popitem(last=False)[1][0].close()
        self._open[number] = file, columns
        return file, columns


@contextmanager
def _input_errors(pyarrow: Arrow, path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error
