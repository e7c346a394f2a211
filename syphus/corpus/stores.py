"""The images of an image store, by their ids, one after the other.

parquet  one file, or a folder of them: the ids as the index that pandas or dask has written, or as `datasets` has them
json     one object: {"SD_IMG_00058_1": "<base64>", ...}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syphus.errors import InputError
from syphus.formats.parquet import require_pyarrow
from syphus.images.columns import columns
from syphus.images.store import part_paths
from syphus.reading.records import read_json_items

_IDS, _IMAGES = 10_000, 64  # rows that are held at once


def image_ids(path: Path) -> Iterator[str]:
    """Yields the ids in the order of the store, in constant memory, repeated ones too.

    Raises `InputError` where it can't be read or has no index of text, `ConfigError` where pyarrow is missing.
    """
    return (name for name, _ in _items(path, with_images=False))


def images(path: Path) -> Iterator[tuple[str, object]]:
    """Yields each id with its image: base64 as it stands in the store, or raw bytes (JSON may hold anything).

    Raises as `image_ids`. A store without a column of images can't be read.
    """
    return _items(path, with_images=True)


def _items(path: Path, with_images: bool) -> Iterator[tuple[str, object]]:
    if path.is_dir() or path.suffix == ".parquet":
        for part in part_paths(path):
            yield from _parquet(part, with_images)
    else:
        yield from read_json_items(path)


def _parquet(path: Path, with_images: bool) -> Iterator[tuple[str, object]]:
    pyarrow = require_pyarrow(str(path))
    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:  # a column may be 2 GB
            names = columns(file.schema_arrow)
            if names is None:
                raise InputError(f"{path}: no index of text; the ids must be the index, as pandas writes it")
            if with_images and names.images not in file.schema_arrow.names:
                raise InputError(f"{path}: no column {names.images}")
            rows, wanted = (_IMAGES, [names.ids, names.images]) if with_images else (_IDS, [names.ids])
            for batch in file.iter_batches(rows, columns=wanted):
                if batch.column(names.ids).null_count:
                    raise InputError(f"{path}: an image has null as its id")
                ids = batch.column(names.ids).to_pylist()
                held = batch.column(names.images).to_pylist() if with_images else ids
                yield from zip(ids, (_bytes(each) for each in held) if names.raw and with_images else held, strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _bytes(image: object) -> object:
    """The bytes in a value of the Image feature of `datasets`, {"bytes": ..., "path": ...}."""
    return image.get("bytes") if isinstance(image, dict) else image
