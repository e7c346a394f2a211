"""Sends requests from the nodes of a Ray cluster. The loop sees endpoints as usual.

    Loop -> RequestSender -> RayEndpoint -> RayTransport -> RayFleet -> Lane -> worker on a node -> server

Everything that decides stays in the driver: the ledger, the limits, the budget, pauses, health, judging and writing. An
admitted request goes to the worker that has the fewest for its cores. Nodes may come and go: each new one gets a
worker, and the requests of one that dies are asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TypeVar

from multidict import CIMultiDict
from yarl import URL

from syphus.cluster.ray_connection import RayNode, RayWorkers
from syphus.cluster.ray_head import in_own_thread
from syphus.cluster.ray_lanes import Lane
from syphus.cluster.ray_worker import Got, WireResult, WorkerTarget
from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import NoReplyError, NoReplyKind, Reply
from syphus.endpoints.remote_endpoint import RemoteEndpoint
from syphus.endpoints.request import UnbuiltBody
from syphus.endpoints.routes import ApiRoute
from syphus.endpoints.transport import Transport
from syphus.errors import ConfigError, NodesLostError, ProviderError
from syphus.text import one_line

T = TypeVar("T")

_LOOK_SECONDS = 2.0  # between two looks at the nodes of the cluster
_START_SECONDS = 120.0  # that a worker may take to start
_NO_NODE_SECONDS = 90.0  # that requests wait for a node if there is none
_OWN_NODE_SECONDS = 30.0  # the same, if only one node can send them: other nodes may take their rows
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0  # before a node that failed gets another worker
_NEXT = "Start the cluster again, or name another one, then run the same command again."


class RayFleet:
    """The workers of a cluster for one session. With `each_asks_its_own`, each node's server is an endpoint."""

    def __init__(self, workers: RayWorkers, each_asks_its_own: bool = False) -> None:
        self._workers = workers
        self._each_asks_its_own = each_asks_its_own
        self._say: Callable[[str], None] = lambda _: None
        self._lanes: dict[str, Lane] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}  # in a row, by node
        self._unfit: set[str] = set()  # nodes that can't be used as they are
        self._lost = ""  # why no request can be sent any more
        self._changed = asyncio.Event()
        self._noted: set[str] = set()
        self.target_numbers = count(1)

    @contextlib.asynccontextmanager
    async def running(self, say: Callable[[str], None]) -> AsyncIterator[None]:
        """Keep a worker on each node for as long as the block lasts. `say` tells people when one comes or goes.

        Raises `ProviderError` if there is no node for long, or if nobody knows of nodes any more.
        """
        self._say = say
        self._changed = asyncio.Event()  # each stage has an event loop of its own
        following = asyncio.create_task(self._follow())
        try:
            await self._begin()
            yield
        finally:
            tasks = [following, *self._starting.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
            self._lanes.clear()  # the next stage of the session begins its own: these collect no replies any more
            if self._lost:
                await asyncio.to_thread(self._workers.leave)

    async def _begin(self) -> None:
        """Wait for the first worker; if each node asks its own server, for those of all nodes that are alive now."""
        seconds = _START_SECONDS + _NO_NODE_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self._lanes or self._lost):
                    await self._wait_for_change()
        if self._each_asks_its_own:
            await asyncio.gather(*self._starting.values())
        if not self._lanes:
            none = f"No worker has started in the Ray cluster at {self._workers.address} within {seconds:g} s"
            raise ProviderError(f"{self._lost or none}. {_NEXT}")

    def endpoints(self, config: EndpointConfig, redactor: SecretRedactor, route: ApiRoute) -> Sequence[RayEndpoint]:
        """Return the endpoint that all nodes ask, or one for each node. Raises what `RemoteEndpoint` raises."""
        if not self._each_asks_its_own:
            return [RayEndpoint(self, None, config, redactor, route)]
        return [RayEndpoint(self, lane.node, config, redactor, route) for lane in self._lanes.values()]

    async def lost(self) -> str:
        """Wait until the cluster is lost. Return why nothing can be sent, and what to do."""
        while not self._lost:
            await self._wait_for_change()
        return f"{self._lost}. {_NEXT}"

    async def exchange(
        self, node: RayNode | None, number: int, target: WorkerTarget, body: bytes | None, is_built: bool = True
    ) -> tuple[RayNode, WireResult]:
        """Send a request from a node, or from any; return that node and the result. See `Lane.exchange`.

        Raises `NoReplyError`, and `NodesLostError` if there is no node for long.
        """
        lane = await self._lane(node)
        return lane.node, await lane.exchange(number, target, body, is_built)

    def note(self, node: RayNode, problem: str) -> None:
        """Tell people once that a node can't read an image."""
        if node.id not in self._noted:
            self._noted.add(node.id)
            self._say(f"Ray node {node.address} can't read some images, so this machine sends them: {problem}")

    async def _lane(self, node: RayNode | None) -> Lane:
        seconds = _NO_NODE_SECONDS if node is None else _OWN_NODE_SECONDS
        waited_until = asyncio.get_running_loop().time() + seconds
        while not self._lost:
            lanes = self._lanes.values() if node is None else filter(None, [self._lanes.get(node.id)])
            usable = (lane for lane in lanes if lane.is_reachable)
            if (lane := min(usable, key=lambda each: each.load, default=None)) is not None:
                return lane
            left = waited_until - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(left):
                    await self._wait_for_change()
            except TimeoutError:
                where = f"on Ray node {node.address}" if node else f"in the Ray cluster at {self._workers.address}"
                raise NodesLostError(f"No worker is left {where}, for {seconds:g} s") from None
        raise NoReplyError(NoReplyKind.NODE_LOST, self._lost)

    async def _wait_for_change(self) -> None:
        changed = self._changed
        await changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _follow(self) -> None:
        """Give each node that is alive a worker, until the cluster does not say any more which ones are."""
        try:
            while True:
                for node in await _aside(self._workers.nodes):
                    if node.id not in self._lanes and node.id not in self._starting and node.id not in self._unfit:
                        task = self._starting[node.id] = asyncio.create_task(self._start(node))
                        task.add_done_callback(partial(self._end_start, node.id))
                await asyncio.sleep(_LOOK_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests would wait for nodes that nobody looks for
            where = f"The Ray cluster at {self._workers.address} does not list its nodes"
            self._lost = str(error) if isinstance(error, NodesLostError) else f"{where}: {_problem(error)}"
            self._notify()

    def _end_start(self, node_id: str, _: asyncio.Task[None]) -> None:
        self._starting.pop(node_id, None)

    async def _start(self, node: RayNode) -> None:
        """Start the worker of a node; one that fails is tried again later, a node that is unfit is left out."""
        failures = self._failures.get(node.id, 0)
        if failures:
            await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (failures - 1)))
        try:
            if not self._workers.is_checked(node.id):
                await _aside(partial(self._workers.check, [node]))
            lane = Lane(node, await _aside(partial(self._workers.start, node)), self._change)
            await lane.begin(_START_SECONDS)
        except NodesLostError:
            return  # the look at the nodes finds the same
        except ConfigError as error:
            self._unfit.add(node.id)
            self._say(f"{str(error).rstrip('.')}; it is left out.")
        except Exception as error:  # noqa: BLE001 - whatever it is, people hear of a node that stays without a worker
            self._failures[node.id] = failures + 1
            self._workers.forget(node.id)
            if failures == 2:
                self._say(f"Ray node {node.address} starts no worker: {_problem(error)}")
        else:
            self._failures.pop(node.id, None)
            self._lanes[node.id] = lane
        self._notify()

    def _change(self, lane: Lane) -> None:
        """Forget a worker that has died, and wake up who waits for one."""
        if lane.is_lost and self._lanes.pop(lane.node.id, None) is lane:
            self._workers.forget(lane.node.id)
            self._failures[lane.node.id] = self._failures.get(lane.node.id, 0) + 1
            self._say(f"The worker on Ray node {lane.node.address} {lane.why_lost}; its requests are sent again.")
        self._notify()


