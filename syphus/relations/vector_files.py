"""Read the user's own vectors, each with the id of an image.

    .parquet  a column of text (or pandas' index) with the ids, and a column of lists of numbers
    .npz      arrays `ids` and `vectors`
    .npy      the vectors; the ids are in a .txt file of the same name, one per line, UTF-8

Needs numpy, and for Parquet pyarrow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syphus.errors import ConfigError, InputError
from syphus.io.text_files import missing, read_text
from syphus.text import install_hint, pluralize

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

ENDINGS = (".parquet", ".npz", ".npy")
_MAX_ID_BYTES = 1 << 32  # of a file with ids


def read_vectors(path: Path) -> tuple[list[str], NDArray[numpy.float32]]:
    """Return the ids, and the vectors as an array of shape (ids, dimension). Raises `InputError`."""
    import numpy

    if not path.is_file():
        raise InputError(missing(path, "file"))
    readers = {".parquet": _parquet, ".npz": _npz, ".npy": _npy}
    if path.suffix not in readers:
        raise InputError(f"{path}: vectors are read from {', '.join(ENDINGS)}")
    try:
        ids, found = readers[path.suffix](path)
        vectors = numpy.asarray(found, numpy.float32)
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise InputError(f"{path}: can't be read as vectors: {error}") from error
    if vectors.ndim != 2 or not vectors.size or len(ids) != len(vectors):
        shape = " x ".join(map(str, vectors.shape))
        raise InputError(
            f"{path}: one vector per id is expected; found {pluralize(len(ids), 'id')} and an array of {shape}"
        )
    if len(set(ids)) != len(ids):
        ((twice, _),) = Counter(ids).most_common(1)
        raise InputError(f"{path}: {twice} appears twice")
    good = numpy.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    if not good.all():
        raise InputError(f"{path}: the vector of {ids[int(good.argmin())]} is not finite, or zero")
    return ids, vectors


def _npz(path: Path) -> tuple[list[str], Any]:
    import numpy

    with numpy.load(path, allow_pickle=False) as arrays:
        return [str(each) for each in arrays["ids"].tolist()], arrays["vectors"]


def _npy(path: Path) -> tuple[list[str], Any]:
    import numpy

    ids = path.with_suffix(".txt")
    if not ids.is_file():
        raise InputError(f"{path}: {ids.name} with the ids, one per line, is expected beside it")
    lines = read_text(ids, _MAX_ID_BYTES).replace("\r\n", "\n").removesuffix("\n").split("\n")
    return lines, numpy.load(path, allow_pickle=False)


def _parquet(path: Path) -> tuple[list[str], Any]:
    import numpy

    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(f"--image-embeddings with Parquet needs pyarrow: {install_hint('parquet')}") from error
    table = pyarrow.parquet.read_table(path)
    types = {name: table.schema.field(name).type for name in table.column_names}
    texts = [
        name for name, kind in types.items() if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
    ]
    lists = [name for name, kind in types.items() if _is_list(pyarrow.types, kind)]
    if len(texts) != 1 or len(lists) != 1:
        raise ValueError("one column of text and one of lists of numbers are expected")
    ids, column = table.column(texts[0]).to_pylist(), table.column(lists[0]).combine_chunks()
    _check_lengths(ids, pyarrow.compute.list_value_length(column).to_pylist())
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return ids, numpy.reshape(flat, (len(column), -1))


def _check_lengths(ids: Sequence[str | None], lengths: Sequence[int | None]) -> None:
    """Raise ValueError unless all vectors exist and have one length; flattened, they would shift otherwise."""
    for name, length in zip(ids, lengths, strict=True):
        if name is None:
            raise ValueError("an id is null")
        if length is None:
            raise ValueError(f"the vector of {name} is null")
        if length != lengths[0]:
            raise ValueError(f"the vector of {name} differs in length from that of {ids[0]}")


def _is_list(types: Any, kind: object) -> bool:  # pyarrow comes without types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
