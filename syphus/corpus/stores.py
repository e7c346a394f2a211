"""The ids that an image store holds, without the images.

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

_BATCH = 10_000


def image_ids(path: Path) -> Iterator[str]:
    """Yields the ids in the order of the store, in constant memory, repeated ones too.

    Raises `InputError` where it can't be read or has no index of text, `ConfigError` where pyarrow is missing.
    """
    if path.is_dir() or path.suffix == ".parquet":
        for part in part_paths(path):
            yield from _parquet(part)
    else:
        for name, _ in read_json_items(path):
            yield name


def _parquet(path: Path) -> Iterator[str]:
    pyarrow = require_pyarrow(str(path))
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = columns(file.schema_arrow)
            if names is None:
                raise InputError(f"{path}: no index of text; the ids must be the index, as pandas writes it")
            for batch in file.iter_batches(_BATCH, columns=[names.ids]):
                yield from batch.column(0).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error