def _problem(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", 200)


def _aside(call: Callable[[], T]) -> asyncio.Future[T]:
    """Return the future result of a call of Ray, for which the end of the event loop does not wait."""
    return asyncio.wrap_future(in_own_thread(call))


class RayTransport(Transport):
    """Posts from the nodes of a cluster, or from one of them, instead of from this process."""

    def __init__(
        self, fleet: RayFleet, node: RayNode | None, base_url: str, redactor: SecretRedactor, verify: bool
    ) -> None:
        super().__init__(base_url, 0, redactor, verify)
        self._fleet = fleet
        self._node = node
        self._base_url = base_url
        self._verify = verify
        self._targets: dict[tuple[URL, int], tuple[int, WorkerTarget, Mapping[str, str]]] = {}

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> Reply:
        """Post `body` from a node; as in `Transport`. Raises `NoReplyError`, also if the node dies."""
        return _reply((await self._exchange(url, headers, body))[1])

    async def get(self, url: URL, headers: Mapping[str, str]) -> Reply:
        """Get a URL from a node; as `post`."""
        return _reply((await self._exchange(url, headers, None))[1])

    async def post_unbuilt(self, url: URL, headers: Mapping[str, str], body: UnbuiltBody) -> Reply:
        """Post a body that the node builds, or this machine if the node can't. Raises `ImageError` if neither can."""
        try:
            packed = await asyncio.to_thread(pickle.dumps, body)
        except (TypeError, AttributeError, pickle.PicklingError):  # it depends on something that is only here
            return await self.post(url, headers, await asyncio.to_thread(body.build))
        node, result = await self._exchange(url, headers, packed, is_built=False)
        if result[1] == Got.BAD_IMAGE:
            built = await asyncio.to_thread(body.build)
            self._fleet.note(node, str(result[2]))
            return await self.post(url, headers, built)
        return _reply(result)

    async def _exchange(
        self, url: URL, headers: Mapping[str, str], body: bytes | None, is_built: bool = True
    ) -> tuple[RayNode, WireResult]:
        name = url, id(headers)
        if name not in self._targets:  # which keeps the headers, so that no others get their id
            target = WorkerTarget(str(url), [*headers.items()], self._base_url, self._verify)
            self._targets[name] = next(self._fleet.target_numbers), target, headers
        number, target, _ = self._targets[name]
        return await self._fleet.exchange(self._node, number, target, body, is_built)


class RayEndpoint(RemoteEndpoint):
    """An endpoint that the nodes of a cluster ask; with a `node`, that one asks the server on it."""

    def __init__(
        self,
        fleet: RayFleet,
        node: RayNode | None,
        config: EndpointConfig,
        redactor: SecretRedactor,
        route: ApiRoute,
    ) -> None:
        transport = RayTransport(fleet, node, config.base_url, redactor, config.verify_tls)
        super().__init__(config, 0, redactor, route, transport)
        self._ray_transport = transport
        if node is not None:
            self.host = f"{config.host} of {node.address}"

    async def send_unbuilt(self, body: UnbuiltBody) -> Reply:
        """Post a request whose body a node builds; as `send`. Raises `ImageError` if an image can't be sent."""
        return await self._receive(lambda url, headers: self._ray_transport.post_unbuilt(url, headers, body))


def _reply(result: WireResult) -> Reply:
    """Return the reply that a result has. Raises `NoReplyError`, or `ConfigError`, for one that has none."""
    match result:
        case (_, Got.REPLY, int(status), list(headers), bytes(body)):
            return Reply(status, CIMultiDict(headers), body)
        case (_, Got.NO_REPLY, str(kind), str(message), bool(sent)):
            raise NoReplyError(NoReplyKind(kind), message, sent)
    raise ConfigError(str(result[2]))
