"""Download photos from the web into a folder, politely. A stopped download resumes where it was.

Requests leave at a steady rate, a few at a time. After 429 or 503, all requests pause for as long as the server asks;
other failures are retried with growing waits. A photo that is gone is noted by its address, and never requested again.
It is gone if the status says so, if Flickr redirects to its picture "this photo is no longer available", or if several
photos turn out to be the same small file.

A page, an empty reply or a server error says nothing about a photo: it is requested again by the next download. Where
many different photos of a host fail in a row, the host is left out; if no other host has photos either, the download
stops with all of them still to do.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import urljoin

import aiohttp
from asyncio_throttle.throttler import Throttler
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)
from yarl import URL

from syphus.endpoints.connections import wait_awake
from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.endpoints.transport import ssl_context
from syphus.images.convert_state import PLACEHOLDER_REASON, DownloadLog
from syphus.images.photo_hosts import (
    SHOWN,
    BusyError,
    FailedError,
    GoneError,
    Hosts,
    NoAddressError,
    NoPhotoError,
    RefusedError,
    host_of,
)
from syphus.io.durable import storage_faults
from syphus.version import __version__

Photo: TypeAlias = tuple[Path, tuple[str, ...]]  #: where to save a photo, and its URLs, the best first

_GONE_STATUSES = frozenset({404, 410})
_REFUSED_STATUSES = frozenset({401, 403, 451})  # of a photo, or of everybody at this host or in this network
_BUSY_STATUSES = frozenset({429, 503})
_MAX_REDIRECTS = 20  # as many as browsers follow
_MAX_NAME = 255 - len("..partial")  # bytes
_MAX_BYTES = 1 << 26
_PLACEHOLDER = "unavailable"  # in photo_unavailable.png, where Flickr redirects requests for a photo that is gone
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """How hard servers may be pressed: requests per second, concurrency, attempts per photo, and waits in seconds.

    `timeout` is for one request. A photo that takes longer is not requested again before the next download.
    """

    per_second: float = 5.0
    concurrency: int = 4
    attempts: int = 4
    first_wait: float = 1.0
    timeout: float = 60.0
    max_pause: float = 300.0


class DownloadResult(NamedTuple):
    """How many photos were downloaded, were already present, are gone for good, or failed."""

    new: int
    present: int
    gone: int
    failed: int


def download(
    photos: Iterable[Photo],
    folder: Path,
    policy: DownloadPolicy,
    on_progress: Callable[[int, int], None],
    forget: bool = False,
) -> DownloadResult:
    """Download the photos that the folder does not have yet.

    `on_progress` gets the number of photos checked so far, and how many of them were downloaded. `forget` requests
    those again that were gone. Raises `ProviderError` if nothing can be downloaded at all, `StorageError` if the disk
    fails.
    """
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with closing(DownloadLog(folder)) as log:
        if forget:
            log.forget()
        return asyncio.run(_Downloader(folder.resolve(), policy, log, on_progress).run(photos))


class _Downloader:
    def __init__(
        self, folder: Path, policy: DownloadPolicy, log: DownloadLog, on_progress: Callable[[int, int], None]
    ) -> None:
        self._folder = folder
        self._policy = policy
        self._log = log
        self._on_progress = on_progress
        self._throttler = Throttler(rate_limit=1, period=1 / policy.per_second)  # one at a time: no bursts
        self._resume_at = 0.0  # when the pause that a server asked for is over
        self._backoff = wait_exponential(multiplier=policy.first_wait) + wait_random(0, policy.first_wait)
        self._hosts = Hosts(log)
        self._is_out = False  # photos that never failed before do now, and none came since
        self._counts = {"new": 0, "present": 0, "gone": 0, "failed": 0}

    async def run(self, photos: Iterable[Photo]) -> DownloadResult:
        queue: asyncio.Queue[tuple[Photo, bool] | None] = asyncio.Queue(4 * self._policy.concurrency)
        timeout = aiohttp.ClientTimeout(total=None)  # `wait_awake` limits each photo
        headers = {"User-Agent": f"syphus/{__version__} (research datasets)", "Accept": "image/*"}
        connector = aiohttp.TCPConnector(limit=self._policy.concurrency, ssl=ssl_context())
        async with aiohttp.ClientSession(
            timeout=timeout, headers=headers, connector=connector, trust_env=True
        ) as self._session:
            try:
                await self._run_workers(photos, queue)
            except BaseExceptionGroup as group:  # the first error is the cause of the others
                raise group.exceptions[0] from None
        return DownloadResult(**self._counts)

    async def _run_workers(self, photos: Iterable[Photo], queue: asyncio.Queue[tuple[Photo, bool] | None]) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._policy.concurrency):
                group.create_task(self._work(queue))
            failed_before: list[Photo] = []  # they come last, so that they can't hold back the others
            for path, urls in photos:
                if _is_present(path):
                    self._count("present")
                elif self._log.are_gone(urls):
                    self._count("gone")
                elif self._log.reason(urls):
                    failed_before.append((path, urls))
                else:
                    await queue.put(((path, urls), True))
            for photo in failed_before:
                await queue.put((photo, False))
            for _ in range(self._policy.concurrency):
                await queue.put(None)
        has_photos = self._counts["new"] + self._counts["present"] > 0
        self._hosts.finish(is_outage=self._is_out or not has_photos)

    async def _work(self, queue: asyncio.Queue[tuple[Photo, bool] | None]) -> None:
        while (task := await queue.get()) is not None:
            photo, is_new = task
            await self._download(*photo, is_new)

    async def _download(self, path: Path, urls: tuple[str, ...], is_new: bool) -> None:
        """Try the URLs one after the other. The photo is gone only if it is gone from all of them.

        `is_new` if it did not fail in an earlier download.
        """
        failed: dict[str, str] = {}  # hosts with the problem
        gone = True
        for url in urls:
            host = host_of(url)
            if self._log.are_gone([url]):
                continue
            try:
                self._check_path(path)
                self._hosts.check(host)
                await self._fetch_with_retries(path, url)
            except GoneError as error:
                self._log.add(url, str(error), gone=True)
                self._hosts.has_answered(host, is_photo=False)
            except FailedError as error:
                gone = False
                self._note_failure(url, host, error)
                if not isinstance(error, NoAddressError):
                    failed.setdefault(host, str(error))
            else:
                self._hosts.has_answered(host, is_photo=True)
                self._is_out = False
                self._count("new")
                return
        self._count("gone" if gone else "failed")
        for host, problem in failed.items():
            if not self._hosts.is_left_out(host):
                self._hosts.has_failed(host, problem, is_new)
                self._is_out = self._is_out or (is_new and self._hosts.is_left_out(host))

    def _note_failure(self, url: str, host: str, error: FailedError) -> None:
        if isinstance(error, RefusedError):
            self._hosts.has_refused(host, url, str(error))
        if not self._hosts.is_left_out(host):  # or nobody has asked for it
            self._log.add(url, str(error), gone=False)

    async def _fetch_with_retries(self, path: Path, url: str) -> None:
        attempts = AsyncRetrying(
            retry=retry_if_exception(_is_worth_another_try),
            stop=stop_after_attempt(self._policy.attempts),
            wait=self._retry_wait,
            reraise=True,
        )
        await attempts(self._try_once, path, url)

    def _retry_wait(self, state: RetryCallState) -> float:
        """Return the seconds until the next attempt; 0 if `_wait_for_turn` waits for the server's pause anyway."""
        busy = state.outcome is not None and isinstance(state.outcome.exception(), BusyError)
        return 0.0 if busy else self._backoff(state)

    async def _try_once(self, path: Path, url: str) -> None:
        await self._wait_for_turn()
        try:
            await wait_awake(self._fetch(path, url), self._policy.timeout)
        except (FailedError, GoneError):
            raise
        except TimeoutError as error:
            raise NoPhotoError(f"no photo within {self._policy.timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FailedError(" ".join(str(error).split())[:200] or type(error).__name__) from error

    async def _wait_for_turn(self) -> None:
        """Keep to the rate, and to the pause that a server asked for. After it, requests start at the same rate."""
        async with self._throttler:
            pass
        while (pause := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(pause)
            async with self._throttler:
                pass

    async def _fetch(self, path: Path, url: str) -> None:
        """Follow redirects, and save the photo. Raises `GoneError` or `FailedError`, or what aiohttp raises."""
        address = _address(url, "")
        visited = {address}
        for _ in range(_MAX_REDIRECTS + 1):
            if _PLACEHOLDER in address.path:
                raise GoneError("Flickr's picture for photos that are not available")
            async with self._session.get(address, allow_redirects=False) as reply:
                if not (300 <= reply.status < 400 and "location" in reply.headers):
                    await self._save(path, url, reply)
                    return
                address = _address(reply.headers["location"], str(address))
            if address in visited:  # cookies may lead out of a circle, but photos need none
                raise NoPhotoError("redirects in a circle")
            visited.add(address)
        raise NoPhotoError(f"more than {_MAX_REDIRECTS} redirects")

    async def _save(self, path: Path, url: str, reply: aiohttp.ClientResponse) -> None:
        if reply.status in _GONE_STATUSES:
            raise GoneError(f"status {reply.status}")
        if reply.status in _REFUSED_STATUSES:
            raise RefusedError(f"status {reply.status}")
        if reply.status in _BUSY_STATUSES:
            raise self._busy(reply)
        if reply.status != 200:
            raise FailedError(f"status {reply.status}")
        data = b"".join([chunk async for chunk in _chunks(reply)])
        if not data:
            raise FailedError("0 bytes")
        if not data.startswith(_SIGNATURES) and data[4:8] != b"ftyp":
            raise NoPhotoError(f"not an image but {reply.content_type}")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if duplicates := self._log.find_duplicates(path, url, digest, len(data)):
            for duplicate in duplicates:
                duplicate.unlink(missing_ok=True)
            raise GoneError(PLACEHOLDER_REASON)
        self._write(path, data)

    def _busy(self, reply: aiohttp.ClientResponse) -> FailedError:
        """Start the pause that the server asks for, if it does."""
        pause = retry_wait(reply.headers, "", time.time())
        if not pause:
            return FailedError(f"status {reply.status}")
        self._resume_at = max(self._resume_at, time.monotonic() + min(pause, self._policy.max_pause))
        return BusyError(f"status {reply.status}")

    def _check_path(self, path: Path) -> None:
        """Raise `NoAddressError` if a photo can't be saved at its path."""
        if len(os.fsencode(path.name)) > _MAX_NAME:
            raise NoAddressError("its name is too long for a file")
        if not path.resolve().is_relative_to(self._folder):
            raise NoAddressError("its path leads outside the folder of the images")

    def _write(self, path: Path, data: bytes) -> None:
        with storage_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.partial")
            temporary.write_bytes(data)
            temporary.replace(path)

    def _count(self, outcome: str) -> None:
        self._counts[outcome] += 1
        self._on_progress(sum(self._counts.values()), self._counts["new"])


def _is_present(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - `Path` raises if a name is too long


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, FailedError) and not isinstance(error, NoAddressError | NoPhotoError)


def _address(url: str, base: str) -> URL:
    """Return the address of a photo, or of a redirect from `base`. Raises `NoPhotoError` or `NoAddressError`."""
    shown = " ".join(url.split())[:SHOWN]
    try:
        address = URL(urljoin(base, url.strip()))
        scheme, host, _ = address.scheme, address.host, address.port
        _ = (host or "").encode("idna")
    except ValueError as error:  # of urllib, yarl and the names of hosts; a UnicodeError is one, too
        raise NoAddressError(f"{'redirects to ' if base else ''}{shown!r}, which is not an address: {error}") from error
    if scheme not in ("http", "https"):
        if base:
            raise NoPhotoError("redirects to something that is not a web page")
        raise NoAddressError(f"{shown!r} is not the address of a web page")
    if not host:
        raise NoAddressError(f"{'redirects to ' if base else ''}{shown!r}, an address without a host")
    return address


async def _chunks(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in reply.content.iter_chunked(1 << 16):
        size += len(chunk)
        if size > _MAX_BYTES:
            raise GoneError(f"larger than {_MAX_BYTES >> 20} MiB")
        yield chunk
