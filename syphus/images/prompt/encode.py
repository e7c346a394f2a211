"""An image as its bytes, its size, or a data URL; what is wrong with it is an `ImageError`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from syphus.errors import ImageError
from syphus.images.convert_options import EncodeOptions
from syphus.images.pixels import BadImageError, convert_still, measure, read_file

_AS_IT_IS = EncodeOptions(size=None)


def file_bytes(name: str, path: Path) -> bytes:
    """The bytes of an image file."""
    with _named(name):
        return read_file(path)


def measured(name: str, data: bytes) -> tuple[int, int, str]:
    """Width and height when upright, and the format where it can go out as it is, else ""."""
    with _named(name):
        return measure(data, _AS_IT_IS)


def encoded(name: str, data: bytes, width: int, height: int, form: str) -> bytes:
    """The data URL (RFC 2397) of an image of this size, in pixels; encoded anew only where that is needed."""
    with _named(name):
        ready = convert_still(data, replace(_AS_IT_IS, size=(width, height), passing=(form,)))
    return b"data:image/%b;base64,%b" % (form.lower().encode(), base64.b64encode(ready))


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except BadImageError as error:
        raise ImageError(name, str(error)) from error
