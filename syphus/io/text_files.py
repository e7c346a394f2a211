"""Reads text files: UTF-8 with or without a byte order mark, or UTF-16 with one, gzipped or not.

Encoding and compression are detected by content, not by name. Bytes are read in chunks and decoded strictly. A problem
halfway is kept as a `problem`, so that a reader can use everything before it and then name the record where it stopped.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from syphus.errors import InputError, short_name
from syphus.storage.addresses import as_url

#: How files begin that hold no text (or compressed text), what they are, and what to do.
_BINARY = (
    (b"PK\x03\x04", "a ZIP or Excel file", "unzip it, or save the sheet as CSV in UTF-8"),
    (b"PK\x05\x06", "an empty ZIP file", "unzip the right one"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save the sheet as CSV in UTF-8"),
    (b"PAR1", "a Parquet file", "read it with read_parquet"),
    (b"ARROW1", "an Arrow file", "read its folder with read_hf"),
    (b"%PDF", "a PDF file", "annotations are needed as text"),
    (b"SQLite format 3\0", "a SQLite database", "export the table as CSV"),
    (b"BZh", "a bzip2 file", "unpack it, or compress it with gzip"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it, or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file", "unpack it"),
    (b"\x89PNG", "an image", "name the annotations here, and the images with --images"),
    (b"\xff\xd8\xff", "an image", "name the annotations here, and the images with --images"),
    (b"GIF8", "an image", "name the annotations here, and the images with --images"),
    (b"\x80\x04\x95", "a pickle file", "save its content as JSON Lines"),
    (b"\x93NUMPY", "a NumPy file", "save its content as JSON Lines"),
)
_EXPANSION = 200  # maximum factor for gzip files; annotations expand by 4 to 30, bombs by 1,000
_FREE_EXPANSION = 1 << 26  # bytes that are allowed for any gzip file
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe, which can be read only once"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_file(path: str | Path, pipes: bool = False) -> io.BufferedReader:
    """Open a file to read its bytes, and never wait for another process.

    Raises `OSError`, and `InputError` for a folder, a device, or, without `pipes`, a pipe. A pipe that nobody has
    opened to write is empty.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    is_pipe = pipes and stat.S_ISFIFO(mode)
    kind = "" if is_pipe else next((name for is_kind, name in _KINDS if is_kind(mode)), "")
    if kind:
        os.close(descriptor)
        raise InputError(f"{path} is {kind}; a file is needed")
    if is_pipe:
        os.set_blocking(descriptor, True)
    return open(path, "rb", opener=lambda *_: descriptor)  # so that the file has its name in errors


def local_file(path: str | Path) -> str:
    """Return a path as it is, and for a URL the path of its local copy. Raises `InputError`, `ConfigError`."""
    if not as_url(path):
        return str(path)
    from syphus.storage.local_copies import local_path  # few inputs are URLs

    return local_path(path)


def missing(path: str | Path, kind: str = "file or folder") -> str:
    """Return `<path>: no such <kind>`, or why what has this name can't be used: a broken link, a circle, a pipe."""
    shown = short_name(path)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - any text may be a path
    except OSError as error:
        if error.errno == errno.ELOOP:
            return f"{shown}: a link that leads back to itself"
        if os.path.islink(path):  # noqa: PTH114 - as above
            return f"{shown}: a link to {short_name(Path(path).readlink())}, which does not exist"
        is_absent = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return f"{shown}: no such {kind}" if is_absent else f"{shown}: {error.strerror}"
    found = next((name for is_kind, name in _KINDS if is_kind(mode)), "a file")
    return f"{shown}: {found}; a {kind} is needed"


class ReadingShare:
    """How much of the files is read that are being read: the bytes so far, and those of all files opened so far."""

    def __init__(self) -> None:
        self._done = self._size = 0

    def begin(self, size: int) -> None:
        """Add a file of `size` bytes."""
        self._size += size

    def add(self, count: int) -> None:
        """Count bytes that were read."""
        self._done += count

    @property
    def share(self) -> float | None:
        """The share that is read, from 0 to 1; None before a file is open, and for a pipe."""
        return min(1.0, self._done / self._size) if self._size else None


#: Gets what the readers read; None if nobody wants to know.
reading_share: ContextVar[ReadingShare | None] = ContextVar("reading_share", default=None)


