"""What a Ray cluster costs and brings: kills of nodes and of the driver, convert, and the driver's CPU and memory.

    python benchmarks/ray_run.py kills [50 20]       nodes and drivers are killed at random, then the same command
    python benchmarks/ray_run.py convert [240 2400]  stills on 1 and 2 nodes of one core, beside the process pool
    python benchmarks/ray_run.py send [20000]        the CPU of the driver for a request that a node sends, no more
    python benchmarks/ray_run.py driver [1000 6000]  the CPU and memory of the driver in a whole run

The nodes are real ones, in processes of this machine. `send` and `driver` ask `fast_server.py`, whose answers are made
up; their figures are CPU time of the driver's process alone, so that what runs beside it counts little.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from common import ROOT, Server, command, environment, measured, report, table, write_annotations
from convert import make_stills

sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from ray_nodes import RayNodes, ray_nodes  # noqa: E402 - it is found by the line above

from syphus.cluster.ray_connection import connect  # noqa: E402
from syphus.config.endpoint_settings import EndpointConfig  # noqa: E402
from syphus.config.secrets import SecretRedactor  # noqa: E402
from syphus.endpoints.remote_endpoint import RemoteEndpoint  # noqa: E402
from syphus.endpoints.routes import CHAT_ROUTE  # noqa: E402
from syphus.simulator import SimulatedServer, Simulation, serve_in_thread  # noqa: E402

PORT = 18_977
THREADS = 16
ROWS = 200
FILES = ("SD_instructions.json", "SD_train.json", "pairs.jsonl")


@contextmanager
def fast_server() -> Iterator[Server]:
    arguments = [sys.executable, str(ROOT / "benchmarks" / "fast_server.py"), str(PORT)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{PORT}")
    try:
        while True:
            try:
                server.configure()
                break
            except OSError:  # it starts
                time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()


def digest(folder: Path) -> str:
    """Of the files that people get."""
    run = next(folder.glob("*/v1"))
    return hashlib.sha256(b"".join((run / name).read_bytes() for name in FILES)).hexdigest()


class Killed(NamedTuple):
    """A round. `again` are the requests beyond one for each row, `lost` those that the run knows to be lost."""

    what: str
    exact: bool
    again: int
    lost: int


def kills(nodes: int, drivers: int) -> None:
    """Each round kills a node or the driver at a moment drawn from a seed; the same command follows.

    Exact: the files have the bytes of a run without Ray, so no answer is lost and none is there twice. A run that loses
    a node must end by itself, and may pay again for what it counts as lost there; one that is killed, for its threads.
    """
    rng = random.Random(0)
    victims = rng.sample(["node"] * nodes + ["driver"] * drivers, nodes + drivers)
    rounds = []
    with tempfile.TemporaryDirectory() as temporary, ray_nodes(2) as cluster:
        folder = Path(temporary)
        rows = write_annotations(folder / "rows.json", ROWS)
        with serve_in_thread(Simulation(latency=0.2, sloppiness=0)) as simulated:
            environ = environment(Server(simulated.host_url))
            options = ("--num_threads", str(THREADS), "--quiet", "--model", "chat", "--no-hedging")
            measured(command(rows, folder / "calm", *options), environ)
            wanted = digest(folder / "calm")
            for number, victim in enumerate(victims):
                simulated.reset()
                output = folder / str(number)
                start = command(rows, output, *options, "--ray", cluster.address)
                is_time = partial(has_answered, simulated, rng.randrange(1, ROWS - THREADS))
                code = killed(start, environ, cluster if victim == "node" else None, is_time)
                done = measured(start, environ)
                ended = code == 0 if victim == "node" else code == -signal.SIGKILL
                exact = ended and done.exit_code == 0 and digest(output) == wanted
                lost = nodes_lost(output) if victim == "node" else THREADS
                rounds.append(Killed(victim, exact, simulated.stats.requests - ROWS, lost))
                print(number + 1, *rounds[-1], file=sys.stderr, flush=True)
                shutil.rmtree(output)
    heads = ("killed", "rounds", "exact", "requests again", "most in a round", "rounds with more than were lost there")
    summary: list[tuple[str, ...]] = [heads]
    for what in ("node", "driver"):
        each = [one for one in rounds if one.what == what]
        numbers = (len(each), sum(one.exact for one in each), sum(one.again for one in each),
                   max((one.again for one in each), default=0), sum(one.again > one.lost for one in each))  # fmt: skip
        summary.append((what, *map(str, numbers)))
    table(summary)


def has_answered(server: SimulatedServer, requests: int) -> bool:
    """Whether so many requests have got an answer."""
    return server.stats.ok >= requests


def nodes_lost(output: Path) -> int:
    """The requests that a run has counted as lost with a node."""
    return sum(each["causes"].get("node lost", 0) for each in report(output)["endpoints"])


def killed(start: list[str], environ: dict[str, str], cluster: RayNodes | None, is_time: Callable[[], bool]) -> int:
    """Starts a run, kills a node of the cluster or else the run itself when it is time, and returns its exit code."""
    with subprocess.Popen(start, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not is_time() and process.poll() is None:
            time.sleep(0.005)
        if cluster is None:
            process.kill()
        else:
            cluster.kill()
            cluster.add()
        return process.wait()


def convert(few: int, many: int) -> None:
    """Seconds of the command, and those of a still by the difference of a long and a short one; CPU of the driver."""
    rows: list[tuple[str, ...]] = [
        ("where", f"seconds, {few}", f"seconds, {many}", "ms a still", "CPU of the driver, ms a still", "same bytes")
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        media = {count: make_stills(folder / f"photos{count}", count) for count in (few, many)}
        stores: list[bytes] = []

        def go(name: str, *flags: str) -> None:
            seconds, cpu, store = {}, {}, folder / "none"
            for count in (few, many):
                store = folder / f"{name} {count}" / "CGD.parquet"
                store.parent.mkdir()
                given = ["--name", "CocoSpotTheDifference.change", "--image_path", str(media[count])]
                done = measured(
                    [sys.executable, str(ROOT / "main.py"), "convert", *given, "--output", str(store), *flags]
                )
                assert done.exit_code == 0, done.said
                seconds[count], cpu[count] = done.seconds, done.cpu
            stores.append(store.read_bytes())
            each, driver = ((found[many] - found[few]) / (many - few) * 1000 for found in (seconds, cpu))
            same = "yes" if stores[-1] == stores[0] else "no"
            rows.append((name, f"{seconds[few]:.1f}", f"{seconds[many]:.1f}", f"{each:.1f}", f"{driver:.2f}", same))

        go("1 process", "--num_threads", "1")
        go("2 processes", "--num_threads", "2")
        for nodes in (1, 2):
            with ray_nodes(nodes) as cluster:
                go(f"{nodes} nodes", "--ray", cluster.address)
    table(rows)


def send(requests: int) -> None:
    """The CPU of the driver's process for one exchange: encode, hand over, get the reply back."""
    with fast_server(), ray_nodes(2) as cluster:
        workers = connect(cluster.address)
        plain, with_ray = asyncio.run(_send(requests, workers))
    rows = [("sent by", "CPU of the driver, ms", "for each CPU second")]
    rows += [(name, f"{1000 * each:.3f}", f"{1 / each:,.0f}") for name, each in (("it", plain), ("nodes", with_ray))]
    table(rows)


