"""`kill -9` at random points of batches, lost replies at each call, and lies of the server; then the command again.

    python benchmarks/batch_kills.py [200] [--seed 0] [--part kills|replies|lies]

Each round is a run of 60 queries in shards of 20 at a simulated endpoint. `kills` kills it at a random point: some time
after the start, or after a call of the Batch API has begun; a third of the rounds are killed twice. `replies` loses or
breaks the reply of each call in each way, `lies` plays what batches and their lines do against the rules. The same
command is given until the run is finished. Then server, ledger and files are compared:

twice      requests that were paid for although they had been answered
unknown    batches at the server that the ledger does not know
lost       answers that were billed and delivered, but are not in the ledger
creations  the most batches of one shard
lists      the most lists of files and batches in a session after a kill
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common import DATASET, ROOT, table, write_annotations

from syphus.simulator import SimulatedServer, Simulation, serve_in_thread
from syphus.simulator.batches.batch_faults import BATCH_FAULTS, Level

sys.path.insert(0, str(ROOT / "tests" / "support"))
from warm_python import call  # a process for each command, without the time to load

QUERIES, SHARD = 60, 20
SPEED = 120.0  # a batch of a minute takes half a second
MOST_STARTS = 6
POINTS = ("start", "upload", "create", "batch", "content", "files", "batches")
SERVER = {
    "sloppiness": 0,
    "batch_minutes": 1.0,
    "batch_hours": 0.05,
    "batch_speed": SPEED,
    "batch_listing_delay": 0.2 * SPEED,
    "hang_seconds": 3.0,
    "retry_after": 0.02,
}
CONFIG = {
    "model": "chat",
    "timeout": 2.0,
    "first_wait": 0.05,
    "max_wait": 1.0,
    "batch": {"requests": SHARD, "listing_delay": 0.4, "poll": 0.1},
}


class Outcome(NamedTuple):
    """What was found after a round."""

    finished: bool
    starts: int
    twice: int
    unknown: int
    lost: int
    creations: int
    lists: int
    exact: bool


class Alarm(Counter[str]):
    """Counts calls of the Batch API, and does something once a call has begun for the n-th time."""

    def __init__(self, name: str, number: int, act: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._act = (name, number), act

    def __setitem__(self, name: str, count: int) -> None:
        super().__setitem__(name, count)
        if (str(name), count) == self._at:
            self._act()


class Bench:
    """A warm interpreter that starts runs, and the folder that they work in."""

    def __init__(self, folder: Path, socket: str) -> None:
        self.folder = folder
        self._socket = socket
        self.annotations = write_annotations(folder / "annotations.json", QUERIES)
        self.wanted = ""

    def start(self, name: str, url: str) -> tuple[int, Callable[[], int]]:
        """Start the run; return its process id, and what waits for its exit code."""
        config = self.folder / f"{name}.json"
        endpoint = {"base_url": url, "api_key": "sk-benchmark-0123456789"}
        config.write_text(json.dumps({**CONFIG, "endpoint": endpoint}), "utf-8")
        argv = [str(ROOT / "main.py"), "--name", DATASET, "-in", str(self.annotations), "--batch"]
        argv += ["--output_dir", str(self.folder / name), "--config", str(config), "--num_threads", "8"]
        with (self.folder / f"{name}.log").open("ab") as log:
            streams = (os.open(os.devnull, os.O_RDONLY), log.fileno(), log.fileno())
            connection = call(self._socket, argv, str(ROOT), dict(os.environ), streams)
            os.close(streams[0])
        replies = connection.makefile("r")
        pid = int(replies.readline())

        def wait() -> int:
            with connection, replies:
                return int(replies.readline() or -1)

        return pid, wait

    def round(
        self, name: str, server: SimulatedServer, kills: list[tuple[str, int, float]], faults: Mapping[str, Any]
    ) -> Outcome:
        """Play one round: kill the run at these points (name, number of the call, seconds after it); compare."""
        server.configure(all=1, **SERVER, **faults)
        server.reset()
        lists, starts, code = 0, 0, -9
        while code != 0 and starts < MOST_STARTS:
            before = server.stats.batch_calls
            server.stats.batch_calls = Counter()
            point = kills.pop(0) if kills else None
            code = self._run_once(name, server, point)
            calls = server.stats.batch_calls
            if starts and point is None:
                lists = max(lists, calls["files"] + calls["batches"])
            server.stats.batch_calls = Counter(before) + Counter(calls)
            starts += 1
        return self._compare(name, server, code == 0, starts, lists)

    def _run_once(self, name: str, server: SimulatedServer, point: tuple[str, int, float] | None) -> int:
        pids: list[int] = []

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[0], 9)

        if point is not None and point[0] != "start":
            later = threading.Timer(point[2], kill)
            server.stats.batch_calls = Alarm(point[0], point[1], later.start)
        pid, wait = self.start(name, server.url)
        pids.append(pid)
        if point is not None and point[0] == "start":
            threading.Timer(point[2], kill).start()
        return wait()

    def _compare(self, name: str, server: SimulatedServer, finished: bool, starts: int, lists: int) -> Outcome:
        folder = self.folder / name / DATASET / "v1"
        there = list(batches(server))
        with contextlib.closing(sqlite3.connect(folder / "run.sqlite")) as ledger:
            known = {each for (each,) in ledger.execute("SELECT batch_id FROM shard")}
            (answers,) = ledger.execute("SELECT count(*) FROM answer").fetchone()
        shards = Counter(str(each["metadata"]) for each in there if each["metadata"])
        digest = hashlib.sha256((folder / "pairs.jsonl").read_bytes()).hexdigest() if finished else ""
        return Outcome(
            finished,
            starts,
            server.stats.dup_after_ok,
            sum(each["id"] not in known for each in there),
            server.stats.billed - answers,
            max(shards.values(), default=0),
            lists,
            digest == self.wanted,
        )


def batches(server: SimulatedServer) -> Iterator[dict[str, Any]]:
    """Yield the batches that the server has, all pages of them, of this round."""
    after = ""
    server.advance(86_400)
    while True:
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{server.url}/batches?limit=100{after}", headers={"Authorization": "Bearer sk-benchmark"}
            )
        ) as reply:
            page = json.load(reply)
        yield from page["data"]
        if not page["has_more"]:
            return
        after = f"&after={page['last_id']}"


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """A bench in a temporary folder."""
    with tempfile.TemporaryDirectory() as temporary:
        socket = str(Path(temporary) / "warm")
        script = [sys.executable, str(ROOT / "tests" / "support" / "warm_python.py"), "serve", socket]
        warm = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        assert warm.stdout is not None
        assert warm.stdin is not None
        try:
            warm.stdout.readline()
            yield Bench(Path(temporary), socket)
        finally:
            warm.stdin.close()
            warm.wait()


def play(made: Bench, name: str, kills: list[tuple[str, int, float]], faults: Mapping[str, Any]) -> Outcome:
    """Play a round at a server of its own."""
    with serve_in_thread(Simulation()) as server:
        return made.round(name, server, kills, faults)


def kill_points(rng: random.Random) -> list[tuple[str, int, float]]:
    """Draw where a run is killed, once or twice."""
    points = []
    for _ in range(1 + (rng.random() < 1 / 3)):
        name = rng.choice(POINTS)
        later = rng.uniform(0.05, 1.5) if name == "start" else rng.uniform(0, rng.choice((0.0, 0.05, 0.6)))
        points.append((name, rng.randint(1, 3), later))
    return points


Case = tuple[str, list[tuple[str, int, float]], Mapping[str, Any]]  # its name, kills and faults


def parts(rounds: int, rng: random.Random) -> dict[str, list[Case]]:
    """Return the rounds of each part."""
    calls, batch_faults, lines = (
        [name for name, fault in BATCH_FAULTS.items() if fault.level is level and not name.startswith("stuck")]
        for level in (Level.CALL, Level.BATCH, Level.LINE)
    )
    called = ("upload", "create", "batch", "content")
    return {
        "kills": [(str(number), kill_points(rng), {}) for number in range(rounds)],
        "replies": [(f"{at} {name}", [], {"batch_calls": {at: f"ok,{name}"}}) for at in called for name in calls],
        "lies": [(name, [], {"batch_script": (name,)}) for name in batch_faults]
        + [(name, [], {"batch_faults": {name: 0.2}}) for name in lines],
    }


def summary(part: str, rounds: Iterator[tuple[str, Outcome]]) -> tuple[str, ...]:
    """Play rounds, print each that is not as it should be, and return a row about all."""
    found = []
    for name, each in rounds:
        found.append(each)
        if not each.finished or each.twice or each.unknown or each.lost or each.creations > 1 or not each.exact:
            print(f"{part} {name}: {each}", file=sys.stderr, flush=True)
    return (
        part,
        str(len(found)),
        str(sum(each.exact for each in found)),
        str(sum(each.twice for each in found)),
        str(sum(each.unknown for each in found)),
        str(sum(each.lost for each in found)),
        str(max(each.creations for each in found)),
        str(max(each.lists for each in found)),
    )


def main() -> None:
    """Play all rounds, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("kills", "replies", "lies"))
    given = parser.parse_args()
    rng = random.Random(given.seed)
    rows: list[tuple[str, ...]] = [("part", "rounds", "exact", "twice", "unknown", "lost", "creations", "lists")]
    with bench() as made:
        calm = play(made, "calm", [], {})
        assert (calm.finished, calm.lost) == (True, 0), calm
        pairs = made.folder / "calm" / DATASET / "v1" / "pairs.jsonl"
        made.wanted = hashlib.sha256(pairs.read_bytes()).hexdigest()
        for part, cases in parts(given.rounds, rng).items():
            if given.part in (None, part):
                rows.append(
                    summary(
                        part, ((name, play(made, f"{part} {name}", kills, faults)) for name, kills, faults in cases)
                    )
                )
    table(rows)


if __name__ == "__main__":
    main()
