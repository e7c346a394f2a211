"""What changes in a run while people look at it, as server-sent events.

One task for each run that is looked at asks once a second whether the ledger's files have changed, and only then reads
the numbers; all pages that show the run get the same event. A page that is slow gets the newest numbers only.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import NamedTuple

import orjson
from aiohttp import web

from syphus.errors import SyphusError
from syphus.ledger.store import is_working
from syphus.viewer.ledger_access import LedgerAccess, signature
from syphus.viewer.overview import read_overview
from syphus.viewer.run_list import ViewedRun

INTERVAL = 1.0  #: seconds between looks at a run
_SHARE = 0.25  #: of its time that a look may take; slow ones become rarer
_HEARTBEAT = 15.0  #: seconds without an event, after which a comment is sent
_WRITE_SECONDS = 10.0  #: that a page may take to accept an event
_MOST_STREAMS = 64  #: pages at once; each holds a connection
_RETRY_SECONDS = 3  #: after which a page connects again
_FRESH = 3600.0  #: seconds for which numbers of a run that does not change are cached


class _CachedOverview(NamedTuple):
    signature: tuple[object, ...]
    value: dict[str, object]
    at: float


class Overviews:
    """The newest numbers of each run, read again only after its files have changed."""

    def __init__(self, access: LedgerAccess) -> None:
        self._access = access
        self._cache: dict[str, _CachedOverview] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def newest(self, run: ViewedRun) -> dict[str, object]:
        """Return the numbers of a run, at most a second old. Raises `RunError`."""
        async with self._reading.setdefault(run.key, asyncio.Lock()):  # many pages ask, one reads
            now = time.time()
            cached = self._cache.get(run.key)
            if cached is not None and now - cached.at < INTERVAL:
                return cached.value
            changed = await self._access.call(partial(signature, run.folder))
            if cached is not None and cached.signature == changed and not await self._has_ended(run, cached):
                return cached.value
            value = await self._access.read(run.folder, partial(read_overview, folder=run.folder, now=now))
            value = {"key": run.key, "name": run.name, **value}
            self._cache[run.key] = _CachedOverview(changed, value, now)
            return value

    async def _has_ended(self, run: ViewedRun, cached: _CachedOverview) -> bool:
        """Return whether a process that worked on the run is gone, which changes no file if it was killed."""
        if cached.value["working"]:
            return not await self._access.call(partial(is_working, run.folder))
        return time.time() - cached.at > _FRESH


class Listener:
    """One page: the newest event of each name that it has not got yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, bytes] = {}
        self._changed = asyncio.Event()

    def put(self, name: str, event: bytes) -> None:
        """Keep an event instead of an earlier one of its name."""
        self._waiting[name] = event
        self._changed.set()

    async def take(self) -> bytes:
        """Wait for events, and return them."""
        await self._changed.wait()
        self._changed.clear()
        events = b"".join(self._waiting.values())
        self._waiting.clear()
        return events


class EventStream:
    """The events of one run, for all pages that show it."""

    def __init__(self, overviews: Overviews, run: ViewedRun) -> None:
        self._overviews = overviews
        self._run = run
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._newest: bytes = b""

    def send(self, name: str, value: object) -> None:
        """Send an event to all pages that show the run."""
        event = _as_event(name, value)
        for listener in self._listeners:
            listener.put(name, event)

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener]:
        """Give a listener while the block runs."""
        listener = Listener()
        self._listeners.add(listener)
        if self._newest:
            listener.put("overview", self._newest)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._task.cancel()
                self._task, self._newest = None, b""

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        shown: object = None
        while True:
            began = loop.time()
            with contextlib.suppress(SyphusError, OSError):  # a run may be moved; a later look may find it
                value = await self._overviews.newest(self._run)
                if value is not shown:
                    shown, self._newest = value, _as_event("overview", value)
                    for listener in self._listeners:
                        listener.put("overview", self._newest)
            took = loop.time() - began
            await asyncio.sleep(max(INTERVAL - took, took / _SHARE - took))


class EventStreams:
    """The events of all runs, and the pages that get them."""

    def __init__(self, overviews: Overviews) -> None:
        self._overviews = overviews
        self._by_run: dict[str, EventStream] = {}
        self._streams = 0

    def of(self, run: ViewedRun) -> EventStream:
        """Return the event stream of a run."""
        return self._by_run.setdefault(run.key, EventStream(self._overviews, run))

    async def stream(self, request: web.Request, run: ViewedRun) -> web.StreamResponse:
        """Send the events of a run until the page leaves; raise `HTTPServiceUnavailable` if too many are open."""
        if self._streams >= _MOST_STREAMS:
            raise web.HTTPServiceUnavailable(reason="Too many pages are open; close some.")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        self._streams += 1
        try:
            with self.of(run).listen() as listener:
                await response.prepare(request)
                await _write(response, b"retry: %d000\n\n" % _RETRY_SECONDS)
                async for event in _events(listener):
                    await _write(response, event)
        except (ConnectionError, TimeoutError):  # the page has left, or takes nothing
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams -= 1
        return response


async def _events(listener: Listener) -> AsyncIterator[bytes]:
    while True:
        try:
            yield await asyncio.wait_for(listener.take(), _HEARTBEAT)
        except TimeoutError:
            yield b": still here\n\n"


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(data)


def _as_event(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))
