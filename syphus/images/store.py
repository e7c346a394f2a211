"""Open a store of any kind and size, and read single images by id. The store is never loaded as a whole.

    with open_store(Path("DC")) as store:
        jpeg = store["DC_IMG_v_abc123_0007"]

A store is a Parquet file, a folder of Parquet files (as Syphus, dask or pandas write them), or a JSON file. If a
folder has an index that Syphus wrote, opening it is instant; otherwise all ids are read once, into a temporary file.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import NoReturn

from syphus.errors import ImageError, InputError
from syphus.images.index import ImageIndex, ImageLocation, make_index, open_index
from syphus.images.parquet_store import ParquetStore, stored_image
from syphus.io.media import hashed_stem, natural_sort_key
from syphus.io.text_files import local_file, missing
from syphus.text import normal_forms

_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_SPACE = rb"[ \t\r\n]*+"
_START = re.compile(rb"(?:\xef\xbb\xbf)?" + _SPACE + rb"\{" + _SPACE)
_OTHER = rb'((?:[^"\[\]{},]|\[[^\[\]{}]*+\])++)'  # null, a number, a list
_ITEM = re.compile(
    _TEXT + _SPACE + rb":" + _SPACE + rb"(?:" + _TEXT + rb"|" + _OTHER + rb")" + _SPACE + rb"([,}])" + _SPACE
)


class ImageStore:
    """An open store; any thread may use it. Images are the bytes of image files (JPEG, PNG), as they were stored."""

    def __init__(
        self, index: ImageIndex, read: Callable[[ImageLocation, str], bytes], close: Callable[[], None]
    ) -> None:
        self._index = index
        self._read = read
        self._close = close
        self._lock = Lock()

    def __contains__(self, image_id: str) -> bool:
        with self._lock:
            return self._find(image_id) is not None

    def __getitem__(self, image_id: str) -> bytes:
        """Return an image. Raises `KeyError` if the store does not have it, `InputError` if the store is damaged."""
        with self._lock:
            location = self._find(image_id)
            if location is None:
                raise KeyError(image_id)
            return self._read(location, image_id)

    def _find(self, image_id: str) -> ImageLocation | None:
        """Find an image by its id, by another Unicode form of it, or by the name that `export` gave its file."""
        found = next(filter(None, map(self._index.find, normal_forms(image_id))), None)
        return found or self._index.find(hashed_stem(image_id, image_id))

    def __len__(self) -> int:
        with self._lock:
            return len(self._index)

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of the store."""
        with self._lock:
            self._index.close()
            self._close()


def open_store(path: Path) -> ImageStore:
    """Open the store at a path or URL. The caller closes it.

    Raises `InputError` if it can't be read or is not a store, `ConfigError` if pyarrow is missing.
    """
    path = Path(local_file(path))
    if path.is_file() and path.suffix != ".parquet":
        json_store = JsonStore(path)
        return ImageStore(
            make_index(json_store.locations()),
            lambda location, image_id: json_store.read(location.a, location.b, image_id),
            json_store.close,
        )
    paths = part_paths(path)
    parquet_store = ParquetStore(paths)
    index = open_index(path, paths) if path.is_dir() else None
    return ImageStore(index or make_index(parquet_store.locations()), parquet_store.read, parquet_store.close)


def read_images(path: Path) -> Iterator[tuple[str, bytes | ImageError]]:
    """Yield every id with its image or its fault, in the order of the store, in constant memory.

    Raises as `open_store` does.
    """
    path = Path(local_file(path))
    if path.is_file() and path.suffix != ".parquet":
        with closing(JsonStore(path)) as json_store:
            for image_id, _, start, length in json_store.locations():
                try:
                    yield image_id, json_store.read(start, length, image_id)
                except ImageError as error:
                    yield image_id, error
        return
    with closing(ParquetStore(part_paths(path))) as parquet_store:
        yield from parquet_store.images()


def part_paths(path: Path) -> list[Path]:
    """Return the Parquet files of a store in natural order. Raises `InputError` if there are none."""
    path = Path(local_file(path))
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(missing(path))
    parts = [part for part in path.glob("*.parquet") if not part.name.startswith((".", "_"))]
    if not parts:
        raise InputError(f"{path}: a folder without a parquet file")
    return sorted(parts, key=lambda part: natural_sort_key(part.name))  # dask's part.10 comes after its part.9


class JsonStore:
    """An open JSON store. Raises `InputError` if the file can't be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file can't be mapped
            raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'the file is empty'}") from error

    def locations(self) -> Iterator[tuple[str, int, int, int]]:
        """Yield (id, 0, offset, length) of every image; the last two locate its base64 text in the file, in bytes."""
        start = _START.match(self._map)
        if start is None:
            self._fail(0)
        at = start.end()
        if self._map[at : at + 1] == b"}":
            return
        while True:
            item = _ITEM.match(self._map, at)
            if item is None:
                self._fail(at)
            value = 3 if item[2] is None else 2
            yield self._name(item[1], at), 0, item.start(value), item.end(value) - item.start(value)
            at = item.end()
            if item[4] == b"}":
                break
        if at != len(self._map):
            self._fail(at)

    def read(self, start: int, length: int, image_id: str) -> bytes:
        """Decode the image whose base64 text is at `start`; `image_id` is for error messages. Raises `ImageError`."""
        text = self._map[start : start + length]
        if self._map[start - 1 : start] == b'"':
            text = b'"%b"' % text
        try:
            return stored_image(text[1:-1].decode() if text[:1] == b'"' and b"\\" not in text else json.loads(text))
        except ValueError as error:
            problem = str(error) if type(error) is ValueError else "not an image in base64"
            raise ImageError(f"{self._path}: {image_id}", problem) from error

    def close(self) -> None:
        """Close the file."""
        self._map.close()

    def _name(self, text: bytes, at: int) -> str:
        try:
            return str(json.loads(b'"%b"' % text))
        except ValueError:
            self._fail(at)

    def _fail(self, at: int) -> NoReturn:
        raise InputError(f'{self._path}: byte {at:,}: expected one object of "image id": "base64"')
