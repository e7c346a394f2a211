"""Peak memory from ten thousand queries to a million.

python benchmarks/memory.py http://127.0.0.1:8900 [10000 100000 1000000]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import Server, report, run, table, write_annotations


def main() -> None:
    server = Server(sys.argv[1])
    counts = [int(count) for count in sys.argv[2:]] or [10_000, 100_000, 1_000_000]
    rows: list[tuple[str, ...]] = [("queries", "peak memory", "queries/s of the session", "seconds in all", "ledger")]
    for count in counts:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            server.configure()
            annotations = write_annotations(folder / "annotations.json", count)
            done = run(annotations, folder / "output", server, "--num_threads", "64")
            numbers = report(folder / "output")
            assert numbers["states"]["ok"] == count, done.said
            size = sum(file.stat().st_size for file in (folder / "output").rglob("run.sqlite*"))
            rate = count / numbers["seconds"]
            peak = f"{done.peak_mb:.0f} MB"
            rows.append((f"{count:,}", peak, f"{rate:,.0f}", f"{done.seconds:.0f}", f"{size / 1e6:,.0f} MB"))
    table(rows)


if __name__ == "__main__":
    main()