class TextSource:
    """The text of the file at `path`, which may be a URL, chunk by chunk; `problem` says why it ended early, or is "".

    `encoding` is for files that are neither UTF-8 nor UTF-16 with a byte order mark. The caller must close it. Raises
    `InputError` if the file can't be opened, holds no text, or is a pipe although `pipes` is not set.
    """

    def __init__(self, path: str, pipes: bool = False, encoding: str = "") -> None:
        self.path = path
        self.problem = ""
        self.keeps_invalid = False  #: the caller looks for bytes that are not UTF-8: each is half a surrogate pair
        self.invalid = ""  #: what is wrong with the first of them
        self._encoding = _known_encoding(encoding)
        try:
            self._raw = open_file(local_file(path), pipes)
            size = os.fstat(self._raw.fileno()).st_size
            start = self._raw.peek(16)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        if found := binary_kind(start):
            self._raw.close()
            raise InputError(f"{path} is {found}")
        zipped = start.startswith(b"\x1f\x8b")
        self._file: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=self._raw) if zipped else self._raw
        self._left = max(_FREE_EXPANSION, _EXPANSION * size) if zipped else None
        self._decode: Callable[[bytes, bool], str] | None = None
        self._position = 0  # in the file as it is on the disk
        self._shown_to = reading_share.get()
        if self._shown_to is not None:
            self._shown_to.begin(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()

    def read(self, size: int) -> str:
        """Return the text of about `size` more bytes; "" only at the end and after a problem."""
        while True:
            data = self._bytes(size)
            text = self._clean(self._text(data))
            if text or not data:  # bytes without text are a byte order mark or part of a character
                return text

    def _bytes(self, size: int) -> bytes:
        if self.problem:
            return b""
        try:
            data = self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            self.problem = f"can't be read: {error}"
            return b""
        if self._shown_to is not None and self._raw.seekable():
            position, self._position = self._position, self._raw.tell()
            self._shown_to.add(self._position - position)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.problem = f"expands to more than {_EXPANSION} times its size: refused as a compression bomb"
                return b""
        return data

    def _text(self, data: bytes) -> str:
        if self._decode is None:
            found = ((bom, name) for bom, name in _BOMS if data.startswith(bom))
            bom, encoding = next(found, (b"", self._encoding or "utf-8"))
            self._decode, data = codecs.getincrementaldecoder(encoding)().decode, data[len(bom) :]
        try:
            return self._decode(data, not data and not self.problem)
        except UnicodeDecodeError as error:
            problem = f"invalid {error.encoding.upper()} ({error.reason}){_encoding_hint(error)}"
            if self.keeps_invalid and error.encoding == "utf-8" and error.reason != "unexpected end of data":
                self.invalid = problem
                self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
                return self._decode(error.object, not data)
            self.problem = problem
            return error.object[: error.start].decode(error.encoding)

    def _clean(self, text: str) -> str:
        before, nul, _ = text.partition("\0")
        if nul:
            self.problem = "NUL bytes: a torn file, or UTF-16 without a byte order mark"
        return before


def binary_kind(start: bytes) -> str:
    """Return what a file is that begins with these bytes and holds no text, and what to do; or ""."""
    return next((f"{kind}; {remedy}" for magic, kind, remedy in _BINARY if start.startswith(magic)), "")


def _known_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name if name else ""
    except LookupError as error:
        raise InputError(f"there is no encoding {name!r}; common ones are utf-8, cp1252, gb18030, shift_jis") from error


def _encoding_hint(error: UnicodeDecodeError) -> str:
    """Return what a file may be that is not UTF-8, and how to convert it; nothing if it is just cut off."""
    if error.encoding != "utf-8" or error.reason == "unexpected end of data":
        return ""
    return "; if it is Latin-1, convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"


def read_text(path: str | Path, limit: int) -> str:
    """Return the whole text of a small file or a pipe. Raises `InputError`, also if it is larger than `limit` bytes."""
    source = TextSource(str(path), pipes=True)
    try:
        text = source.read(limit)
        if source.read(4) and not source.problem:
            raise InputError(f"{path}: larger than {limit:,} bytes")
    finally:
        source.close()
    if source.problem:
        raise InputError(f"{path}: line {text.count(chr(10)) + 1}: {source.problem}")
    return text


def text_problem(text: str) -> str:
    """Return why `text` can't be written as strict JSON in UTF-8, or ""."""
    if "\0" in text:
        return "holds a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"holds half a surrogate pair (U+{ord(text[error.start]):04X})"
    return ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record is in a file."""

    path: str  #: as the user named it
    number: int  #: of the record, from 1
    line: int  #: first line of the record, from 1; 0 if the file has no lines
    part: str = ""  #: key of the list that holds the record, in a file that is an object of lists

    @property
    def record(self) -> tuple[str, int]:
        """A unique key of the record: the file (with the key of the list, if any) and the number."""
        return _named(self.path, self.part), self.number

    def __str__(self) -> str:
        return f"{_named(self.path, self.part)} record {self.number}" + (f" (line {self.line})" if self.line else "")


@dataclass(slots=True)
class BadRecords:
    """Collects bad records so that reading continues, instead of stopping at the first."""

    problems: list[str] = field(default_factory=list)  #: of bad lines and skipped records read so far
    skipped: dict[tuple[str, int], str] = field(default_factory=dict)  #: by `Position.record`: why it is skipped
    has_parallel_files: bool = False  #: files are read side by side, so skipping a record would shift one of them

    def skip_reason(self, path: str, part: str, number: int) -> str:
        """Return why a record is skipped, or ""."""
        return self.skipped.get((_named(path, part), number), "") if self.skipped else ""


bad_records: ContextVar[BadRecords | None] = ContextVar("bad_records", default=None)


def _named(path: str, part: str) -> str:
    return f"{path}: {part}," if part else f"{path}:"
