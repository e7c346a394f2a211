"""How long it takes to take in the results of large batches, and how much memory a million requests need.

    python benchmarks/batch_size.py [--take-in 50000] [--submit 1000000] [--folder FOLDER]

`--take-in` submits one batch of so many lines, lets the simulated endpoint answer it, and measures the session that
takes in the results: reading and writing them apart from what comes before and after. `--submit` submits so many
requests with `--no-wait`, and measures until when the first batch is created. 0 leaves a part out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from common import DATASET, ROOT, Run, Server, environment, measured, table, write_annotations

PROGRAM = """
import resource, sys, time
from syphus.batch.ingest import ResultIngester
read = ResultIngester.read
async def timed(self, *given):
    cpu, began = time.process_time(), time.monotonic()
    found = await read(self, *given)
    print(f"TAKEN {time.process_time() - cpu:.2f} {time.monotonic() - began:.2f}", file=sys.stderr)
    return found
ResultIngester.read = timed
from syphus.cli import main
sys.exit(main())
"""


class Measured(NamedTuple):
    """A session, and the seconds of CPU and in all that it took in results for."""

    run: Run
    cpu: float
    seconds: float


@contextmanager
def endpoint(**settings: Any) -> Iterator[Server]:
    """A simulated endpoint in a process of its own."""
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, str(ROOT / "main.py"), "simulate", "--port", "0", *given]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield Server(line.split("counters: ")[1].split("/stats")[0])
    finally:
        process.terminate()
        process.wait()


def session(annotations: Path, output: Path, server: Server, *options: str) -> Measured:
    """Run the main job by batches, and return what it took."""
    given = ["--name", DATASET, "-in", str(annotations), "--output_dir", str(output), "--model", "chat", "--batch"]
    environ = {**environment(server), "PYTHONPATH": str(ROOT)}
    run = measured([sys.executable, "-c", PROGRAM, *given, *options], environ)
    found = [line.split() for line in run.said.splitlines() if line.startswith("TAKEN")]
    return Measured(run, sum(float(each[1]) for each in found), sum(float(each[2]) for each in found))


def call(server: Server, path: str) -> Any:
    """Return what a route answers."""
    asked = urllib.request.Request(server.url + path, headers={"Authorization": "Bearer sk-benchmark"})
    with urllib.request.urlopen(asked, timeout=600) as reply:
        return json.load(reply)


def take_in(folder: Path, lines: int) -> None:
    """Measure a session that takes in so many lines."""
    annotations = write_annotations(folder / "annotations.json", lines)
    with endpoint(batch_minutes=60, batch_most_lines=lines, sloppiness=0, keep_requests=0) as server:
        first = session(annotations, folder / "output", server, "--no-wait")
        call(server, "/clock?advance=86000")
        while any(batch["status"] != "completed" for batch in call(server, "/v1/batches?limit=100")["data"]):
            time.sleep(1)
        second = session(annotations, folder / "output", server)
    size = f"{lines:,}"
    rows = [
        ("session", "lines", "taking in, CPU s", "taking in, s", "whole session, CPU s", "peak memory"),
        ("submits", size, "", "", f"{first.run.cpu:.1f}", f"{first.run.peak_mb:.0f} MB"),
        (
            "takes in",
            size,
            f"{second.cpu:.1f}",
            f"{second.seconds:.1f}",
            f"{second.run.cpu:.1f}",
            f"{second.run.peak_mb:.0f} MB",
        ),
    ]
    if second.run.exit_code:
        print(second.run.said[-2000:])
    table(rows)


def submit(folder: Path, requests: int) -> None:
    """Measure a session that submits so many requests."""
    annotations = write_annotations(folder / "many.json", requests)
    stuck = ",".join(["stuck_validating"] * 200)
    with endpoint(batch_script=stuck, keep_requests=0) as server:
        began = time.time()
        run = session(annotations, folder / "many", server, "--no-wait").run
        made = []
        after = ""
        while True:
            page = call(server, f"/v1/batches?limit=100{after}")
            made += page["data"]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
    if run.exit_code != 6:
        print(run.said[-2000:])
    first = min(batch["created_at"] for batch in made) - began
    table(
        [
            ("requests", "batches", "first created after", "seconds in all", "CPU s", "peak memory"),
            (
                f"{requests:,}",
                str(len(made)),
                f"{first:.0f} s",
                f"{run.seconds:.0f}",
                f"{run.cpu:.0f}",
                f"{run.peak_mb:.0f} MB",
            ),
        ]
    )


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take-in", type=int, default=50_000)
    parser.add_argument("--submit", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, default=None, help="for the files; the shards of a million take gigabytes"
    )
    given = parser.parse_args()
    os.environ.pop("SYPHUS_BENCHMARK_ROWS", None)
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        if given.take_in:
            take_in(Path(temporary), given.take_in)
        if given.submit:
            submit(Path(temporary), given.submit)


if __name__ == "__main__":
    main()
