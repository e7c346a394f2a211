"""How soon things begin: `--help`, a run's first request, and the first new one where a million are done.

python benchmarks/startup.py http://127.0.0.1:8900 [1000000]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import ROOT, Server, command, environment, run, table, write_annotations


def seconds(start: list[str], server: Server) -> float:
    """Until a command ends."""
    began = time.monotonic()
    subprocess.run(start, env=environment(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.monotonic() - began


def first_request(start: list[str], server: Server) -> float:
    """Until the server has seen a request of the command."""
    server.reset()
    began = time.monotonic()
    process = subprocess.Popen(start, env=environment(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = threading.Event()
    while not server.stats()["requests"] and process.poll() is None:
        done.wait(0.002)
    seen = time.monotonic() - began
    process.wait()
    return seen


def main() -> None:
    server, count = Server(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    rows: list[tuple[str, ...]] = [("what", "seconds")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server.configure()
        small = write_annotations(folder / "small.json", 10)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import openai": [sys.executable, "-c", "import openai"],
            "--help": [sys.executable, str(ROOT / "main.py"), "--help"],
        }
        for name, start in commands.items():
            rows.append((name, f"{statistics.median(seconds(start, server) for _ in range(9)):.2f}"))
        starts = [first_request(command(small, folder / f"first{i}"), server) for i in range(9)]
        rows.append(("first request of a new run", f"{statistics.median(starts):.2f}"))
        large = write_annotations(folder / "large.json", count)
        run(large, folder / "large", server, "--num_threads", "64", "--max_requests", str(count - 1))
        resumed = first_request(command(large, folder / "large", "--num_threads", "64"), server)
        rows.append((f"first request after {count - 1:,} of {count:,} are done", f"{resumed:.2f}"))
        write_annotations(large, count + 1)
        resumed = first_request(command(large, folder / "large", "--num_threads", "64"), server)
        rows.append(("... and after a row was added to the file", f"{resumed:.2f}"))
    table(rows)


if __name__ == "__main__":
    main()
