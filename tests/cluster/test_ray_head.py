"""The head of a real Ray cluster is killed under a run whose nodes ask servers of their own (`--ray-local`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Ran, server
from processes import Watch, command, environment, finish
from ray_nodes import ray_nodes

from syphus.types import State

pytest.importorskip("ray", reason="the extra ray is not installed")

ROWS = 300
FILES = ("RW_instructions.json", "RW_train.json", "pairs.jsonl")


def files(folder: Path) -> list[bytes]:
    return [(folder / "output" / "Rows.rows" / "v1" / name).read_bytes() for name in FILES]


def test_a_run_stops_without_the_head_and_what_is_in_flight_arrives(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.mkdir()
    ours.mkdir()
    impatient = environment(RAY_gcs_rpc_server_reconnect_timeout_s="2")  # the run waits for half of it
    with ray_nodes(2) as cluster, server(latency=0.2) as slow, server() as fast:
        Watch(slow).at("answer", 12, cluster.kill_head)
        stopped = finish(command(ours, slow.url, ROWS, "--ray", cluster.address, "--ray-local"), ours, env=impatient)
        assert stopped.returncode == 3, stopped.stderr
        said = f"The head of the Ray cluster at {cluster.address} has not answered for 1 s: Connection refused. Start"
        assert stopped.stderr.count(said) == 1, stopped.stderr
        assert "gcs" not in stopped.stderr.lower()
        report = Ran(3, None, ours / "output" / "Rows.rows" / "v1").report
        answered = report.counts.states[State.OK]
        assert 12 <= answered == slow.stats.requests < ROWS
        assert report.counts.states[State.PENDING] == ROWS - answered
        assert {" of " in use.name for use, _ in report.endpoints} == {True}  # each node has an endpoint
        assert finish(command(ours, fast.url, ROWS), ours).returncode == 0
        assert fast.stats.requests == ROWS - answered
        assert finish(command(plain, fast.url, ROWS), plain).returncode == 0
    assert files(ours) == files(plain)
