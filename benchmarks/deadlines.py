"""Whether the plan for a deadline meets it, and at which share of the online price, in simulated time.

    python benchmarks/deadlines.py [500] [--seed 0]

Each run has 1 to 20 batches whose times are drawn from the published quantiles (7 minutes in the median, 19 hours for
one of a hundred), and a deadline of 5 minutes to 24 hours. The decisions are those of `syphus.batch.plan`: by batch or
online, and when to cancel. The rest is calculated: no request is sent, online answers take up to 1.2 times the usual
seconds, a cancelled batch ends within `cancel_seconds`, and brings the share that was answered until then. `can be met`
are the deadlines that asking everything online from the beginning would meet.
"""

from __future__ import annotations

import argparse
import random
from statistics import mean, median
from typing import NamedTuple

from common import table

from syphus.batch.plan import BatchTimes, OnlinePace, is_by_batch, switch_at
from syphus.config.pricing import Price
from syphus.config.values import BatchConfig

LINES, THREADS = 1_000, 64
PRICE = Price(input=10.0, cached_input=10.0, output=40.0, batch=0.5)
CANCELLING = BatchConfig().cancel_seconds


class Outcome(NamedTuple):
    """How a run ended: the share of the online price, and whether its deadline was met and could be."""

    met: bool
    possible: bool
    by_batch: bool
    share: float


def play(rng: random.Random) -> Outcome:
    """Play one run, which begins at 0."""
    usual = BatchTimes()
    durations = [usual.quantile(rng.random()) for _ in range(rng.randint(1, 20))]
    rows = LINES * len(durations)
    deadline = 300 * (86_400 / 300) ** rng.random()
    pace, slower = OnlinePace(THREADS), rng.uniform(0.8, 1.2)
    possible = slower * pace.seconds * rows / THREADS <= deadline
    by_batch = is_by_batch(PRICE, rows, deadline, usual, pace.needs(rows) + CANCELLING)
    if not by_batch:
        end, share = slower * pace.seconds * rows / THREADS, 1.0
    else:
        for now in sorted({0.0, *durations}):  # the plan looks again whenever a batch has ended
            open_rows = LINES * sum(each > now for each in durations)
            switch = switch_at(0.0, deadline, now, pace.needs(open_rows), CANCELLING)
            later = [each for each in durations if each > now]
            if not later or switch < min(later):
                break
        left = sum(LINES * (1 - switch / each) for each in later)
        end = max(durations) if not later else switch + CANCELLING + slower * pace.seconds * left / THREADS
        share = (left + 0.5 * (rows - left)) / rows
    return Outcome(end <= deadline, possible, by_batch, share)


def main() -> None:
    """Play all runs, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    found = [play(rng) for _ in range(given.runs)]
    possible, by_batch = [each for each in found if each.possible], [each for each in found if each.by_batch]
    rows = [("runs", "deadline can be met", "of these met", "by batch", "share of the online price: mean", "median")]
    rows.append(
        (
            *(f"{len(found)}", f"{len(possible)}", f"{sum(each.met for each in possible)}", f"{len(by_batch)}"),
            *(f"{mean(each.share for each in by_batch):.1%}", f"{median(each.share for each in by_batch):.1%}"),
        )
    )
    table(rows)


if __name__ == "__main__":
    main()
