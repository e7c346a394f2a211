"""Folders that files are written to, local or by URL, and writes that hold only if nobody else wrote meanwhile.

A conditional write is what keeps a place to one owner. What it rests on:

- S3 and its kin: `If-None-Match: *` and `If-Match: ETag` of the request itself; of two writers, one gets error 412.
- a local folder: the file is linked into its place, or replaced under a lock.
- everything else: whether a file is there, or unchanged, is looked up just before it is written. Two processes that
  write within the same moment could both believe that they were first.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from syphus.errors import InputError, writing_error_type
from syphus.storage.addresses import as_url, join_url
from syphus.storage.remote_files import connect, error_code, remote_faults

T = TypeVar("T")

_PARALLEL = 4  # files that are sent at once
_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"})
_NO_CONDITIONS = frozenset({"NotImplemented", "501"})  # servers of S3 that do not know the condition


class ChangedError(Exception):
    """A file that is written on a condition is there already, or is another one than expected."""


class VersionedContent(NamedTuple):
    """The content of a file, and its version for `write_if`."""

    content: bytes
    version: str


class Folder(Protocol):
    """A folder of files by names such as `a/b.json`. `name` is for messages.

    Raises `RunError` or `InputError` for what the user must change, and `StorageError` for what may work later.
    """

    name: str

    def read(self, file: str) -> VersionedContent | None:
        """Return a file; None if it is missing."""

    def write(self, file: str, content: bytes | Path) -> None:
        """Write a file, from bytes or from a local file, so that it appears at once and whole."""

    def write_if(self, file: str, content: bytes, version: str | None) -> None:
        """Write a small file if it has this version, or is missing if that is None. Raises `ChangedError`."""

    def names(self, below: str) -> set[str]:
        """Return the names of all files below a name."""

    def remove(self, files: Iterable[str]) -> None:
        """Remove files that are there."""


def open_folder(place: str | Path) -> Folder:
    """Return the folder at a path or URL, which need not exist. Raises `ConfigError` if a package is missing."""
    url = as_url(place)
    if url.startswith(("file://", "local://")) and "::" not in url:  # with locks, and folders that are made
        return _LocalFolder(Path(url.partition("://")[2]))
    return _RemoteFolder(url) if url else _LocalFolder(Path(place).absolute())


def in_parallel(do: Callable[[T], object], items: Sequence[T]) -> None:
    """Do something with each item, some at a time. Raises the first error."""
    with ThreadPoolExecutor(_PARALLEL, "send") as threads:
        for _ in threads.map(do, items):
            pass


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


class _LocalFolder:
    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def read(self, file: str) -> VersionedContent | None:
        try:
            content = (self._path / file).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{self._path / file}: {error.strerror}") from error
        return VersionedContent(content, _digest(content))

    def write(self, file: str, content: bytes | Path) -> None:
        self._guard(lambda: self._partial(file, content).replace(self._path / file))

    def write_if(self, file: str, content: bytes, version: str | None) -> None:
        self._guard(lambda: self._write_if(file, content, version))

    def _write_if(self, file: str, content: bytes, version: str | None) -> None:
        target, partial = self._path / file, self._partial(file, content)
        lock = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held for a moment; on NFS it holds for all hosts
            present = self.read(file)
            if (present.version if present else None) != version:
                raise ChangedError
            if version is None:
                os.link(partial, target)  # fails if it is there, also without the lock
            else:
                partial.replace(target)
        except FileExistsError:
            raise ChangedError from None
        finally:
            partial.unlink(missing_ok=True)
            os.close(lock)

    def names(self, below: str) -> set[str]:
        found = (each for each in (self._path / below).rglob("*") if each.is_file() and not each.name.startswith("."))
        return {str(each.relative_to(self._path)) for each in found}

    def remove(self, files: Iterable[str]) -> None:
        for file in files:
            self._guard(lambda file=file: (self._path / file).unlink(missing_ok=True))  # type: ignore[misc]  # bound now

    def _partial(self, file: str, content: bytes | Path) -> Path:
        """Write a new file beside its place, and make it durable."""
        target = self._path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        with partial.open("wb") as out:
            if isinstance(content, bytes):
                out.write(content)
            else:
                with content.open("rb") as source:
                    while data := source.read(1 << 20):
                        out.write(data)
            out.flush()
            os.fsync(out.fileno())
        return partial

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            raise writing_error_type(error)(f"{self._path} can't be written: {error.strerror or error}.") from error


class _RemoteFolder:
    def __init__(self, url: str) -> None:
        self.name = url
        self._files, _ = connect(url)
        protocols = self._files.protocol
        self._has_conditions = "s3" in ((protocols,) if isinstance(protocols, str) else protocols)

    def _path(self, file: str) -> str:
        return str(self._files._strip_protocol(join_url(self.name, file)))

    def read(self, file: str) -> VersionedContent | None:
        path = self._path(file)
        with remote_faults(self.name):
            while True:
                before = self._version(path)
                if before is None:
                    return None
                try:
                    content: bytes = self._files.cat_file(path)
                except FileNotFoundError:
                    continue
                if not self._has_conditions:
                    return VersionedContent(content, _digest(content))
                if self._version(path) == before:  # else it was written meanwhile
                    return VersionedContent(content, before)

    def _version(self, path: str) -> str | None:
        """Return the version of a file; None if it is missing. Raises `FileNotFoundError` without a bucket."""
        self._files.invalidate_cache()
        try:
            info = self._files.info(path)
        except FileNotFoundError as error:
            if error_code(error) in ("NoSuchBucket", "404"):
                raise
            return None
        return str(info.get("ETag") or "unknown")

    def write(self, file: str, content: bytes | Path) -> None:
        path = self._path(file)
        with remote_faults(self.name, writing=True):
            if isinstance(content, bytes):
                self._files.pipe_file(path, content)
            else:
                self._files.put_file(str(content), path)

    def write_if(self, file: str, content: bytes, version: str | None) -> None:
        path = self._path(file)
        try:
            with remote_faults(self.name, writing=True):
                if self._has_conditions and self._written_on_condition(path, content, version):
                    return
                present = self.read(file)
                if (present.version if present else None) != version:
                    raise FileExistsError
                is_new = version is None and not self._has_conditions
                self._files.pipe_file(path, content, **({"mode": "create"} if is_new else {}))
        except FileExistsError:
            raise ChangedError from None

    def _written_on_condition(self, path: str, content: bytes, version: str | None) -> bool:
        """Write with a condition of S3; return False if the server does not know it. Raises `FileExistsError`."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            self._files.pipe_file(path, content, **condition)
        except Exception as error:
            if error_code(error) in _REFUSED:
                raise FileExistsError from error
            if error_code(error) in _NO_CONDITIONS:
                return False
            raise
        return True

    def names(self, below: str) -> set[str]:
        root = self._path(below)
        with remote_faults(self.name):
            self._files.invalidate_cache()
            try:
                found = self._files.find(root)
            except FileNotFoundError:
                return set()
        prefix = self._path("").strip("/")
        return {name.strip("/").removeprefix(prefix).strip("/") for name in found}

    def remove(self, files: Iterable[str]) -> None:
        paths = [self._path(file) for file in files]
        with remote_faults(self.name, writing=True):
            if paths:
                self._files.rm(paths)
