"""Whether the images of a store can be decoded, on all cores.

An image is a file that Pillow opens, as base64 or raw. Source: Otter's loader,
`pipeline/mimicit_utils/mimicit_dataset.py` (`Image.open(BytesIO(base64.urlsafe_b64decode(...)))`), which passes over
letters that are not base64's, and ends at padding that is not right.
"""

from __future__ import annotations

import binascii
import io
import os
import string
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from syphus.errors import ConfigError, InputError
from syphus.images.parquet_store import store_columns
from syphus.images.store import part_paths
from syphus.io.parquet import require_pyarrow
from syphus.io.records import read_json_items
from syphus.text import install_hint

if TYPE_CHECKING:
    from PIL.Image import Image as ImageFile

_BATCH_BYTES = 1 << 20  # of base64 that one thread gets at once
_URL_LETTERS = str.maketrans("-_", "+/")
_END_OF_JPEG = b"\xff\xd9"
_BASE64_OF_JPEG = "/9j/"
_HEAD = 4_096  # letters of base64, in which a JPEG's head is found as a rule
_LETTERS = string.ascii_letters.encode() + string.digits.encode() + b"+/"
_MOST_PIXELS = 89_478_485  # from which on Pillow speaks of a decompression bomb


class DecodeLevel(StrEnum):
    """How closely an image is looked at.

    A quick look is at the head, the checksums (PNG has some) and the end; what is odd, or has neither, is decoded. It
    takes 20 to 40 microseconds an image, where decoding one of 224 x 224 takes 180 (JPEG) to 760 (PNG).
    """

    NONE = "none"
    QUICK = "quick"
    FULL = "full"


def require_pillow() -> None:
    """Raises `ConfigError` where Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401  whether it can be
    except ImportError as error:
        raise ConfigError(
            f"Checking images needs Pillow: {install_hint('images')}; or skip them with --decode none"
        ) from error


def check_images(images: Iterable[tuple[str, object]], depth: DecodeLevel) -> Iterator[tuple[str, str]]:
    """The id of every image with what is wrong with it, "" where nothing is, in the order of the store.

    Images are told by id and base64, or bytes; a few MB of them are held at once. Needs Pillow.
    """
    cores = os.cpu_count() or 1
    waiting: deque[Future[list[tuple[str, str]]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for batch in _batches(images):
            waiting.append(pool.submit(_looked_at, batch, depth))
            if len(waiting) > cores:
                yield from waiting.popleft().result()
        for left in waiting:
            yield from left.result()


def _batches(images: Iterable[tuple[str, object]]) -> Iterator[list[tuple[str, object]]]:
    batch: list[tuple[str, object]] = []
    size = 0
    for name, encoded in images:
        batch.append((name, encoded))
        size += len(encoded) if isinstance(encoded, (str, bytes)) else 1
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _looked_at(batch: Iterable[tuple[str, object]], depth: DecodeLevel) -> list[tuple[str, str]]:
    return [(name, _fault(encoded, depth)) for name, encoded in batch]


def _fault(encoded: object, depth: DecodeLevel) -> str:
    """What is wrong with one image, in a few words."""
    from PIL import Image  # here, as below: only who has images needs it

    if not isinstance(encoded, (str, bytes)):
        return "text is expected"
    if depth is DecodeLevel.QUICK and isinstance(encoded, str) and _has_both_ends(encoded):
        return ""
    try:
        data = encoded if isinstance(encoded, bytes) else _bytes(encoded)
    except (binascii.Error, ValueError) as error:
        return f"no base64: {error}"
    try:
        if depth is DecodeLevel.FULL or not _looks_whole(data):
            with Image.open(io.BytesIO(data)) as image:
                _check_size(image)
                image.draft("L", (1, 1))  # of JPEG every bit is read, but only an eighth of each side is made of it
                image.load()
    except Exception as error:  # noqa: BLE001  whatever a decoder raises at bytes that nobody has checked
        return _told(error)
    return ""


def _has_both_ends(encoded: str) -> bool:
    """Whether this is a JPEG with a good head and end, and base64 in between, whose decoding would take longer than all
    the rest. False where that can't be said.
    """
    from PIL import Image

    if not encoded.startswith(_BASE64_OF_JPEG) or len(encoded) % 4:
        return False
    try:
        if encoded.encode("ascii").rstrip(b"=").translate(None, _LETTERS):
            return False
        with Image.open(io.BytesIO(binascii.a2b_base64(encoded[:_HEAD]))) as image:
            _check_size(image)
        return binascii.a2b_base64(encoded[-8:]).endswith(_END_OF_JPEG)
    except Exception:  # noqa: BLE001  all of it is looked at then, and told
        return False


def _bytes(encoded: str) -> bytes:
    """As `base64.urlsafe_b64decode`, in half the time where there is nothing to replace."""
    plain = encoded.translate(_URL_LETTERS) if "-" in encoded or "_" in encoded else encoded
    return binascii.a2b_base64(plain)


def _looks_whole(data: bytes) -> bool:
    """Whether head, checksums and end are as they should be, as far as they tell; raises what Pillow raises."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        _check_size(image)
        image.verify()
        kind = image.format
    return kind == "PNG" or (kind == "JPEG" and data.endswith(_END_OF_JPEG))


def _check_size(image: ImageFile) -> None:
    """Raises ValueError for what Pillow warns of, and Otter's loader would not survive; not its own limit, which is one
    for the whole process, and may have been put aside.
    """
    pixels = image.width * image.height
    if pixels > _MOST_PIXELS:
        raise ValueError(f"Image size ({pixels} pixels) exceeds limit of {_MOST_PIXELS} pixels")


def _told(error: Exception) -> str:
    told = str(error).partition("\n")[0]
    if told.startswith("cannot identify image file"):  # an address follows
        return "no image that Pillow knows"
    return told or type(error).__name__


# FOLDED from stores.py:
# The images of an image store, by their ids, one after the other.
#
# parquet  one file, or a folder of them: the ids as the index that pandas or dask has written, or as
# `datasets` has them
# json     one object: {"SD_IMG_00058_1": "<base64>", ...}

_IDS, _IMAGES = 10_000, 64  # rows that are held at once


def read_image_ids(path: Path) -> Iterator[str]:
    """Yields the ids in the order of the store, in constant memory, repeated ones too.

    Raises `InputError` where it can't be read or has no index of text, `ConfigError` where pyarrow is missing.
    """
    return (name for name, _ in _items(path, with_images=False))


def read_images(path: Path) -> Iterator[tuple[str, object]]:
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
            names = store_columns(file.schema_arrow)
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
                yield from zip(
                    ids, (_stores_bytes(each) for each in held) if names.raw and with_images else held, strict=True
                )
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _stores_bytes(image: object) -> object:
    """The bytes in a value of the Image feature of `datasets`, {"bytes": ..., "path": ...}."""
    return image.get("bytes") if isinstance(image, dict) else image
