"""How fast the viewer is on a live ledger of a million queries (10 GB), and what it costs the run.

    python benchmarks/viewer.py --rows 1000000 --folder BIG

The ledger is made in a few minutes, by SQL through its own schema, with made-up texts of several kB, rows in all
states, three models and five sessions. A second process goes on writing outcomes, as a run does, while the viewer's
real server is asked for pages, and while pages listen to its events. Nothing is sent. Beside the times, which depend
on what else the machine does, stands the CPU time of the viewer, which does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from viewer_run import MODELS, RULES, Words, Writing, make_ledger, working

from syphus.ledger.store import FILE

ROOT = Path(__file__).parent.parent


class Watched:
    """The viewer's command, its pages, and what it uses."""

    def __init__(self, folder: Path, cache: Path) -> None:
        command = [sys.executable, "main.py", "view", str(folder), "--no-browser", "--port", "0"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        began = time.monotonic()
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        address = self.process.stdout.readline()
        self.start = time.monotonic() - began
        found = re.search(r":(\d+)/\?token=(\S+)", address)
        assert found, address
        self.port, self.token = int(found[1]), found[2]
        self.key = self.get("/api/runs")[0]["runs"][0]["key"]

    def get(self, path: str) -> tuple[Any, float]:
        """Return the JSON of an address, and the seconds that it took."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        began = time.monotonic()
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        response = connection.getresponse()
        body = response.read()
        seconds = time.monotonic() - began
        connection.close()
        assert response.status == 200, (path, response.status, body[:300])
        return json.loads(body), seconds

    def run(self, path: str) -> tuple[Any, float]:
        """Return the JSON of an address of the run, and the seconds that it took."""
        return self.get(f"/api/runs/{self.key}/{path}")

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str = "VmHWM") -> float:
        """Peak memory in MB; `VmRSS` is that of now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(rf"{name}:\s+(\d+)", status)
        assert found
        return int(found[1]) / 1024

    def close(self) -> None:
        """Stop it as Ctrl-C does."""
        self.process.terminate()
        self.process.wait()


def lists(words: Words) -> dict[str, str]:
    """The lists that are asked for, by what they are."""
    common, rare = words.words[20], words.words[20_000]
    return {
        "all": "", "ok": "state=ok", "pending": "state=pending", "invalid": "state=invalid", "failed (90 rows)":
        "state=failed", "four states": "state=invalid,refused,truncated,failed", "one reason": "reason=placeholder",
        "a part of a reason": "reason=filter", "a rule that repairs": "rule=markup", "a rule that rejects":
        f"rule={urllib.parse.quote(RULES[0])}", "a usual model": f"model={MODELS[0]}", "a rare model":
        f"model={MODELS[2]}", "a session": "session=3", "model and session": f"model={MODELS[1]}&session=2",
        "model and state": f"model={MODELS[2]}&state=invalid", "a usual word": f"text={common}",
        "a rare word": f"text={rare}", "two words": f"text={common}+{rare}", "an id": "text=row_654321",
        "no such word": "text=zzzzz", "a beginning": f"text={rare[:6]}*", "a word and a state":
        f"text={common}&state=failed", "two words and a reason": f"text={common}+{words.words[30]}&reason=placeholder",
    }  # fmt: skip


def measure_pages(watched: Watched, words: Words, times: int, rows: int) -> None:
    """Ask for the first page and pages after it of each list, and for single queries; print how long they took."""
    every: list[float] = []
    draw = random.Random(3)
    for name, parameters in lists(words).items():
        taken, found, page, cpu = [], 0, None, watched.cpu
        for _ in range(times):
            after = f"&after={page['next']}" if page and page["next"] else ""
            page, seconds = watched.run(f"queries?{parameters}{after}")
            taken.append(seconds)
            found += len(page["rows"])
        every += taken
        cost = (watched.cpu - cpu) / times
        note = f"  searched {page['searched']:.0%}" if page and "searched" in page else ""
        print(
            f"  {name:30} median {statistics.median(taken) * 1e3:5.0f} ms, longest {max(taken) * 1e3:5.0f} ms, "
            f"CPU {cost * 1e3:4.0f} ms, {found} rows{note}"
        )
    taken = []
    for _ in range(10 * times):
        taken.append(watched.run(f"queries/{draw.randint(1, rows)}")[1])
    every += taken
    print(f"  {'a query':30} median {statistics.median(taken) * 1e3:5.0f} ms, longest {max(taken) * 1e3:5.0f} ms")
    print(f"any page or filter: 95% in {statistics.quantiles(every, n=20)[-1] * 1e3:.0f} ms, {len(every)} requests")


def measure_first_page(watched: Watched, times: int = 7) -> None:
    """Print how long the first page of the run takes: its files, the list of runs, its overview, its first rows."""
    taken = []
    for _ in range(times):
        time.sleep(1.1)  # so that the numbers are read again
        taken.append(sum(watched.run(path)[1] for path in ("overview", "queries")) + watched.get("/api/runs")[1])
    print(f"first page: median {statistics.median(taken) * 1e3:.0f} ms, longest {max(taken) * 1e3:.0f} ms")


def listen(watched: Watched, until: threading.Event, seen: list[tuple[float, int]]) -> None:
    """Note the time and the number of finished rows of each event."""
    connection = HTTPConnection("127.0.0.1", watched.port, timeout=60)
    path = f"/api/runs/{watched.key}/events"
    connection.request("GET", path, headers={"Authorization": f"Bearer {watched.token}"})
    response = connection.getresponse()
    while not until.is_set():
        line = response.readline()
        if line.startswith(b"data: "):
            value = json.loads(line[6:])
            seen.append((time.time(), value["total"] - value["counts"]["pending"]))
    connection.close()


def measure_lag(watched: Watched, folder: Path) -> None:
    """Print how old the numbers of events are when they come: since the first later commit."""
    seen: list[tuple[float, int]] = []
    stop = threading.Event()
    thread = threading.Thread(target=listen, args=(watched, stop, seen))
    thread.start()
    commits: list[tuple[float, int]] = []
    until = time.monotonic() + 20
    with closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)) as ledger:
        while time.monotonic() < until:
            (count,) = ledger.execute(
                "SELECT sum(times) FROM tally WHERE kind IN ('ok', 'invalid', 'refused', 'truncated', 'failed')"
            ).fetchone()
            commits.append((time.time(), count))
            time.sleep(0.02)
    stop.set()
    thread.join()
    lags = []
    for at, (later, count) in zip([at for at, _ in seen[1:]], seen, strict=False):
        first = next((when for when, known in commits if known > count and when > later - 5), None)
        if first is not None and first < at:
            lags.append(at - first)
    if not lags:
        print("lag of live numbers: the run has ended; use a higher --pending")
        return
    print(f"lag of live numbers: median {statistics.median(lags):.1f} s, longest {max(lags):.1f} s, {len(lags)} events")


