"""Connects to a Ray cluster, and starts a worker on each of its nodes. All else here uses it.

Ray is a singleton of the process, so the connection is one, too: it is made by the first run that asks for it, and ends
with the process. The workers stay with it, so that the stages of a run share them.

What goes where: the code of Syphus is imported on each node, which must have the same version. Settings with secrets go
to a worker as the argument of a method, which Ray sends directly to that process, and not as an argument of its
constructor, which Ray keeps in its table of actors.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from syphus.cluster.ray_head import RayHead, listening_problem, longer_patience
from syphus.errors import ConfigError, NodesLostError
from syphus.text import alternatives, install_hint, one_line

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from syphus.cluster.ray_worker import RequestWorker

AUTO_ADDRESS = "auto"
_START_SECONDS = 120.0  # that a node may take to start a process of ours; the first one imports everything


class RayNode(NamedTuple):
    """A node of the cluster that is alive. `cores` is how many CPUs Ray may use there."""

    id: str
    address: str
    cores: float


class NodeFacts(NamedTuple):
    """What must be the same on all nodes, and what a node can see. `syphus` is None if it can't be imported there."""

    python: str
    ray: str
    syphus: str | None
    unseen: tuple[str, ...]  #: files and folders that are not there
    packages: tuple[tuple[str, str], ...] = ()  #: names and versions; "" for one that is not installed


_Facts: TypeAlias = tuple[str, str, str | None, tuple[str, ...], tuple[tuple[str, str], ...]]


class RayWorkers:
    """The connection of this process to a cluster, with a worker on each node. Make it with `connect`."""

    def __init__(self, address: str, head: RayHead) -> None:
        self.address = address  #: as the user wrote it
        self._head = head
        self._workers: dict[str, ActorHandle[RequestWorker]] = {}
        self._checked: set[str] = set()
        self._seen: set[str] = set()  # files and folders that each node must see
        self._needed: set[str] = set()  # packages of which it must have the version that is here

    def nodes(self) -> list[RayNode]:
        """Return the nodes that take work: those with CPUs for Ray, or all of them if none has any.

        Blocks. Raises `NodesLostError` if the head is lost.
        """
        import ray

        list_nodes: Any = ray.nodes  # Any: it has no types
        alive = [
            RayNode(each["NodeID"], each["NodeManagerAddress"], float(each["Resources"].get("CPU", 0.0)))
            for each in self._head.ask(list_nodes)
            if each["Alive"]
        ]
        return [node for node in alive if node.cores > 0] or alive

    def require(self, seen: Sequence[Path], needed: Sequence[str]) -> None:
        """Require more of the nodes: files and folders that they see, and packages that are installed."""
        more = {str(path.absolute()) for path in seen} - self._seen, {*needed} - self._needed
        if any(more):
            self._seen |= more[0]
            self._needed |= more[1]
            self._checked.clear()

    def check(self, nodes: Sequence[RayNode]) -> None:
        """Raise `ConfigError` if one of these nodes differs from this machine, or lacks something.

        Blocks. Raises `NodesLostError` if the head is lost.
        """
        seen, needed = tuple(sorted(self._seen)), tuple(sorted(self._needed))
        facts = self._head.ask(partial(_node_facts, nodes, seen, needed))
        here = NodeFacts(*_make_probe()((), needed))
        for node in nodes:
            check_facts(node, facts[node.id], here)
            self._checked.add(node.id)

    def require_one_machine(self, option: str) -> None:
        """Raise `ConfigError` if a node is another machine than this one; `option` is what works only here."""
        from ray.util import get_node_ip_address

        find_address: Callable[[], str] = get_node_ip_address
        here = find_address()
        others = [node.address for node in self.nodes() if node.address != here]
        if others:
            raise ConfigError(f"{option} works on this machine only, but Ray node {others[0]} is another machine.")

    def is_checked(self, node_id: str) -> bool:
        """Return whether a node was found to be fit."""
        return node_id in self._checked

    def start(self, node: RayNode) -> ActorHandle[RequestWorker]:
        """Return the worker of a node, which is started if there is none.

        Blocks until the head knows of it. Raises `NodesLostError` if the head is lost.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from syphus.cluster.ray_worker import RequestWorker

        if node.id not in self._workers:
            worker_class: Any = ray.remote(RequestWorker)  # Any: Ray adds the methods at run time
            options = worker_class.options(
                num_cpus=0,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            )
            self._workers[node.id] = self._head.ask(options.remote)
        return self._workers[node.id]

    def forget(self, node_id: str) -> None:
        """Forget the worker of a node, so that `start` makes another one."""
        import ray

        if (worker := self._workers.pop(node_id, None)) is not None:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(worker)

    def leave(self) -> None:
        """Disconnect from a cluster whose head is lost: Ray would end this process some time. Blocks for seconds."""
        import ray

        _connections.pop(self.address, None)
        ray.shutdown()


def require_ray() -> None:
    """Raise `ConfigError` if Ray is not installed."""
    if find_spec("ray") is None:
        raise ConfigError(f"--ray needs Ray: {install_hint('ray')}")


_connections: dict[str, RayWorkers] = {}  # by address; at most one


def connect(address: str, seen: Sequence[Path] = (), needed: Sequence[str] = ()) -> RayWorkers:
    """Return the connection to the cluster at `address`, or at the one that Ray finds by itself for "auto".

    `seen` are files and folders that each node must see, `needed` the packages that it must have as they are here.
    Blocks, up to minutes if nodes are slow. Raises `ConfigError` with one line: nobody listens
    there, versions differ, or a node lacks something.
    """
    require_ray()
    _check_address(address)
    if address not in _connections:
        if _connections:
            raise ConfigError(f"--ray {address}: this process is connected to {alternatives(_connections)} already.")
        with longer_patience() as patience:
            head = RayHead(_quietly(_init, address), patience)
        _connections[address] = RayWorkers(address, head)
    workers = _connections[address]
    try:
        nodes = workers.nodes()
        if not nodes:
            raise ConfigError(f"--ray {address}: no node of the cluster is alive. `ray status` there shows more.")
        workers.require(seen, needed)
        workers.check([node for node in nodes if not workers.is_checked(node.id)])
    except NodesLostError:
        workers.leave()
        raise
    return workers


def _check_address(address: str) -> None:
    """Raise `ConfigError` for an address that is wrong, or where no Ray listens: Ray would wait for minutes."""
    if address == AUTO_ADDRESS:
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise ConfigError(
            f"--ray {address}: must be auto, or HOST:PORT as `ray start --head` prints it (often port 6379). "
            "Run Syphus on a node of the cluster; ray:// from outside is not supported."
        )
    if reason := listening_problem(host, int(port)):
        raise ConfigError(f"--ray {address}: no Ray cluster there: {reason}. `ray start --head` starts one.")


def _init(address: str) -> str:
    """Connect, and return the address of the head."""
    import ray

    try:
        ray.init(
            address=address,
            logging_level=logging.CRITICAL,
            log_to_driver=False,
            include_dashboard=None,
        )
    except ConnectionError:
        where = "on this machine" if address == AUTO_ADDRESS else "there"
        raise ConfigError(
            f"--ray {address}: no Ray cluster runs {where}. Start one (ray start --head), or name one: --ray HOST:PORT."
        ) from None
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise ConfigError(f"--ray {address}: Ray can't connect: {one_line(str(error), 300)}") from None
    _silence_errors()
    return str(ray.get_runtime_context().gcs_address)


def _silence_errors() -> None:
    """Keep Ray from printing the last lines of a raylet's log when a node dies. There is no setting for that.

    It does what `ray.shutdown` does to the thread that prints them.
    """
    from ray._private.worker import global_worker

    subscriber, stopped = (getattr(global_worker, name, None) for name in ("gcs_error_subscriber", "threads_stopped"))
    if subscriber is not None and stopped is not None:
        stopped.set()
        subscriber.close()


def _quietly(init: Callable[[str], str], address: str) -> str:
    """Connect without Ray's warnings, and give SIGTERM back: Ray takes it, and a run handles it itself."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns that its default will change
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    with warnings.catch_warnings(), _kept_sigterm():
        warnings.simplefilter("ignore")
        return init(address)


