"""Photos from where they are on the web into a folder, which then has them for good: politely, in any number of goes.

Requests leave at a steady rate, a few at once; 429 and 503 are waited for as the server says, other faults are tried
again after growing waits. A photo that is gone is noted, and not asked for again: a status that says so, or Flickr's
picture "this photo is no longer available", known by its name, or because several photos are the very same small file.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urljoin, urlsplit

import aiohttp

from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.endpoints.transport import ssl_context
from syphus.errors import ProviderError
from syphus.io.durable import storage_faults
from syphus.version import __version__

# FOLDED from downloads.py:
# What was learned about photos while they were downloaded: an SQLite file in their folder, `.downloads.sqlite`.

FILE = ".downloads.sqlite"
_SMALL = 1 << 16  # bytes; a placeholder is small
_ALIKE = 3  # photos that are the very same file are none
_SCHEMA = """
CREATE TABLE IF NOT EXISTS missing (path TEXT PRIMARY KEY, reason TEXT NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS small (digest BLOB NOT NULL, path TEXT NOT NULL, PRIMARY KEY (digest, path)) WITHOUT ROWID;
"""


class DownloadLog:
    """The notes of a folder, made as soon as something is learned. Paths are kept relative to the folder.

    Raises `StorageError` where the disk fails, or the file is broken.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        with storage_faults(self._path):
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.execute("PRAGMA synchronous = OFF")  # what is lost by a power cut is learned again
            self._db.executescript(_SCHEMA)

    def is_gone(self, path: Path) -> bool:
        """Whether it is known that nobody will get this photo."""
        found = self._run("SELECT gone FROM missing WHERE path = ?", (self._name(path),)).fetchone()
        return bool(found and found[0])

    def reason(self, path: Path) -> str:
        """Why a photo could not be had; "" where nobody has tried."""
        row = self._run("SELECT reason, gone FROM missing WHERE path = ?", (self._name(path),)).fetchone()
        return "" if row is None else f"expired: {row[0]}" if row[1] else f"could not be downloaded: {row[0]}"

    def note(self, path: Path, reason: str, *, gone: bool) -> None:
        """Notes why a photo could not be had."""
        self._run("INSERT OR REPLACE INTO missing VALUES (?, ?, ?)", (self._name(path), reason, gone))

    def same_as(self, path: Path, digest: bytes, size: int) -> list[Path]:
        """Other photos that are the very same small file, once there are several: then none is a photo, and all these
        are noted as gone.
        """
        if size > _SMALL:
            return []
        self._run("INSERT OR IGNORE INTO small VALUES (?, ?)", (digest, self._name(path)))
        names = [name for (name,) in self._run("SELECT path FROM small WHERE digest = ?", (digest,))]
        if len(names) < _ALIKE:
            return []
        others = [self._folder / name for name in names if name != self._name(path)]
        for other in others:
            self.note(other, "the same picture as other photos: a placeholder", gone=True)
        return others

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _run(self, sql: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        with storage_faults(self._path):
            return self._db.execute(sql, values)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(path)


Wish: TypeAlias = tuple[Path, tuple[str, ...]]  #: where a photo belongs, and where it can be had, the best first

_GONE = frozenset({401, 403, 404, 410, 451})
_BUSY = frozenset({429, 503})
_HOPS = 5
_LARGEST = 1 << 26  # bytes
_PLACEHOLDER = "unavailable"  # photo_unavailable.png, where Flickr sends those who ask for a photo that is gone
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_HOPELESS = 20  # failures in a row without any photo before


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """How hard servers are asked: requests a second, how many at once, attempts for a photo, and waits in seconds."""

    per_second: float = 5.0
    at_once: int = 4
    attempts: int = 4
    first_wait: float = 1.0
    timeout: float = 60.0
    longest_wait: float = 300.0


class DownloadResult(NamedTuple):
    """What came of it, in numbers; `there` had been got before."""

    new: int
    there: int
    gone: int
    failed: int


class _GoneError(Exception):
    """A photo that nobody will get any more."""


class _FailedError(Exception):
    """An attempt that may fare better later; `wait` is how long the server wants to be left alone."""

    def __init__(self, told: str, wait: float = 0.0) -> None:
        super().__init__(told)
        self.wait = wait


def download(
    wishes: Iterable[Wish], folder: Path, manners: DownloadPolicy, tick: Callable[[int, int], None], seed: int = 0
) -> DownloadResult:
    """Gets what is not in the folder yet; `tick` hears how many photos were looked at, and how many of them got.

    Raises `ProviderError` where nothing can be got at all, `StorageError` where the disk fails.
    """
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with closing(DownloadLog(folder)) as downloads:
        getter = _Getter(folder.resolve(), manners, downloads, tick, random.Random(seed))
        return asyncio.run(getter.get_all(wishes))


class _Getter:
    def __init__(
        self,
        folder: Path,
        manners: DownloadPolicy,
        downloads: DownloadLog,
        tick: Callable[[int, int], None],
        rng: random.Random,
    ) -> None:
        self._folder = folder
        self._manners = manners
        self._downloads = downloads
        self._tick = tick
        self._rng = rng
        self._turn = asyncio.Lock()
        self._next_at = 0.0
        self._in_a_row = 0
        self._counts = {"new": 0, "there": 0, "gone": 0, "failed": 0}

    async def get_all(self, wishes: Iterable[Wish]) -> DownloadResult:
        queue: asyncio.Queue[Wish | None] = asyncio.Queue(4 * self._manners.at_once)
        timeout = aiohttp.ClientTimeout(total=self._manners.timeout)
        headers = {"User-Agent": f"syphus/{__version__} (research datasets)", "Accept": "image/*"}
        connector = aiohttp.TCPConnector(limit=self._manners.at_once, ssl=ssl_context())
        async with aiohttp.ClientSession(
            timeout=timeout, headers=headers, connector=connector, trust_env=True
        ) as self._session:
            try:
                await self._share_out(wishes, queue)
            except BaseExceptionGroup as group:  # the first fault is the cause
                raise group.exceptions[0] from None
        return DownloadResult(**self._counts)

    async def _share_out(self, wishes: Iterable[Wish], queue: asyncio.Queue[Wish | None]) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._manners.at_once):
                group.create_task(self._work(queue))
            for wish in wishes:
                await self._hand_out(wish, queue)
            for _ in range(self._manners.at_once):
                await queue.put(None)

    async def _hand_out(self, wish: Wish, queue: asyncio.Queue[Wish | None]) -> None:
        path, _ = wish
        if path.is_file():
            self._count("there")
        elif self._downloads.is_gone(path):
            self._count("gone")
        else:
            await queue.put(wish)

    async def _work(self, queue: asyncio.Queue[Wish | None]) -> None:
        while (wish := await queue.get()) is not None:
            await self._get(*wish)

    async def _get(self, path: Path, urls: tuple[str, ...]) -> None:
        """Tries each URL in its turn; of a photo that is gone, the last reason counts."""
        told: Exception = _GoneError("no URL")
        for url in urls:
            try:
                await self._persist(path, url)
            except (_GoneError, _FailedError) as error:
                told = told if isinstance(told, _FailedError) else error
            else:
                self._in_a_row = 0
                self._count("new")
                return
        gone = isinstance(told, _GoneError)
        self._downloads.note(path, str(told), gone=gone)
        self._count("gone" if gone else "failed")
        self._in_a_row = 0 if gone else self._in_a_row + 1
        if self._in_a_row >= _HOPELESS and not self._counts["new"]:
            raise ProviderError(f"No photo can be downloaded ({urlsplit(urls[-1]).netloc}: {told}).")

    async def _persist(self, path: Path, url: str) -> None:
        wait = self._manners.first_wait
        for attempt in range(1, self._manners.attempts + 1):
            await self._wait_for_turn()
            try:
                await self._fetch(path, url)
                return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failed = _FailedError(" ".join(str(error).split())[:200] or type(error).__name__)
            except _FailedError as error:
                failed = error
            if attempt == self._manners.attempts:
                raise failed
            if failed.wait:
                self._next_at = max(self._next_at, time.monotonic() + min(failed.wait, self._manners.longest_wait))
            else:
                await asyncio.sleep(wait * (1 + self._rng.random()))
                wait *= 2

    async def _wait_for_turn(self) -> None:
        """Requests leave one by one, so many a second."""
        async with self._turn:
            while (left := self._next_at - time.monotonic()) > 0:  # noqa: ASYNC110 - it may be put off meanwhile
                await asyncio.sleep(left)
            self._next_at = time.monotonic() + 1 / self._manners.per_second

    async def _fetch(self, path: Path, url: str) -> None:
        for _ in range(_HOPS):
            if _PLACEHOLDER in urlsplit(url).path:
                raise _GoneError("Flickr's picture for photos that are not available")
            async with self._session.get(url, allow_redirects=False) as reply:
                if 300 <= reply.status < 400 and "location" in reply.headers:
                    url = urljoin(url, reply.headers["location"])
                    if urlsplit(url).scheme not in ("http", "https"):
                        raise _GoneError("leads to no web page")
                    continue
                await self._take(path, reply)
                return
        raise _GoneError("leads in a circle")

    async def _take(self, path: Path, reply: aiohttp.ClientResponse) -> None:
        if reply.status in _GONE:
            raise _GoneError(f"status {reply.status}")
        if reply.status in _BUSY:
            raise _FailedError(f"status {reply.status}", retry_wait(reply.headers, "", time.time()) or 0.0)
        if reply.status != 200:
            raise _FailedError(f"status {reply.status}")
        data = b"".join([chunk async for chunk in _bounded(reply)])
        if not data.startswith(_SIGNATURES) and data[4:8] != b"ftyp":
            raise _GoneError(f"no image but {reply.content_type}")
        if same := self._downloads.same_as(path, hashlib.blake2b(data, digest_size=16).digest(), len(data)):
            for other in same:
                other.unlink(missing_ok=True)
            raise _GoneError("the same picture as other photos: a placeholder")
        self._put(path, data)

    def _put(self, path: Path, data: bytes) -> None:
        if not path.resolve().is_relative_to(self._folder):
            raise _GoneError("belongs outside of the folder of the images")
        with storage_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.partial")
            temporary.write_bytes(data)
            temporary.replace(path)

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        self._tick(sum(self._counts.values()), self._counts["new"])


async def _bounded(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in reply.content.iter_chunked(1 << 16):
        size += len(chunk)
        if size > _LARGEST:
            raise _GoneError(f"larger than {_LARGEST >> 20} MiB")
        yield chunk