async def _send(requests: int, workers: object) -> tuple[float, float]:
    from syphus.cluster.ray_connection import RayWorkers
    from syphus.cluster.ray_fleet import RayFleet

    assert isinstance(workers, RayWorkers)
    config = EndpointConfig.model_validate(
        {"base_url": f"http://127.0.0.1:{PORT}/v1", "api_key": "sk-0123456789012345"}
    )
    body = b'{"model":"gpt-6-luna","messages":[{"role":"user","content":"%b"}]}' % (b"x" * 3000)

    async def load(post: Callable[[bytes], object]) -> float:
        left = iter(range(requests))

        async def one() -> None:
            for _ in left:
                await post(body)  # type: ignore[misc]  # a coroutine of either endpoint

        began = _cpu()
        await asyncio.gather(*(one() for _ in range(512)))
        return (_cpu() - began) / requests

    direct = RemoteEndpoint(config, 0, SecretRedactor())
    plain = await load(direct.send)
    await direct.close()
    fleet = RayFleet(workers)
    async with fleet.running(lambda _: None):
        (endpoint,) = fleet.endpoints(config, SecretRedactor(), CHAT_ROUTE)
        await endpoint.send(body)
        with_ray = await load(endpoint.send)
        await endpoint.close()
    return plain, with_ray


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def driver(few: int, many: int) -> None:
    """A whole run, by the difference of a long and a short one: what it takes to start counts for nothing."""
    rows: list[tuple[str, ...]] = [
        ("run", "CPU of the driver a query, ms", "queries a CPU second", "peak MB", "peak MB, few")
    ]
    with tempfile.TemporaryDirectory() as temporary, fast_server() as server, ray_nodes(2) as cluster:
        folder = Path(temporary)
        for name, flags in (("without Ray", ()), ("2 nodes", ("--ray", cluster.address))):
            cpu, peak = {}, {}
            for count in (few, many):
                rows_file = write_annotations(folder / f"{count}.json", count)
                start = command(rows_file, folder / f"{name}{count}", "--num_threads", "256", "--quiet", *flags)
                done = measured(start, environment(server))
                assert done.exit_code == 0, done.said
                cpu[count], peak[count] = done.cpu, done.peak_mb
            each = (cpu[many] - cpu[few]) / (many - few)
            rows.append((name, f"{1000 * each:.2f}", f"{1 / each:,.0f}", f"{peak[many]:.0f}", f"{peak[few]:.0f}"))
    table(rows)


def main() -> None:
    """Runs the part that is named."""
    what, *numbers = sys.argv[1:] or ["kills"]
    given = [int(each) for each in numbers]
    match what:
        case "kills":
            kills(*given or [50, 20])
        case "convert":
            convert(*given or [240, 2400])
        case "send":
            send(*given or [20_000])
        case "driver":
            driver(*given or [1000, 6000])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
