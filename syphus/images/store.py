"""One image by its id, out of a store of any size and layout, which is never loaded.

    with open_store(Path("DC")) as store:
        jpeg = store["DC_IMG_v_abc123_0007"]

A store is a Parquet file, a folder of Parquet files (as Syphus, dask or pandas write them), or a JSON file. Where a
folder has Syphus's index, the first image is there at once; otherwise the ids are read once, to a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

from syphus.errors import InputError
from syphus.images.index import ImageIndex, ImageLocation, make_index, open_index
from syphus.images.json_store import JsonStore
from syphus.images.parquet_store import ParquetStore
from syphus.io.media import natural_sort_key


class ImageStore:
    """An open store, for any thread. Images are the bytes of image files (JPEG, PNG), as they went in."""

    def __init__(
        self, index: ImageIndex, read: Callable[[ImageLocation, str], bytes], close: Callable[[], None]
    ) -> None:
        self._index = index
        self._read = read
        self._close = close
        self._lock = Lock()

    def __contains__(self, image_id: str) -> bool:
        with self._lock:
            return self._index.find(image_id) is not None

    def __getitem__(self, image_id: str) -> bytes:
        """Raises `KeyError` where it is not there, `InputError` where the store is broken."""
        with self._lock:
            place = self._index.find(image_id)
            if place is None:
                raise KeyError(image_id)
            return self._read(place, image_id)

    def __len__(self) -> int:
        with self._lock:
            return len(self._index)

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its files."""
        with self._lock:
            self._index.close()
            self._close()


def open_store(path: Path) -> ImageStore:
    """Opens a store; whoever does closes it.

    Raises `InputError` where it can't be read or is none, `ConfigError` where pyarrow is missing.
    """
    if path.is_file() and path.suffix != ".parquet":
        text = JsonStore(path)
        return ImageStore(make_index(text.places()), lambda place, name: text.read(place.a, place.b, name), text.close)
    paths = part_paths(path)
    files = ParquetStore(paths)
    index = open_index(path, paths) if path.is_dir() else None
    return ImageStore(index or make_index(files.ids()), files.read, files.close)


def read_images(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yields every id with its image, in the order of the store, in constant memory. Raises as `open_store` does."""
    if path.is_file() and path.suffix != ".parquet":
        text = JsonStore(path)
        try:
            for name, _, start, length in text.places():
                yield name, text.read(start, length, name)
        finally:
            text.close()
        return
    files = ParquetStore(part_paths(path))
    try:
        yield from files.images()
    finally:
        files.close()


def part_paths(path: Path) -> list[Path]:
    """The Parquet files of a store, in their order. Raises `InputError` where there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    found = [each for each in path.glob("*.parquet") if not each.name.startswith((".", "_"))]
    parts = sorted(found, key=lambda each: natural_sort_key(each.name))  # dask's part.10 comes after its part.9
    if not parts:
        raise InputError(f"{path}: a folder without a parquet file")
    return parts
