"""How often the interval of the judged share holds, and how many verdicts a growing sample takes.

    python benchmarks/judge.py [--runs 2000] [--seed 0]

Each simulated run has queries with three pairs on average, whose quality is alike within a query (beta-binomial with a
design effect of about 1.5), and a true share of bad pairs. The sample grows by batches, as with `--judge auto`, to a
margin of 2 points. `fixed` is the sample that this margin takes whatever the share is: 2,401 pairs, times the design
effect. Nothing is sent.

The second table is of a judge that errs: it finds nine of ten bad pairs, and calls one of ten sound pairs bad. Its
errors are measured on 200 planted faults and 200 sound pairs, and the share is corrected by them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from syphus.quality.estimates import LOOKS_Z, BadCount, BadSums, JudgeErrors, is_known

MARGIN, FIRST, GROWTH, QUERIES = 0.02, 60, 1.5, 20_000
ALIKE = 0.25  # correlation within a query
DESIGN_EFFECT = 1 + 2 * ALIKE  # of three pairs
FIXED = 2_401 * DESIGN_EFFECT
RECALL, FALSE_ALARMS, PLANTED = 0.9, 0.1, 200


class Sampled(NamedTuple):
    """One simulated run: whether the interval held, and the pairs that were judged."""

    holds: bool
    pairs: int


def query(share: float, rng: random.Random) -> BadCount:
    """Return a query whose pairs tend to be good or bad together."""
    scale = 1 / ALIKE - 1
    chance = rng.betavariate(share * scale, (1 - share) * scale)
    pairs = rng.randint(1, 5)
    return BadCount(pairs, sum(rng.random() < chance for _ in range(pairs)))


def grow(share: float, rng: random.Random) -> Sampled:
    """Sample until the share is known, as `--judge auto` does."""
    sums, wanted = BadSums(), FIRST
    while True:
        while sums.queries < wanted:
            sums.add(query(share, rng))
        found = sums.estimate(LOOKS_Z)
        if is_known(found, MARGIN) or sums.queries >= QUERIES:
            return Sampled(found.low <= share <= found.high, sums.pairs)
        wanted = min(QUERIES, int(wanted * GROWTH))


def corrected(share: float, rng: random.Random) -> bool:
    """Return whether the corrected interval of a judge that errs holds the true share."""
    found = sum(rng.random() < RECALL for _ in range(PLANTED))
    alarms = sum(rng.random() < FALSE_ALARMS for _ in range(PLANTED))
    sums = BadSums()
    for _ in range(600):
        pairs, bad = query(share, rng)
        called = sum(rng.random() < RECALL for _ in range(bad))
        called += sum(rng.random() < FALSE_ALARMS for _ in range(pairs - bad))
        sums.add(BadCount(pairs, called))
    estimate = JudgeErrors(found, PLANTED, alarms, PLANTED).corrected(sums.estimate())
    return estimate.low <= share <= estimate.high


def main() -> None:
    """Play the runs, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| true share of bad pairs | interval holds in | pairs judged (median) | of a fixed sample |")
    print("|---|---|---|---|")
    for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4):
        rng = random.Random(f"{arguments.seed} {share}")
        runs = [grow(share, rng) for _ in range(arguments.runs)]
        holds = sum(run.holds for run in runs) / len(runs)
        pairs = statistics.median(run.pairs for run in runs)
        print(f"| {share:.0%} | {holds:.1%} | {pairs:,.0f} | {pairs / FIXED:.0%} |")
    print("\n| true share of bad pairs | corrected interval of a judge that errs holds in |")
    print("|---|---|")
    for share in (0.02, 0.05, 0.1, 0.2, 0.4):
        rng = random.Random(f"{arguments.seed} {share} corrected")
        holds = statistics.mean(corrected(share, rng) for _ in range(arguments.runs // 4))
        print(f"| {share:.0%} | {holds:.1%} |")


if __name__ == "__main__":
    main()
