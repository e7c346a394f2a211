"""The viewer's real server, in a thread of the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from syphus.viewer.server import serve
from syphus.viewer.viewer import Viewer

TOKEN = "token-of-the-tests-0123456789abcdef"


class Reply(NamedTuple):
    """A reply of the viewer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Viewing:
    """A running viewer. `get` and `post` have the token; `send` sends exactly what it is given."""

    def __init__(self, viewer: Viewer, address: str) -> None:
        self.viewer = viewer
        self.address = address
        self.port = int(address.rpartition(":")[2].partition("/")[0])

    @property
    def key(self) -> str:
        """The key of the only run."""
        (run,) = self.viewer.runs.all()
        return run.key

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response: HTTPResponse = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, headers={"Authorization": f"Bearer {TOKEN}", **headers})

    def api(self, path: str = "") -> Any:
        """The JSON of an address of the only run, which must be there."""
        reply = self.get(f"/api/runs/{self.key}/{path}")
        assert reply.status == 200, reply
        return reply.json

    def post(self, path: str, value: object, **headers: str) -> Reply:
        own = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "X-Syphus": "1", **headers}
        return self.send("POST", path, json.dumps(value).encode(), own)


@contextmanager
def viewing(*folders: Path, cache: Path, images: Sequence[Path] = (), host: str = "127.0.0.1") -> Iterator[Viewing]:
    """Run the viewer of some folders at any free port; `cache` is the folder of its indexes."""
    viewer = Viewer(folders, host, images=images, token=TOKEN, cache=cache)
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(viewer, [0]) as address:
            started.set_result((address, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = Thread(target=lambda: asyncio.run(run()), name="viewer", daemon=True)
    thread.start()
    address, loop, stop = started.result(timeout=20)
    try:
        yield Viewing(viewer, address)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=20)
