"""The memory of `convert`, which should not grow with the number of images, and one image out of a large store.

    python benchmarks/convert_memory.py [10000] [100000]

Stills that are right already become folders of parts. The memory is that of the largest of the command's processes.
Then one image is read by its id from the last folder, in processes that have just started: "at first" counts from
opening the store.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, measured, table
from convert import make_stills

READS = 9
ONE = """
import sys, time
from pathlib import Path
import pyarrow.parquet
from syphus.images.store import open_store
wanted = sys.argv[2:]
clocks = time.perf_counter, time.process_time
began = [clock() for clock in clocks]
store = open_store(Path(sys.argv[1]))
assert store[wanted[0]]
first = [clock() for clock in clocks]
assert all(store[name] for name in wanted[1:])
later = [clock() for clock in clocks]
print(*(b - a for a, b in zip(began, first)), *((c - b) / len(wanted[1:]) for b, c in zip(first, later)))
"""


def read(store: Path, count: int, number: int) -> list[float]:
    """Milliseconds for the first image of a process, and for each of 20 more anywhere in the store: by the clock and of
    CPU each.
    """
    names = [f"CGD_IMG_{(number * 7919 + each * 104_729) % count:012}" for each in range(21)]
    done = subprocess.run(
        [sys.executable, "-c", ONE, str(store), *names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [1000 * float(each) for each in done.stdout.split()]


def main() -> None:
    counts = [int(each) for each in sys.argv[1:]] or [10_000, 100_000]
    rows: list[tuple[str, ...]] = [("images", "seconds", "largest process", "store")]
    with tempfile.TemporaryDirectory() as temporary:
        for count in counts:
            media = make_stills(Path(temporary) / f"photos{count}", count, (224, 224))
            store = Path(temporary) / f"store{count}"
            given = ["--name", "CocoSpotTheDifference.change", "--image_path", str(media), "--output", str(store)]
            done = measured([sys.executable, str(ROOT / "main.py"), "convert", *given])
            assert done.exit_code == 0, done.said
            size = sum(part.stat().st_size for part in store.iterdir())
            rows.append((f"{count:,}", f"{done.seconds:.0f}", f"{done.peak_mb:.0f} MB", f"{size / 1e6:,.0f} MB"))
        times = [read(store, counts[-1], number) for number in range(READS)]
    table(rows)
    first, first_cpu, later, later_cpu = (statistics.median(each) for each in zip(*times, strict=True))
    print(f"one image by its id out of {counts[-1]:,}, medians:")
    print(f"{first:.1f} ms at first ({first_cpu:.1f} ms of CPU), {later:.1f} ms later ({later_cpu:.1f} ms of CPU)")


if __name__ == "__main__":
    main()
