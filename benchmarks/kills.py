"""`kill -9` at random moments, and the same command again.

    python benchmarks/kills.py http://127.0.0.1:8900 [100]

Each round is a run of 2,000 queries that is killed once, at a moment drawn from a seed, and resumed. It is exact where
the files are those of a run that nobody killed and every query has one outcome. "Paid twice" are requests that the
server had answered in full before.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from common import DATASET, Server, command, environment, report, run, table, write_annotations

QUERIES, THREADS = 2000, 64


def digest(output: Path) -> str:
    """Of the MIMIC-IT files and of pairs.jsonl."""
    names = ("SD_instructions.json", "SD_train.json", "pairs.jsonl")
    return hashlib.sha256(b"".join((output / DATASET / "v1" / name).read_bytes() for name in names)).hexdigest()


def main() -> None:
    server, rounds = Server(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100
    rng = random.Random(0)
    exact, twice = 0, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotations = write_annotations(folder / "annotations.json", QUERIES)
        server.configure(latency_ms=20)
        calm = run(annotations, folder / "calm", server, "--num_threads", str(THREADS))
        wanted = digest(folder / "calm")
        for number in range(rounds):
            output = folder / str(number)
            server.configure(latency_ms=20)
            start = command(annotations, output, "--num_threads", str(THREADS))
            process = subprocess.Popen(start, env=environment(server), stderr=subprocess.DEVNULL)
            try:
                process.wait(rng.uniform(0.3, calm.seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            done = run(annotations, output, server, "--num_threads", str(THREADS))
            states = report(output)["states"]
            exact += done.exit_code == 0 and states["ok"] == QUERIES and digest(output) == wanted
            twice.append(server.stats()["dup_after_ok"])
    table(
        [
            ("kills", "exact", "paid twice, most", "paid twice, mean", "allowed"),
            (str(rounds), str(exact), str(max(twice)), f"{sum(twice) / rounds:.1f}", str(THREADS)),
        ]
    )


if __name__ == "__main__":
    main()
