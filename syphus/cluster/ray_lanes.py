"""The driver's end of one worker: gathers requests into messages, and gives each waiting request its result.

A worker that dies takes its requests along. Those that had been handed to it may have been answered and billed, which
nobody can know, so they end like requests whose connection broke. The limits, the budget and the counters see no
difference, and the loop asks again under its usual rules.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from syphus.cluster.ray_connection import RayNode
from syphus.cluster.ray_worker import (
    GATHER_SECONDS,
    MOST_BYTES,
    MOST_IN_MESSAGE,
    RequestWorker,
    WireRequest,
    WireResult,
    WorkerTarget,
)
from syphus.endpoints.connections import ON_BYTES, NoReplyError, NoReplyKind
from syphus.text import one_line

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_RETRY_SECONDS = 0.5  # between two calls to a worker that can't be reached for now
_PATIENCE = 3.0  # seconds without reaching it, after which it counts as dead; Ray says so later


class _Waiting(NamedTuple):
    """A request that waits for its result; `hear` is called when its reply has begun."""

    result: asyncio.Future[WireResult]
    hear: Callable[[], None] | None


class Lane:
    """One worker with the requests that it has. `on_change` is called when it can or can't be reached, or has died.

    Create it inside a running event loop, `begin` its session, and `close` it there.
    """

    def __init__(self, node: RayNode, worker: ActorHandle[RequestWorker], on_change: Callable[[Lane], None]) -> None:
        self.node = node
        self.is_lost = False
        self.why_lost = "has died"
        self._worker: Any = worker  # Any: Ray adds the methods at run time
        self._on_change = on_change
        self._unreachable_since: float | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._outbox: list[WireRequest] = []
        self._outbox_bytes = 0
        self._cancelled: list[int] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._requests = self._messages = 0
        self._aimed: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def load(self) -> float:
        """The requests that it has, for each of its cores."""
        return len(self._waiting) / max(1.0, self.node.cores)

    @property
    def is_reachable(self) -> bool:
        """Whether it takes requests now."""
        return not self.is_lost and self._unreachable_since is None

    async def begin(self, seconds: float) -> None:
        """Begin a session with the worker. Raises `RayError` if it does not start, and `TimeoutError`."""
        async with asyncio.timeout(seconds):
            await self._worker.reset.remote()
        self._start(self._collect())

    async def exchange(self, number: int, target: WorkerTarget, body: bytes | None, is_built: bool) -> WireResult:
        """Return the result of a request to the target of this number. `body` may be a pickled `UnbuiltBody`.

        Raises `NoReplyError` if the worker dies. If this call is cancelled, so is the request.
        """
        aiming = self._aimed.get(number)
        if aiming is None:
            aiming = self._aimed[number] = self._start(self._call("aim", number, pickle.dumps(target)))
        if not aiming.done():
            await asyncio.shield(aiming)
        if self.is_lost:
            raise self._lost(sent=False)
        self._requests += 1
        request = self._requests
        waiting = self._waiting[request] = _Waiting(asyncio.get_running_loop().create_future(), ON_BYTES.get())
        self._outbox.append((request, number, body, is_built))
        self._outbox_bytes += len(body or b"")
        self._flush_soon()
        try:
            return await waiting.result
        except asyncio.CancelledError:
            self._cancelled.append(request)
            self._flush_soon()
            raise
        finally:
            self._waiting.pop(request, None)

    def lose(self, why: str = "has died") -> None:
        """End every request: the worker has died, or can't be used for another reason."""
        if self.is_lost:
            return
        self.is_lost, self.why_lost = True, why
        unsent = {request[0] for request in self._outbox}
        for request, waiting in self._waiting.items():
            if not waiting.result.done():
                waiting.result.set_exception(self._lost(request not in unsent))
        self._outbox.clear()
        self._on_change(self)

    async def close(self) -> None:
        """End the session; the worker stays."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self.is_lost:
            self._worker.reset.remote()

    def _lost(self, sent: bool) -> NoReplyError:
        return NoReplyError(NoReplyKind.NODE_LOST, f"the worker on Ray node {self.node.address} {self.why_lost}", sent)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait here for ever
            self.lose(one_line(f"has failed ({type(error).__name__}: {error})", 200))

    def _flush_soon(self) -> None:
        """Send a message as soon as it is large enough, or its first request has waited for a moment."""
        if len(self._outbox) >= MOST_IN_MESSAGE or self._outbox_bytes >= MOST_BYTES:
            self._flush()
        elif self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._flush)

    def _flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self.is_lost or not (self._outbox or self._cancelled):
            return
        self._messages += 1
        message = pickle.dumps((self._outbox, self._cancelled))
        self._outbox, self._cancelled, self._outbox_bytes = [], [], 0
        self._start(self._call("submit", self._messages, message))

    async def _call(self, method: str, *arguments: object) -> None:
        """Call a method of the worker, again while it can't be reached: it does nothing twice."""
        while not self.is_lost:
            try:
                await getattr(self._worker, method).remote(*arguments)
                return
            except ray.exceptions.ActorUnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)
            except ray.exceptions.RayError:
                self.lose()

    async def _collect(self) -> None:
        """Take results from the worker until it dies."""
        number = 0
        while not self.is_lost:
            try:
                message: bytes = await self._worker.collect.remote(number)
            except ray.exceptions.ActorUnavailableError:
                await self._wait_unreachable()
                continue
            except ray.exceptions.RayError:
                self.lose()
                return
            if self._unreachable_since is not None:
                self._unreachable_since = None
                self._on_change(self)
            number, results, heard = pickle.loads(message)  # noqa: S301 - from our worker
            for result in results:
                waiting = self._waiting.get(result[0])
                if waiting is not None and not waiting.result.done():
                    waiting.result.set_result(result)
            for request in heard:
                waiting = self._waiting.get(request)
                if waiting is not None and waiting.hear is not None:
                    waiting.hear()

    async def _wait_unreachable(self) -> None:
        """Wait until it is worth calling the worker again, and give it up after a while.

        It keeps the replies meanwhile, so a connection that comes back loses none. New requests go elsewhere.
        """
        now = asyncio.get_running_loop().time()
        if self._unreachable_since is None:
            self._unreachable_since = now
            self._on_change(self)
        elif now - self._unreachable_since > _PATIENCE:
            self.lose()
        await asyncio.sleep(_RETRY_SECONDS)
