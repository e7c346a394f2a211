"""The bytes of an image file, its size, and its data URL. A problem with an image raises `ImageError` with its name."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from syphus.errors import ImageError
from syphus.images.convert_options import EncodeOptions
from syphus.images.pixels import BadImageError, convert_still, measure, read_file

_UNCHANGED = EncodeOptions(size=None)


def read_image_file(name: str, path: Path) -> bytes:
    """Read an image file."""
    with _image_errors(name):
        return read_file(path)


def measure_image(name: str, data: bytes) -> tuple[int, int, str]:
    """Return width and height when upright, and the format if the file can be sent as it is, else ""."""
    with _image_errors(name):
        return measure(data, _UNCHANGED)


def data_url(name: str, data: bytes, width: int, height: int, image_format: str) -> bytes:
    """Return the data URL (RFC 2397) of an image in this size in pixels. It is encoded again only if necessary."""
    with _image_errors(name):
        options = replace(_UNCHANGED, size=(width, height), passthrough_formats=(image_format,))
        encoded = convert_still(data, options)
    return b"data:image/%b;base64,%b" % (image_format.lower().encode(), base64.b64encode(encoded))


@contextmanager
def _image_errors(name: str) -> Iterator[None]:
    try:
        yield
    except BadImageError as error:
        raise ImageError(name, str(error)) from error