def measure_cost(folder: Path, cache: Path, rows: int) -> None:
    """Print what a run's writes cost in CPU time and in its log, with pages open and without."""
    for rounds in range(3):
        for with_viewer in (False, True):
            watched = Watched(folder, cache) if with_viewer else None
            stop = threading.Event()
            threads = []
            if watched is not None:
                threads = [threading.Thread(target=listen, args=(watched, stop, [])) for _ in range(3)]
                threads.append(threading.Thread(target=_look_around, args=(watched, stop)))
                for thread in threads:
                    thread.start()
            with working(folder, 400.0, rows) as done:
                written: Writing = done.get()
            stop.set()
            for thread in threads:
                thread.join()
            if watched is not None:
                watched.close()
            print(
                f"  {rounds + 1}: {'with   ' if with_viewer else 'without'} the viewer: "
                f"CPU a row {written.cpu / written.rows * 1e6:.0f} us, log at most {written.wal / 1e6:.1f} MB"
            )


def _look_around(watched: Watched, stop: threading.Event) -> None:
    """Ask for a page of a list twice a second, as two people who look around do."""
    ways = list(lists(Words(1)).values())
    for number in range(10**6):
        watched.run(f"queries?{ways[number % len(ways)]}")
        if stop.wait(0.5):
            return


def main() -> None:
    """Make the ledger, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the ledger, and keep it (default: a temporary one)")
    parser.add_argument("--pending", type=float, default=0.1, help="share of the rows that the working run has left")
    parser.add_argument("--times", type=int, default=10, help="pages of each list")
    parser.add_argument("--skip-cost", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = arguments.folder or Path(temporary)
        folder, cache = base / "X.x" / "v1", base / "cache"
        if not (folder / FILE).exists():
            make_ledger(folder, arguments.rows, arguments.pending)
        watched = Watched(folder, cache)
        print(f"start of the viewer: {watched.start:.2f} s; memory {watched.memory('VmRSS'):.0f} MB")
        with working(folder, 100.0):
            time.sleep(2)
            measure_first_page(watched)
            print("without the viewer's own index, while it is made:")
            measure_pages(watched, Words(1), 2, arguments.rows)
            print(f"memory {watched.memory('VmRSS'):.0f} MB, at most {watched.memory():.0f} MB")
            _wait_for_index(watched, cache)
            print("with it:")
            measure_pages(watched, Words(1), arguments.times, arguments.rows)
            measure_lag(watched, folder)
            print(f"memory {watched.memory('VmRSS'):.0f} MB, at most {watched.memory():.0f} MB")
        watched.close()
        if not arguments.skip_cost:
            print("what a working run's writes cost:")
            measure_cost(folder, cache, 4000)


def _wait_for_index(watched: Watched, cache: Path) -> None:
    """Wait until the viewer's own index is complete; print how long that took, and its size."""
    began, cpu = time.monotonic(), watched.cpu
    while True:
        watched.run("queries?limit=1")
        paths = list(cache.rglob("*.sqlite"))
        if paths:
            with closing(sqlite3.connect(f"file:{paths[0]}?mode=ro", uri=True)) as index:
                if index.execute("SELECT 1 FROM fact WHERE name = 'ready'").fetchone():
                    break
        time.sleep(5)
    size = sum(path.stat().st_size for path in cache.rglob("*.sqlite*"))
    took = f"{time.monotonic() - began:.0f} s, {watched.cpu - cpu:.0f} s of CPU"
    print(f"the rest of the viewer's own index: {took}, {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
