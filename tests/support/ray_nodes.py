"""A real Ray cluster of several nodes, in processes of this machine, that a test or a benchmark adds to and kills.

Ray's own `cluster_utils` starts the nodes. It runs in a process of its own, this file as a script, so that what Ray
does to signals, warnings and the environment stays out of the tests. That process ends with its stdin, and takes all
nodes along.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_STORE = 80_000_000  # bytes of a node's object store; nothing of ours is in it
_END_SECONDS = 60.0


class RayNodes:
    """A running cluster: a head that takes no work, and nodes of one core each."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.folder = folder  #: Ray's files: logs, sockets, what it knows of the cluster
        self.address = self._read()

    def add(self) -> None:
        """Starts another node, and waits until the cluster has it."""
        self._tell("add")

    def kill(self) -> None:
        """Kills the oldest node with all its processes, as a power cut does."""
        self._tell("kill")

    def kill_head(self) -> None:
        """Kills the head with all its processes. The nodes go on until they miss it."""
        self._tell("kill head")

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the process with the cluster has ended; see above"
        return line


@contextmanager
def ray_nodes(count: int, cores: float = 1) -> Iterator[RayNodes]:
    """A cluster of so many nodes, without those processes that nobody needs here."""
    folder = Path(tempfile.mkdtemp(prefix="ry", dir="/tmp"))  # short: a socket's path may have 107 bytes
    (folder / "ray").mkdir()
    env = {**os.environ, "RAY_TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    arguments = [sys.executable, str(Path(__file__)), str(count), str(cores)]
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        encoding="utf-8", start_new_session=True,
    )  # fmt: skip
    try:
        yield RayNodes(process, folder)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def main(count: int, cores: float) -> None:
    """Runs a cluster, and obeys one order a line: add, kill, kill head."""
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Ray prints is none of them
    usual = {"object_store_memory": _STORE, "include_dashboard": False, "include_log_monitor": False}
    quick = {  # how soon a dead node is noticed; by itself, Ray takes half a minute
        "health_check_initial_delay_ms": 500, "health_check_period_ms": 300, "health_check_failure_threshold": 3,
    }  # fmt: skip
    head = {"num_cpus": 0, "no_monitor": True, "_system_config": quick, **usual}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=cores, **usual) for _ in range(count)]
    print(cluster.address, file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "add":
            nodes.append(cluster.add_node(num_cpus=cores, **usual))
        else:
            killed = cluster.head_node if line.strip() == "kill head" else nodes.pop(0)
            cluster.remove_node(killed, allow_graceful=False)
        print("done", file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
