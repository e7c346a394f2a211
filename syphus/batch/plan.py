"""Decides what goes by batch and what online, by the price, a deadline, and how long batches take.

Batches at OpenAI took 7 minutes in the median and less than an hour in nine of ten cases, by 230,000 of them
(openrouter.ai's page on its batch API, read on 2026-11-30), and up to 24 hours. The durations of a user's own batches
are kept beside the runs, for each host and model, and count as soon as there are a few.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from syphus.config.options import AUTO, NEVER, Options
from syphus.config.pricing import Price
from syphus.ledger.shards import has_open_shards
from syphus.ledger.store import Store

FILE = ".batch_times.json"  #: in the folder for runs
KEPT = 200  #: durations by host and model
ENOUGH = 5  #: own durations, before which the published ones count
_PUBLISHED = ((0.0, 60.0), (0.5, 420.0), (0.9, 3_600.0), (0.99, 68_000.0), (1.0, 86_400.0))  # quantile, seconds
USUAL_SECONDS = 10.0  #: of one online answer, before any has come
_CAUTION = 1.3  # times the estimate that requests online take
_RETRIES = 30.0  # seconds on top of it


class BatchPlan(NamedTuple):
    """How the requests of a session are answered.

    `gathers` says that new requests go into batches; else they are sent online, and open batches are only collected.
    """

    gathers: bool = True
    wait: bool = True
    file: Path | None = None  #: to write the requests into, for a server that takes files by hand
    results: tuple[Path, ...] = ()  #: that were made of such a file
    decides: bool = False  #: whether price and deadline decide between batches and online requests
    deadline: float | None = None  #: in seconds since the epoch
    times_folder: Path = Path()  #: where the durations of batches are kept

    @property
    def by_hand(self) -> bool:
        """Whether no server is asked."""
        return self.file is not None or bool(self.results)


def plan_batches(options: Options, store: Store, stage: str) -> BatchPlan | None:
    """Return how batches answer the requests of a stage; None if it has no batch, and makes none."""
    by_hand = options.batch_file is not None or bool(options.batch_results)
    gathers = options.batch != NEVER or options.batch_file is not None
    if not (gathers or by_hand or has_open_shards(store, stage)):
        return None
    deadline = datetime.fromisoformat(options.deadline).timestamp() if options.deadline else None
    plan = BatchPlan(gathers, options.wait, options.batch_file, options.batch_results)
    return plan._replace(decides=options.batch == AUTO, deadline=deadline, times_folder=options.output_dir)


class BatchTimes:
    """How long batches of one model at one host take."""

    def __init__(self, durations: Sequence[float] = ()) -> None:
        self._durations = sorted(durations)

    @classmethod
    def load(cls, folder: Path, name: str) -> BatchTimes:
        """Return the times that are kept in a folder under the name of a host and a model."""
        try:
            kept = json.loads((folder / FILE).read_text("utf-8")).get(name, [])
            return cls([float(each) for each in kept])
        except (OSError, ValueError, AttributeError, TypeError):
            return cls()

    def quantile(self, share: float) -> float:
        """Return the seconds in which this share of the batches ends."""
        if len(self._durations) >= ENOUGH:
            return self._durations[min(len(self._durations) - 1, int(share * len(self._durations)))]
        for (low, fast), (high, slow) in pairwise(_PUBLISHED):
            if share <= high:
                return fast + (slow - fast) * (share - low) / (high - low)
        return _PUBLISHED[-1][1]


def keep_time(folder: Path, name: str, seconds: float) -> None:
    """Keep how long a batch took. A folder that can't be written keeps none: it is only an estimate."""
    path = folder / FILE
    try:
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        times = [*kept.get(name, []), round(seconds, 1)][-KEPT:]
        part = path.with_name(f"{FILE}.part")
        part.write_text(json.dumps({**kept, name: times}), "utf-8")
        part.replace(path)
    except (OSError, ValueError, AttributeError, TypeError):
        return


class OnlinePace(NamedTuple):
    """How fast requests are answered online: requests at once, and requests a minute, None without a limit."""

    threads: int
    per_minute: float | None = None
    seconds: float = USUAL_SECONDS  #: of one answer

    def needs(self, rows: int) -> float:
        """Return the seconds that `rows` take, with some caution."""
        if not rows:
            return 0.0
        by_limit = 60.0 * rows / self.per_minute if self.per_minute else 0.0
        return _CAUTION * max(rows * self.seconds / self.threads, by_limit, self.seconds) + _RETRIES


def is_by_batch(price: Price | None, rows: int, left: float | None, times: BatchTimes, reserve: float) -> bool:
    """Return whether rows are better asked by batch: if it is cheaper, and at least half of the batches end in time.

    `left` are the seconds until the deadline, None without one; `reserve` those that the rest needs after that.
    """
    if not rows or price is None or price.batch >= 1 or not (price.input or price.output):
        return False
    return left is None or left - reserve >= times.quantile(0.5)


def switch_at(began: float, deadline: float, now: float, reserve: float, cancelling: float) -> float:
    """Return when what is still in batches must be cancelled and asked online; times are those of one clock.

    `reserve` are the seconds that it takes online. If that is more than there was at the beginning, batches get three
    quarters of the time.
    """
    latest = deadline - reserve - cancelling
    return max(now, latest if latest > began else began + 0.75 * (deadline - began) - cancelling)
