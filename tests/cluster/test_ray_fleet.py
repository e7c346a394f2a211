"""What becomes of a run whose cluster fails in a way that nobody has foreseen. Its nodes are made up here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from syphus.cluster.ray_connection import RayNode, RayWorkers
from syphus.cluster.ray_fleet import RayFleet
from syphus.cluster.ray_head import RayHead
from syphus.cluster.ray_lanes import Lane
from syphus.cluster.ray_worker import WorkerTarget
from syphus.endpoints.connections import NoReplyError, NoReplyKind
from syphus.errors import ProviderError

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from syphus.cluster.ray_worker import RequestWorker

pytest.importorskip("ray", reason="the extra ray is not installed")

NEXT = r"Start the cluster again, or name another one, then run the same command again\.$"


class FailingWorkers(RayWorkers):
    """A cluster of one node that starts no worker. After so many looks, it does not list its nodes any more."""

    def __init__(self, looks: int) -> None:
        super().__init__("127.0.0.1:1", RayHead("127.0.0.1:1", 1.0))
        self._looks = looks

    def nodes(self) -> list[RayNode]:
        self._looks -= 1
        if self._looks < 0:
            raise RuntimeError("the table is gone\nfor ever")
        return [RayNode("1", "10.0.0.7", 1.0)]

    def check(self, nodes: Sequence[RayNode]) -> None:
        pass

    def start(self, node: RayNode) -> ActorHandle[RequestWorker]:
        raise OSError(f"no process on {node.address}")

    def leave(self) -> None:
        pass


@pytest.mark.parametrize("own_servers", [False, True])
@pytest.mark.parametrize("looks", [0, 1])
def test_a_stage_ends_with_one_line_if_the_nodes_are_not_listed(looks: int, own_servers: bool) -> None:
    async def begin() -> None:
        async with RayFleet(FailingWorkers(looks), own_servers).running(lambda _: None):
            pytest.fail("nothing can be sent")

    said = r"^The Ray cluster at 127\.0\.0\.1:1 does not list its nodes: RuntimeError: the table is gone for ever\. "
    with pytest.raises(ProviderError, match=said + NEXT):
        asyncio.run(begin())


def test_a_worker_that_returns_what_can_not_be_read_counts_as_lost() -> None:
    async def nothing(*_: object) -> None:
        pass

    async def garbled(_: int) -> bytes:
        return b"no pickle"

    async def ask() -> None:
        methods = {"reset": nothing, "aim": nothing, "submit": nothing, "collect": garbled}
        worker: Any = SimpleNamespace(**{name: SimpleNamespace(remote=each) for name, each in methods.items()})
        lane = Lane(RayNode("1", "10.0.0.7", 1.0), worker, lambda _: None)
        await lane.begin(5)
        try:
            async with asyncio.timeout(5):
                await lane.exchange(1, WorkerTarget("http://127.0.0.1:1", [], "http://127.0.0.1:1", True), b"", True)
        finally:
            await lane.close()

    with pytest.raises(
        NoReplyError, match=r"^node lost: the worker on Ray node 10\.0\.0\.7 has failed \(UnpicklingError"
    ) as raised:
        asyncio.run(ask())
    assert raised.value.kind is NoReplyKind.NODE_LOST
