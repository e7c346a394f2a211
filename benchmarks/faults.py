"""A run through 5% errors 500, 2% resets, 1% cut bodies and 1% calls that never answer.

    python benchmarks/faults.py http://127.0.0.1:8900 [--timeout in seconds, 180 by default]

Nothing may be lost, and the run should end soon after the learned deadline of its last hanging call (at least 7
seconds), with at most 3% more requests than are needed: one for each row, and one for each fault.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import Server, report, run, table, write_annotations


def main() -> None:
    server = Server(sys.argv[1])
    options = ("--num_threads", "64", "--timeout", sys.argv[2] if len(sys.argv) > 2 else "180")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotations = write_annotations(folder / "annotations.json", 1000)
        server.configure(latency_ms=200)
        calm = run(annotations, folder / "calm", server, *options)
        server.configure(latency_ms=200, p500=0.05, preset=0.02, phang=0.01, ptrunc=0.01, hang_ms=65_000)
        done = run(annotations, folder / "faults", server, *options)
        numbers, stats = report(folder / "faults"), server.stats()
    needed = 1000 + sum(stats[fault] for fault in ("e500", "resets", "truncated", "hangs"))
    table(
        [
            ("", "without faults", "with faults"),
            ("rows ok of 1,000", "1,000", f"{numbers['states']['ok']:,}"),
            ("seconds", f"{calm.seconds:.1f}", f"{done.seconds:.1f}"),
            ("requests", "1,000", f"{stats['requests']:,}"),
            ("requests that were needed", "1,000", f"{needed:,}"),
            ("answered in full before", "", str(stats["dup_after_ok"])),
        ]
    )


if __name__ == "__main__":
    main()
