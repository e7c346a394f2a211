"""Receives an uploaded file: a multipart form, read piece by piece.

`aiohttp`'s own reader warns of its own deprecated calls, and is slow for files of hundreds of megabytes.
"""

from __future__ import annotations

import re
from email.message import Message
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aiohttp import web

from syphus.simulator.chat_request import bad_request

_NAME = re.compile(rb'\bname="?([^";\r\n]+)')
_FILENAME = re.compile(rb'\bfilename="?([^";\r\n]*)')
_MOST_HEADERS = 1 << 14
_LONGEST_FIELD = 1 << 16
_FILE = "file"


class Upload(NamedTuple):
    """A received file: its name, its size in bytes, and the other fields of the form."""

    filename: str
    size: int
    fields: dict[str, str]


async def receive(request: web.BaseRequest, path: Path) -> Upload:
    """Write the uploaded file to `path`. Raises `Rejected` if the body is no form with a file."""
    header = Message()
    header["Content-Type"] = request.headers.get("Content-Type", "")
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise bad_request("Expected a multipart form.", None, None)
    form = _Form(request, b"\r\n--" + boundary.encode("latin-1"))
    fields: dict[str, str] = {}
    filename, size = "", -1
    await form.skip()
    while (headers := await form.headers()) is not None:
        name = _first(_NAME, headers)
        if name == _FILE:
            filename = _first(_FILENAME, headers)
            with path.open("wb") as file:
                size = await form.copy(file)
        else:
            fields[name] = (await form.field()).decode(errors="replace")
    if size < 0:
        raise bad_request("'file' is a required property", _FILE, None)
    return Upload(filename, size, fields)


def _first(pattern: re.Pattern[bytes], text: bytes) -> str:
    found = pattern.search(text)
    return found[1].decode(errors="replace") if found else ""


class _Form:
    """The parts of a form that is being received."""

    def __init__(self, request: web.BaseRequest, delimiter: bytes) -> None:
        self._content = request.content
        self._delimiter = delimiter
        self._held = b"\r\n"  # so that the first delimiter looks like all others

    async def _more(self) -> None:
        piece = await self._content.readany()
        if not piece:
            raise bad_request("The multipart form ends too early.", None, None)
        self._held += piece

    async def skip(self) -> None:
        """Skip to after the next delimiter."""
        await self.field()

    async def headers(self) -> bytes | None:
        """Return the headers of the next part; None if there is none."""
        while len(self._held) < 2:
            await self._more()
        if self._held.startswith(b"--"):
            await self._content.read()
            return None
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > _MOST_HEADERS:
                raise bad_request("A part of the form has too many headers.", None, None)
            await self._more()
        headers, self._held = self._held[:end], self._held[end + 4 :]
        return headers

    async def field(self) -> bytes:
        """Return the content of a short part, and skip its delimiter."""
        while (end := self._held.find(self._delimiter)) < 0:
            if len(self._held) > _LONGEST_FIELD:
                raise bad_request("A field of the form is too long.", None, None)
            await self._more()
        content, self._held = self._held[:end], self._held[end + len(self._delimiter) :]
        return content

    async def copy(self, file: BinaryIO) -> int:
        """Write the content of a part into `file`, skip its delimiter, and return the bytes that were written."""
        size, kept = 0, len(self._delimiter) - 1
        while (end := self._held.find(self._delimiter)) < 0:
            ready = max(0, len(self._held) - kept)
            size += file.write(self._held[:ready])
            self._held = self._held[ready:]
            await self._more()
        size += file.write(self._held[:end])
        self._held = self._held[end + len(self._delimiter) :]
        return size
