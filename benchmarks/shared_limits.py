"""How well several processes share the limits of one key, at a server with true buckets for requests and tokens.

    python benchmarks/shared_limits.py                  # all, about nine minutes
    python benchmarks/shared_limits.py tokens --runs 8  # one: tokens, requests, alone, foreign, killed, ray, ray-share

Each of the runs is a process of the main job with 32 threads; the simulated endpoint is in this process. `alone` is the
same as `tokens` without `--share`. In `foreign`, a program without Syphus takes half of the limit and drops what is
refused; it is measured from 30 seconds after its start. In `killed`, a run is killed with SIGKILL, and it is measured
from two seconds after that. `ray` is one run that sends from a Ray cluster of four nodes; without `--share`, it spends
what the server's buckets have saved up. "used" is what the server admitted of its limit, "most in a minute" the most
that the runs got in any minute.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from common import ROOT, command, table, write_annotations

sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from ray_nodes import RayNodes, ray_nodes  # noqa: E402 - it is found by the line above

from syphus.simulator import SimulatedServer, Simulation, serve_in_thread  # noqa: E402 - as above

MAX_TOKENS = 800
WARM_UP = 20  # seconds
ROWS = 20_000  # of each run: more than it can do
FOREIGN = "somebody else"


class Admitted(NamedTuple):
    """What the server admitted in each second, and what it refused: for the runs, and for the foreign program."""

    runs: list[float]
    foreign: list[float]
    refused: float
    foreign_refused: float


def read(server: SimulatedServer, by_tokens: bool, start: float, first: float = 0.0) -> Admitted:
    """What the server saw since `start`, in seconds of its clock; refusals since `first` seconds after that."""
    records = [each for each in server.requests if each.at >= start]
    length = int(max(each.at for each in records) - start) + 1
    admitted: dict[bool, list[float]] = {True: [0.0] * length, False: [0.0] * length}
    sent, refused = {True: 0, False: 0}, {True: 0, False: 0}
    for each in records:
        is_foreign = FOREIGN in each.last_user
        if each.status == 200:
            charge = each.prompt_tokens + MAX_TOKENS if by_tokens else 1
            admitted[is_foreign][int(each.at - start)] += charge
        if each.at - start >= first:
            sent[is_foreign] += 1
            refused[is_foreign] += each.status == 429
    shares = {who: refused[who] / max(1, sent[who]) for who in sent}
    return Admitted(admitted[False], admitted[True], shares[False], shares[True])


def most_in_a_minute(series: Sequence[float]) -> float:
    """The most in any 60 seconds."""
    return max(sum(series[start : start + 60]) for start in range(max(1, len(series) - 59)))


@contextmanager
def runs(server: SimulatedServer, folder: Path, count: int, *more: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many runs on one key, with `more` options, while the block lasts."""
    config = folder / "config.json"
    endpoint = {"base_url": server.url, "api_key": "sk-benchmark-0123456789"}
    config.write_text(json.dumps({"endpoint": endpoint, "max_tokens": MAX_TOKENS, "hedging": False}), "utf-8")
    options = ["--num_threads", "32", "--config", str(config), "--quiet", *more]
    processes = []
    for number in range(count):
        rows = write_annotations(folder / f"{number}.json", ROWS, number * ROWS)
        log = (folder / f"{number}.log").open("wb")
        typed = command(rows, folder / f"of-{number}", *options)
        processes.append(subprocess.Popen(typed[typed.index(sys.executable) :], stderr=log, stdout=log))
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def started(server: SimulatedServer, processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """Wait until each run has asked something; return the time of the server then."""
    seen: set[str] = set()
    while len(seen) < len(processes):
        if any(process.poll() is not None for process in processes):
            raise SystemExit("A run has ended; see its log.")
        time.sleep(0.2)
        ids = (each.last_user.partition("#id=")[2].partition(" ")[0] for each in server.requests if each.status == 200)
        seen = {str(int(each) // ROWS) for each in ids if each.isdigit()}
    return max(each.at for each in server.requests)


def foreign_client(server: SimulatedServer, per_second: float, ended: threading.Event) -> None:
    """Take so many requests a second; what is refused is dropped."""
    messages = [{"role": "user", "content": FOREIGN}]
    body = json.dumps({"model": "gpt-6-luna", "messages": messages, "max_completion_tokens": MAX_TOKENS}).encode()
    headers = {"Authorization": "Bearer sk-other", "Content-Type": "application/json"}

    def ask() -> None:
        request = urllib.request.Request(f"{server.url}/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(request) as reply:
                reply.read()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:  # the server has ended
            pass

    due = time.monotonic()
    while not ended.is_set():
        threading.Thread(target=ask, daemon=True).start()
        due += 1 / per_second
        ended.wait(max(0.0, due - time.monotonic()))


def options(name: str, nodes: RayNodes | None, folder: str) -> tuple[str, ...]:
    """What lets the runs of an experiment keep to a limit together."""
    shared = () if name in ("alone", "ray") else ("--share", f"{folder}/share")
    return shared if nodes is None else ("--ray", nodes.address, *shared)


def play(name: str, count: int, seconds: int, limits: dict[str, float], act: Callable[..., None] | None = None) -> None:
    """One experiment, and its row."""
    settings = {"sloppiness": 0, "latency": 0.5, "latency_sigma": 0.4, "keep_requests": 1_000_000, **limits}
    by_tokens, limit = "tpm" in limits, limits.get("tpm") or limits["rpm"]
    with (
        tempfile.TemporaryDirectory() as temporary,
        serve_in_thread(Simulation(**settings)) as server,  # type: ignore[arg-type]  # by name
        ray_nodes(4) if name.startswith("ray") else nullcontext() as nodes,
        runs(server, Path(temporary), 1 if nodes else count, *options(name, nodes, temporary)) as processes,
    ):
        start = started(server, processes)
        ended = threading.Event()
        since = WARM_UP
        if act is not None:
            time.sleep(WARM_UP)
            act(server, processes, ended)
            since = WARM_UP + (30 if name == "foreign" else 2)
        time.sleep(seconds)
        ended.set()
        seen = read(server, by_tokens, start, since if name == "foreign" else 0)
    steady = seen.runs[since : WARM_UP * (act is not None) + seconds - 1]
    foreign = seen.foreign[since : since + len(steady)]
    used = (sum(steady) + sum(foreign)) / len(steady) / (limit / 60)
    ROWS_SHOWN.append((
        name,
        str(len(processes)),
        f"{used:.1%}",
        f"{seen.refused:.2%}",
        f"{most_in_a_minute(seen.runs) / limit:.1%}",
        f"{sum(foreign) / len(steady) / (limit / 60):.1%}, {seen.foreign_refused:.2%} refused" if sum(foreign) else "",
    ))  # fmt: skip


ROWS_SHOWN: list[tuple[str, ...]] = [("experiment", "runs", "used", "refused", "most in a minute", "of it foreign")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="tokens, requests, alone, foreign, killed, ray, ray-share")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=80)
    parser.add_argument("--tpm", type=float, default=1_200_000)
    chosen = parser.parse_args()
    tokens = {"tpm": chosen.tpm}

    def half(server: SimulatedServer, _: object, ended: threading.Event) -> None:
        per_second = chosen.tpm / 2 / 60 / (MAX_TOKENS + 5)
        threading.Thread(target=foreign_client, args=(server, per_second, ended), daemon=True).start()

    def kill(_: object, processes: Sequence[subprocess.Popen[bytes]], __: object) -> None:
        os.kill(processes[0].pid, signal.SIGKILL)

    experiments: dict[str, tuple[dict[str, float], Callable[..., None] | None]] = {
        "tokens": (tokens, None),
        "requests": ({"rpm": 1200.0, "burst_seconds": 1}, None),
        "alone": (tokens, None),
        "foreign": ({**tokens, "burst_seconds": 10}, half),
        "killed": (tokens, kill),
        "ray": (tokens, None),
        "ray-share": (tokens, None),
    }
    for name, (limits, act) in experiments.items():
        if not chosen.only or name in chosen.only:
            play(name, chosen.runs, chosen.seconds, limits, act)
    table(ROWS_SHOWN)


if __name__ == "__main__":
    main()
