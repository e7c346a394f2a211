"""Read a JSON store, `{"SD_IMG_00058_1": "<base64>", ...}`, without loading it: the file is mapped into memory.

The file is UTF-8, with or without a byte order mark. Anything but one object of strings raises `InputError`; null, a
number or a list in the place of a string is the fault of that image alone.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from syphus.errors import ImageError, InputError
from syphus.images.parquet_store import stored_image

_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_SPACE = rb"[ \t\r\n]*+"
_START = re.compile(rb"(?:\xef\xbb\xbf)?" + _SPACE + rb"\{" + _SPACE)
_OTHER = rb'((?:[^"\[\]{},]|\[[^\[\]{}]*+\])++)'  # null, a number, a list
_ITEM = re.compile(
    _TEXT + _SPACE + rb":" + _SPACE + rb"(?:" + _TEXT + rb"|" + _OTHER + rb")" + _SPACE + rb"([,}])" + _SPACE
)


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
