"""Requests that are wasted on parameters that a server refuses, for each simulated server profile.

    python benchmarks/refusals.py [ROWS, 1000 by default]

At most four may be wasted in a run of any size, and none in one that is resumed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from common import table
from harness import run_rows, server

from syphus.simulator.profiles import PROFILES

EVERYTHING = {"verbosity": "low", "prompt_cache_key": "k", "reasoning_effort": "minimal"}


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    lines: list[tuple[str, ...]] = [("server", "by default", "resumed", "all options set", "resumed then")]
    for profile in filter(None, PROFILES):
        wasted: list[int] = []
        for extra in ({}, EVERYTHING):
            with tempfile.TemporaryDirectory() as folder, server(profile=profile) as simulated:
                config = {"model": "gpt-6-later", "extra_body": extra}
                for size in (rows, rows + rows // 10):
                    before = simulated.stats.by_status[400]
                    run_rows(Path(folder), simulated.url, size, config=config, num_threads=64)
                    wasted.append(simulated.stats.by_status[400] - before)
        lines.append((profile, *map(str, wasted)))
    table(lines)


if __name__ == "__main__":
    main()