@contextlib.contextmanager
def _kept_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not on the main thread: Ray could not take it either
            signal.signal(signal.SIGTERM, before)


def _node_facts(nodes: Sequence[RayNode], seen: tuple[str, ...], needed: tuple[str, ...]) -> Mapping[str, NodeFacts]:
    """Return the facts of nodes by their ids. Blocks. Raises `ConfigError` if a node does not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe: Any = ray.remote(_make_probe())  # Any: as above
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        asked[node.id] = probe.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(seen, needed)
    facts = {}
    for node in nodes:
        try:
            facts[node.id] = NodeFacts(*ray.get(asked[node.id], timeout=_START_SECONDS))
        except ray.exceptions.GetTimeoutError:
            raise ConfigError(f"Ray node {node.address} has started no process within {_START_SECONDS:g} s.") from None
        except ray.exceptions.RayError as error:
            raise ConfigError(f"Ray node {node.address} can't run Python: {one_line(str(error), 300)}") from None
    return facts


def _make_probe() -> Callable[[tuple[str, ...], tuple[str, ...]], _Facts]:
    """Return the function that looks at a node. Ray sends it by value, as it is local: nothing of ours may be there."""

    def probe(seen: tuple[str, ...], needed: tuple[str, ...]) -> _Facts:
        from contextlib import suppress
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path

        import ray

        found: str | None = None
        with suppress(ImportError):
            from syphus.version import __version__ as found
        unseen = tuple(path for path in seen if not Path(path).exists())
        packages = dict.fromkeys(needed, "")
        for name in needed:
            with suppress(PackageNotFoundError):
                packages[name] = version(name)
        return platform.python_version(), ray.__version__, found, unseen, tuple(packages.items())

    return probe


def check_facts(node: RayNode, facts: NodeFacts, here: NodeFacts) -> None:
    """Raise `ConfigError` if a node differs from this machine, whose facts are `here`, or lacks something."""
    where = f"Ray node {node.address}"
    if facts.syphus is None:
        raise ConfigError(f"{where} has no Syphus: pip install 'syphus[ray]=={here.syphus}' on every node.")
    theirs_by_name = dict(facts.packages)
    packages = [(name, ours, theirs_by_name.get(name, "")) for name, ours in here.packages]
    for name, ours, theirs in (("Python", here.python, facts.python), ("Ray", here.ray, facts.ray), *packages):
        if ours and not theirs:
            raise ConfigError(f"{where} lacks {name}, of which this machine has {ours}.")
        if ours != theirs:
            raise ConfigError(f"{where} has {name} {theirs}, this machine {ours}. They must be the same.")
    if facts.syphus != here.syphus:
        raise ConfigError(f"{where} has Syphus {facts.syphus}, this machine {here.syphus}. They must be the same.")
    if facts.unseen:
        raise ConfigError(f"{where} does not see {facts.unseen[0]}. Put it on storage that all nodes share.")
