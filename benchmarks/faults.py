"""A run through 5% errors 500, 2% resets, 1% cut bodies and 1% calls that never answer.

    python benchmarks/faults.py http://127.0.0.1:8900 [attempt deadline in seconds]

Nothing may be lost, and the run should end within two attempt deadlines of its last ordinary row.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import Server, report, run, table, write_annotations


def tail(answers: list[int], deadline: float) -> int:
    """Seconds from the last ordinary row, before the first silence of half a deadline, to the end of the run."""
    last = 0
    for second, count in enumerate(answers):
        if count and second - last < deadline / 2:
            last = second
    return len(answers) - 1 - last


def main() -> None:
    server = Server(sys.argv[1])
    deadline = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotations = write_annotations(folder / "annotations.json", 1000)
        server.configure(latency_ms=200)
        calm = run(annotations, folder / "calm", server, "--num_threads", "64", "--timeout", str(deadline))
        server.configure(latency_ms=200, p500=0.05, preset=0.02, phang=0.01, ptrunc=0.01, hang_ms=600_000)
        done = run(annotations, folder / "faults", server, "--num_threads", "64", "--timeout", str(deadline))
        numbers, stats = report(folder / "faults"), server.stats(series=True)
    table(
        [
            ("", "without faults", "with faults"),
            ("rows ok of 1,000", "1,000", f"{numbers['states']['ok']:,}"),
            ("seconds", f"{calm.seconds:.1f}", f"{done.seconds:.1f}"),
            (
                "attempt deadlines behind the last ordinary row",
                "",
                f"{tail(stats['series_ok'], deadline) / deadline:.2f}",
            ),
            ("requests", "1,000", f"{stats['requests']:,}"),
            ("answered in full before", "", str(stats["dup_after_ok"])),
        ]
    )


if __name__ == "__main__":
    main()
