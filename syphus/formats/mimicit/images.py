"""Reads the images of an image store, and checks on all cores that they can be decoded.

A store is a Parquet file or a folder of them, with the ids in the index that pandas or dask wrote, or in a column as
`datasets` has them; or one JSON object: {"SD_IMG_00058_1": "<base64>", ...}. An image is base64 text or raw bytes.
A folder of image files, as `export --images` writes it, is a store, too: each file is called by the id of its image.

The check opens images as Otter's loader does, with Pillow: `Image.open(BytesIO(base64.urlsafe_b64decode(...)))`. That
skips characters that are not base64, and fails at wrong padding. Source: `pipeline/mimicit_utils/mimicit_dataset.py`.
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
from syphus.images.parquet_store import batch_images, store_columns
from syphus.images.store import part_paths
from syphus.io.media import image_files
from syphus.io.parquet import require_pyarrow
from syphus.io.records import read_json_items
from syphus.text import install_hint

if TYPE_CHECKING:
    from PIL.Image import Image as ImageFile

_ID_ROWS, _IMAGE_ROWS = 10_000, 64  # rows in memory at once, of ids only and with images

_BATCH_BYTES = 1 << 20  # of base64, per thread and batch
_URL_ALPHABET = str.maketrans("-_", "+/")
_END_OF_JPEG = b"\xff\xd9"
_BASE64_OF_JPEG = "/9j/"
_HEAD_LENGTH = 4_096  # characters of base64 that usually hold the header of a JPEG
_BASE64_ALPHABET = string.ascii_letters.encode() + string.digits.encode() + b"+/"
_MAX_PIXELS = 89_478_485  # beyond, Pillow warns of a decompression bomb


def read_image_ids(path: Path) -> Iterator[str]:
    """Yield the ids in the order of the store, duplicates included, in constant memory.

    Raises `InputError` if the store can't be read or has no index of text, `ConfigError` if pyarrow is missing.
    """
    return (name for name, _ in _items(path, with_images=False))


def is_image_folder(path: Path) -> bool:
    """Return whether a store is a folder of image files."""
    return path.is_dir() and not any(path.glob("*.parquet"))


def read_images(path: Path) -> Iterator[tuple[str, object]]:
    """Yield each id with its image: base64 text or raw bytes, as stored (a JSON store may hold anything).

    Raises as `read_image_ids` does, and `InputError` for a store without a column of images.
    """
    return _items(path, with_images=True)


def loader_problem(store: Path) -> str:
    """Return why Otter's loader can't open a store, or "": it reads one Parquet file with the index of pandas."""
    if store.is_dir():
        return "a folder"
    if store.suffix != ".parquet":
        return "not a Parquet file"
    try:
        pyarrow = require_pyarrow(str(store))
    except ConfigError:  # it can't be looked into
        return ""
    try:
        schema = pyarrow.parquet.read_schema(store)
    except (pyarrow.ArrowException, OSError):
        return ""  # which is a fault of its own
    names = store_columns(schema)
    if names is None or names.raw or (schema.metadata or {}).get(b"pandas") is None:
        return "not indexed by image id, as pandas writes it"
    return ""


def _items(path: Path, with_images: bool) -> Iterator[tuple[str, object]]:
    if is_image_folder(path):
        for file in image_files(path):
            try:
                yield file.stem, file.read_bytes() if with_images else ""
            except OSError as error:
                raise InputError(f"{file}: {error.strerror or error}") from error
    elif path.is_dir() or path.suffix == ".parquet":
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
            if names.of_pairs:
                seen: set[str] = set()
                for batch in file.iter_batches(_IMAGE_ROWS, columns=[names.ids, names.images]):
                    yield from ((name, _raw_bytes(image)) for name, image in batch_images(batch, names, seen))
                return
            rows, columns = (_IMAGE_ROWS, [names.ids, names.images]) if with_images else (_ID_ROWS, [names.ids])
            for batch in file.iter_batches(rows, columns=columns):
                if batch.column(names.ids).null_count:
                    raise InputError(f"{path}: an image has null as its id")
                ids = batch.column(names.ids).to_pylist()
                images = batch.column(names.images).to_pylist() if with_images else ids
                if with_images:
                    images = map(_raw_bytes if names.raw else _base64_text, images)
                yield from zip(ids, images, strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _raw_bytes(image: object) -> object:
    """Return the bytes in a value of the Image feature of `datasets`: {"bytes": ..., "path": ...}."""
    return image.get("bytes") if isinstance(image, dict) else image


def _base64_text(image: object) -> object:
    """Return base64 that was stored as bytes as text, which the loader decodes alike."""
    return image.decode("ascii") if isinstance(image, bytes) and image.isascii() else image


class DecodeLevel(StrEnum):
    """How thoroughly to check an image.

    A quick check reads the header, the checksums (of PNG) and the end; it decodes an image only if these are odd or
    absent. It takes 20 to 40 microseconds per image; decoding 224 x 224 pixels takes 180 (JPEG) to 760 (PNG).
    """

    NONE = "none"
    QUICK = "quick"
    FULL = "full"


def require_pillow() -> None:
    """Raise `ConfigError` if Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401 - tests that it can be imported
    except ImportError as error:
        raise ConfigError(
            f"Checking images needs Pillow: {install_hint('images')}; or skip them with --decode none"
        ) from error


