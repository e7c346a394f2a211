"""How often the circuit breaker stops a run although nothing has changed, and how soon it stops one that gets worse.

    python benchmarks/breaker.py [--runs 1000] [--rows 5000] [--seed 0]

Each simulated run has six kinds of bad answers, which is as many as the breaker watches; every answer is bad in each
kind with a share of its own, drawn between nothing and a half for each run. The first table counts the runs that are
stopped although no share changes. In the second one, one share rises after a number of answers, and it says after how
many more answers the run is stopped: in the median, in 95% of the runs, and in how many within 200. Nothing is sent.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from syphus.pipeline.breaker import ALPHA, RISE
from syphus.pipeline.drift_test import DriftTest

KINDS = 6
LONGEST = 2_000  # answers after the change
SOON = 200


def is_stopped(rows: int, rng: random.Random, rise: float) -> bool:
    """Return whether a run in which nothing changes is stopped."""
    shares = [rng.random() ** 2 / 2 for _ in range(KINDS)]
    tests = [DriftTest(ALPHA / KINDS, rise) for _ in shares]
    return any(test.add(rng.random() < share) for _ in range(rows) for share, test in zip(shares, tests, strict=True))


def answers_until_stop(before: float, after: float, start: int, rng: random.Random, rise: float) -> int:
    """Return after how many answers of the changed model a run is stopped; a stop before it counts as `LONGEST`."""
    test = DriftTest(ALPHA / KINDS, rise)
    for number in range(start + LONGEST):
        share = before if number < start else after
        if test.add(rng.random() < share) is not None:
            return number - start + 1 if number >= start else LONGEST
    return LONGEST


def main() -> None:
    """Play the runs, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"| least rise | runs of {arguments.rows:,} rows | stopped although nothing has changed |\n|---|---|---|")
    for rise in (RISE, 0.05):
        rng = random.Random(f"{arguments.seed} {rise}")
        stopped = sum(is_stopped(arguments.rows, rng, rise) for _ in range(arguments.runs))
        print(f"| {rise:g} | {arguments.runs:,} | {stopped} |")
    print("\n| share before, after | good answers before | stopped after (median) | in 95% | within 200 |")
    print("|---|---|---|---|---|")
    for before, after in ((0.02, 0.3), (0.02, 0.5), (0.1, 0.4), (0.1, 0.6)):
        for start in (100, 1_000, 100_000)[: 2 if after == 0.6 else 3]:
            rng = random.Random(f"{arguments.seed} {before} {after} {start}")
            runs = max(20, arguments.runs // (10 if start <= 1_000 else 50))
            found = sorted(answers_until_stop(before, after, start, rng, RISE) for _ in range(runs))
            soon = sum(each <= SOON for each in found) / runs
            late = found[int(0.95 * (runs - 1))]
            print(
                f"| {before:.0%}, {after:.0%} | {start:,} | {statistics.median(found):,.0f} | {late:,} | {soon:.0%} |"
            )


if __name__ == "__main__":
    main()
