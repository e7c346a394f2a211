"""Input of 100 shards on S3, `kill -9` after a random number of answers, and the run that goes on from its snapshot.

    python benchmarks/remote_data.py [kills, 20 by default] [rows of a shard, 10 by default]

The store is moto's server, and the endpoint the simulated one, both on loopback. Each round kills a run that takes a
snapshot about every second, and goes on in another folder, as on another machine. It is exact where the files are those
of a run that nobody killed. "Paid again" are requests beyond those of such a run: what was answered after the last
snapshot, or was in flight. The last rows compare runs with snapshots every second with runs that have none.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from common import DATASET, ROOT, measured, table

from syphus.simulator import SimulatedServer, Simulation, serve_in_thread
from syphus.storage.folders import Folder, open_folder

SHARDS, THREADS, PORT = 100, 32, 5599
INPUT = "s3://bench/shards/part-{000..099}.json"


def start_store(cache: Path) -> subprocess.Popen[bytes]:
    """Starts the store with an empty bucket, and sets the environment that leads to it."""
    own = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SYPHUS_CACHE": str(cache),
    }
    os.environ.update(own)
    arguments = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(PORT)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    import s3fs

    for _ in range(100):
        try:
            s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False).mkdir("bench")
            return process
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the store does not start")


def write_shards(folder: Folder, rows: int) -> None:
    """Writes the shards, every row another text."""
    for shard in range(SHARDS):
        records = [
            {"img_id": f"{shard}_{row}", "sentences": [f"#id={shard * rows + row} the blue car has moved"]}
            for row in range(rows)
        ]
        folder.write(f"part-{shard:03}.json", json.dumps(records).encode())


def command(output: Path, *options: str) -> list[str]:
    """The main job over all shards."""
    given = ["--name", DATASET, "-in", INPUT, "--output_dir", str(output), "--num_threads", str(THREADS)]
    return [sys.executable, str(ROOT / "main.py"), *given, *options]


def digest(run: Path) -> str:
    """Of the files of a run."""
    names = ("SD_instructions.json", "SD_train.json", "pairs.jsonl")
    return hashlib.sha256(b"".join((run / name).read_bytes() for name in names)).hexdigest()


def kills(folder: Path, server: SimulatedServer, count: int, wanted: str, needed: int) -> tuple[str, ...]:
    """Kills a run after a random number of answers, and goes on elsewhere; a run that nobody kills needs `needed`."""
    rng = random.Random(0)
    exact, again, unbegun = 0, [], 0
    for number in range(count):
        here, there = folder / f"{number}a", folder / f"{number}b"
        place = f"s3://bench/snapshots/{number}"
        before = server.stats.requests
        begun = command(here, "--snapshot", place, "--snapshot-every", "0.015")
        process = subprocess.Popen(begun, stderr=subprocess.DEVNULL)
        last = before + rng.randrange(1, needed)
        while process.poll() is None and server.stats.ok < last:
            time.sleep(0.005)
        process.kill()
        process.wait()
        run = there / DATASET / "v1"
        done = measured([sys.executable, str(ROOT / "main.py"), "resume", str(run), "--from", place])
        if done.exit_code == 2:  # killed before a snapshot of the run
            unbegun += 1
            done = measured(command(there, "--snapshot", f"{place}-again"))
        exact += done.exit_code == 0 and digest(run) == wanted
        again.append(server.stats.requests - before)
    paid = sorted(each - needed for each in again)
    return str(count), str(exact), str(unbegun), str(paid[-1]), str(median(paid))


def disturbance(folder: Path, rounds: int = 3) -> list[tuple[str, ...]]:
    """Compares the seconds of runs with and without snapshots, in turns."""
    found: dict[str, list[float]] = {"none": [], "every second": []}
    for number in range(rounds):
        for name, times in found.items():
            output = folder / f"{name} {number}"
            flags = ["--snapshot", f"s3://bench/speed/{number}", "--snapshot-every", "0.0167"] if name != "none" else []
            done = measured(command(output, *flags))
            assert done.exit_code == 0, done.said
            report = json.loads((output / DATASET / "v1" / "report.json").read_text("utf-8"))
            times.append(sum(each["seconds"] for each in report["sessions"]))
    return [("snapshots", "seconds of the session, median"), *((name, f"{median(t):.2f}") for name, t in found.items())]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store = start_store(folder / "copies")
        try:
            write_shards(open_folder("s3://bench/shards"), rows)
            with serve_in_thread(Simulation(sloppiness=0, latency=0.15)) as server:
                os.environ.update(OPENAI_BASE_URL=server.url, OPENAI_API_KEY="none")
                first = measured(command(folder / "calm"))
                assert first.exit_code == 0, first.said
                wanted, run = digest(folder / "calm" / DATASET / "v1"), server.stats.requests
                copied = measured(command(folder / "calm again"))
                table([("fetching 100 shards and the run", "run with copies"),
                       (f"{first.seconds:.1f} s", f"{copied.seconds:.1f} s")])  # fmt: skip
                head = ("kills", "exact", "before a snapshot", "paid again, most", "paid again, median")
                table([head, kills(folder, server, count, wanted, run)])
                table([(f"requests of a run of {SHARDS * rows} rows", str(run)), *disturbance(folder)])
        finally:
            store.terminate()
            store.wait()


if __name__ == "__main__":
    main()