def check_images(images: Iterable[tuple[str, object]], level: DecodeLevel) -> Iterator[tuple[str, str]]:
    """Check images, given as (id, base64 text or bytes); yield (id, fault) in the same order, "" if good.

    Holds a few MB of images in memory. Needs Pillow.
    """
    cores = os.cpu_count() or 1
    waiting: deque[Future[list[tuple[str, str]]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for batch in _batches(images):
            waiting.append(pool.submit(_check_batch, batch, level))
            if len(waiting) > cores:
                yield from waiting.popleft().result()
        for future in waiting:
            yield from future.result()


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


def _check_batch(batch: Iterable[tuple[str, object]], level: DecodeLevel) -> list[tuple[str, str]]:
    return [(name, _fault(encoded, level)) for name, encoded in batch]


def _fault(encoded: object, level: DecodeLevel) -> str:
    """Return what is wrong with one image, in a few words; "" for a good image."""
    from PIL import Image  # imported here and below, because Pillow is optional

    if not isinstance(encoded, (str, bytes)):
        return "expected text"
    if level is DecodeLevel.QUICK and isinstance(encoded, str) and _is_intact_jpeg(encoded):
        return ""
    try:
        data = encoded if isinstance(encoded, bytes) else _decode_base64(encoded)
    except (binascii.Error, ValueError) as error:
        return f"not base64: {error}"
    try:
        if level is DecodeLevel.FULL or not _is_intact(data):
            with Image.open(io.BytesIO(data)) as image:
                _check_size(image)
                image.draft("L", (1, 1))  # reads all of a JPEG, but makes an image of an eighth of each side
                image.load()
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything for unchecked bytes
        return _describe_error(error)
    return ""


def _is_intact_jpeg(encoded: str) -> bool:
    """Return whether this is a JPEG with a good header and end, and base64 between them. False if in doubt.

    Decodes only both ends: decoding the base64 of the whole image would take longer than all the rest.
    """
    from PIL import Image

    if not encoded.startswith(_BASE64_OF_JPEG) or len(encoded) % 4:
        return False
    try:
        if encoded.encode("ascii").rstrip(b"=").translate(None, _BASE64_ALPHABET):
            return False
        with Image.open(io.BytesIO(binascii.a2b_base64(encoded[:_HEAD_LENGTH]))) as image:
            _check_size(image)
        return binascii.a2b_base64(encoded[-8:]).endswith(_END_OF_JPEG)
    except Exception:  # noqa: BLE001 - the full check will report it
        return False


def _decode_base64(encoded: str) -> bytes:
    """Decode as `base64.urlsafe_b64decode`, in half the time if there is nothing to replace."""
    plain = encoded.translate(_URL_ALPHABET) if "-" in encoded or "_" in encoded else encoded
    return binascii.a2b_base64(plain)


def _is_intact(data: bytes) -> bool:
    """Return whether header, checksums and end are intact; False if there are none. Raises what Pillow raises."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        _check_size(image)
        image.verify()
        kind = image.format
    return kind == "PNG" or (kind == "JPEG" and data.endswith(_END_OF_JPEG))


def _check_size(image: ImageFile) -> None:
    """Raise ValueError for an image so large that Pillow warns of it, and Otter's loader would fail.

    This does not use Pillow's own limit: that holds for the whole process, and may have been lifted.
    """
    pixels = image.width * image.height
    if pixels > _MAX_PIXELS:
        raise ValueError(f"Image size ({pixels} pixels) exceeds limit of {_MAX_PIXELS} pixels")


def _describe_error(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its message ends in a memory address
        return "not an image that Pillow can read"
    return str(error).partition("\n")[0] or type(error).__name__
