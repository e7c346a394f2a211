"""The worker on a node of a Ray cluster: it prepares images, sends requests, and keeps replies until they were taken.

It knows neither ledger, limits nor budget: each request that it gets was admitted by the driver, and is sent once. A
reply is kept until the driver says that it has it, so a connection that breaks for a while loses none.

Requests and results travel as one pickled list for many of them, which costs Ray and both ends a fraction of a message
for each:

    REQUEST   (number, target, body, is it built)    a body that is not built is a pickled `UnbuiltBody`; None is a GET
    RESULT    (number, Got, ...)                     see `Got`
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import deque
from enum import IntEnum
from functools import partial
from typing import NamedTuple, TypeAlias

from multidict import CIMultiDict
from yarl import URL

from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import ON_BYTES, NoReplyError, Reply
from syphus.endpoints.request import UnbuiltBody
from syphus.endpoints.transport import Transport
from syphus.errors import ConfigError, ImageError

GATHER_SECONDS = 0.01  #: that the first request or result of a message waits for others; an answer takes seconds
MOST_IN_MESSAGE = 128  #: requests or results
MOST_BYTES = 90_000  #: of a message; Ray puts what has more than 100 kB into its object store, which takes longer
_POLL_SECONDS = 10.0  # after which `collect` returns even if there is nothing
_HEARD_SECONDS = 1.0  # after which it reports the requests whose replies have begun

WireRequest: TypeAlias = tuple[int, int, bytes | None, bool]
WireResult: TypeAlias = tuple[int, int, object, object, object]


class Got(IntEnum):
    """What became of a request, and what follows it in a result."""

    REPLY = 0  #: status, list of headers, body
    NO_REPLY = 1  #: kind, message, whether it was sent
    BAD_IMAGE = 2  #: name, problem, None: nothing was sent
    BAD_SETTINGS = 3  #: message, None, None: nothing was sent


class WorkerTarget(NamedTuple):
    """Where requests go: an address with its headers, among them the key."""

    url: str
    headers: list[tuple[str, str]]
    base_url: str
    verify_tls: bool


class RequestWorker:
    """An actor of Ray. Its methods are called by one driver; all but `hello` take and return what is pickled."""

    def __init__(self) -> None:
        self._targets: dict[int, WorkerTarget] = {}
        self._transports: dict[tuple[str, bool], Transport] = {}
        self._messages: set[int] = set()  # that have come; Ray may deliver one twice after an outage
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._results: deque[WireResult] = deque()
        self._result_bytes = 0
        self._heard: set[int] = set()
        self._news = asyncio.Event()
        self._kept: bytes = b""  # what the last `collect` returned, until it is acknowledged
        self._kept_number = 0
        self._collector = 0
        self._builders = asyncio.Semaphore(os.cpu_count() or 1)

    async def hello(self) -> int:
        """Return the id of this process: it works."""
        return os.getpid()

    async def aim(self, number: int, target: bytes) -> None:
        """Take over where requests with the target `number` go: a pickled `WorkerTarget`."""
        self._targets[number] = pickle.loads(target)  # noqa: S301 - from the driver

    async def submit(self, number: int, message: bytes) -> None:
        """Send the requests of a message, `(requests, numbers to cancel)`, unless this message has come before."""
        if number in self._messages:
            return
        self._messages.add(number)
        requests, cancelled = pickle.loads(message)  # noqa: S301 - from the driver
        for each in cancelled:
            if (task := self._tasks.get(each)) is not None:
                task.cancel()
        for request in requests:
            task = asyncio.create_task(self._serve(request))
            self._tasks[request[0]] = task
            task.add_done_callback(partial(self._end, request[0]))

    async def collect(self, acknowledged: int) -> bytes:
        """Return `(number, results, numbers of requests whose replies have begun)` as soon as there are some.

        `acknowledged` is the number of the last message that the driver has; any other is returned once more.
        """
        self._collector += 1
        mine = self._collector
        if self._kept_number != acknowledged and self._kept:
            return self._kept
        self._kept = b""
        await self._wait_for_news(mine)
        if mine != self._collector:  # the driver has given this call up, and made another
            return pickle.dumps((acknowledged, [], []))
        results: list[WireResult] = []
        size = 0
        while self._results and len(results) < MOST_IN_MESSAGE and (size < MOST_BYTES or not results):
            results.append(self._results.popleft())
            size += _size(results[-1])
        self._result_bytes -= size
        heard, self._heard = self._heard, set()
        self._kept_number = acknowledged + 1
        self._kept = pickle.dumps((self._kept_number, results, list(heard)))
        return self._kept

    async def reset(self) -> None:
        """Forget everything: a new session begins, whose requests have other numbers."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for transport in self._transports.values():
            await transport.close()
        self._collector += 1
        self._transports, self._targets, self._messages, self._heard = {}, {}, set(), set()
        self._results.clear()
        self._kept, self._kept_number, self._result_bytes = b"", 0, 0
        self._news.set()

    async def _wait_for_news(self, mine: int) -> None:
        """Wait until there are results, for a moment longer for others, and not for ever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _POLL_SECONDS
        while not self._results and mine == self._collector:
            self._news.clear()
            left = min(until - loop.time(), _HEARD_SECONDS if self._heard else _POLL_SECONDS)
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                if self._heard:
                    return
        if len(self._results) < MOST_IN_MESSAGE and self._result_bytes < MOST_BYTES:
            await asyncio.sleep(GATHER_SECONDS)

    async def _serve(self, request: WireRequest) -> None:
        number, target, body, is_built = request
        ON_BYTES.set(partial(self._hear, number))
        try:
            if body is not None and not is_built:
                async with self._builders:
                    body = await asyncio.to_thread(_build, body)
            reply = await self._send(self._targets[target], body)
            result: WireResult = (number, Got.REPLY, reply.status, [*reply.headers.items()], reply.body)
        except NoReplyError as error:
            result = (number, Got.NO_REPLY, str(error.kind), error.message, error.sent)
        except ImageError as error:
            result = (number, Got.BAD_IMAGE, str(error), error.problem, None)
        except ConfigError as error:
            result = (number, Got.BAD_SETTINGS, str(error), None, None)
        self._results.append(result)
        self._result_bytes += _size(result)
        self._news.set()

    async def _send(self, target: WorkerTarget, body: bytes | None) -> Reply:
        server = target.base_url, target.verify_tls
        if (transport := self._transports.get(server)) is None:
            transport = self._transports[server] = Transport(target.base_url, 0, SecretRedactor(), target.verify_tls)
        url, headers = URL(target.url, encoded=True), CIMultiDict(target.headers)
        return await (transport.get(url, headers) if body is None else transport.post(url, headers, body))

    def _hear(self, number: int) -> None:
        self._heard.add(number)

    def _end(self, number: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(number, None)
        self._heard.discard(number)
        if not task.cancelled() and (error := task.exception()) is not None:  # a bug, or a library's
            self._results.append((number, Got.BAD_SETTINGS, f"{type(error).__name__}: {error}", None, None))
            self._news.set()


def _build(body: bytes) -> bytes:
    """Build a body. Raises `ImageError`, also if it needs code that only the driver has, such as a plugin's."""
    try:
        unbuilt: UnbuiltBody = pickle.loads(body)  # noqa: S301 - from the driver
    except (ImportError, AttributeError) as error:
        raise ImageError("a request with images", f"this node lacks code: {error}") from error
    return unbuilt.build()


def _size(result: WireResult) -> int:
    return len(result[4]) if isinstance(result[4], bytes) else 100
