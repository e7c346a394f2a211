"""Open a store of any kind and size, and read single images by id. The store is never loaded as a whole.

    with open_store(Path("DC")) as store:
        jpeg = store["DC_IMG_v_abc123_0007"]

A store is a Parquet file, a folder of Parquet files (as Syphus, dask or pandas write them), or a JSON file. If a
folder has an index that Syphus wrote, opening it is instant; otherwise all ids are read once, into a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock

from syphus.errors import ImageError, InputError
from syphus.images.index import ImageIndex, ImageLocation, make_index, open_index
from syphus.images.json_store import JsonStore
from syphus.images.parquet_store import ParquetStore
from syphus.io.media import hashed_stem, natural_sort_key
from syphus.io.text_files import local_file, missing
from syphus.text import normal_forms


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
