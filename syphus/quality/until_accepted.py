"""Asks until there are as many accepted pairs as the user wants, and no longer.

A pair is accepted if the rules, the judge and the balance let it through. The judge and the balance know only
afterwards, so the run asks for as many pairs as are missing, has them judged, and asks again for what is then missing.
Each time fewer are missing, and no more is asked for than if all were accepted. So beyond the wanted number there is at
most what was in flight when it was reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

from syphus.config.options import NEVER, Options
from syphus.errors import EnoughError, SyphusError
from syphus.formats.report import Report
from syphus.formats.run_files import PairsFile
from syphus.ledger.records import pending_numbers
from syphus.ledger.results import accepted
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer
from syphus.quality.balance import BalanceOptions, balance_file, choose_pairs, parse_balance
from syphus.runs.outputs import open_pairs
from syphus.runs.run_settings import GENERATE
from syphus.text import pluralize, short_path
from syphus.types import State

_FIRST_PART = 200  # rows that are asked and judged before others, if the quality has a bound
_SURE = 20  # rows after which their pairs say how many rows the missing pairs take
_LEAST_YIELD = 0.05  # accepted pairs of a row that are expected at least


class AskingForPairs(Protocol):
    """`StageRunner.run` of the main stage: asks about the queries `only`, up to `pairs_wanted` accepted pairs."""

    def __call__(
        self,
        report: Report,
        pairs: PairsFile | None,
        *,
        only: Collection[int] | None = None,
        pairs_wanted: int | None = None,
    ) -> SyphusError | None:
        """Return what stopped it, None if all are done."""
        ...


@dataclass(frozen=True, slots=True)
class AcceptedGoal:
    """How many accepted pairs the user wants; with a `balance`, only those count that it chooses."""

    pairs: int
    balance: BalanceOptions | None
    in_session: bool  #: a session may end in the middle; batches are collected to their end
    bounded: bool  #: the quality has a bound, so that the first rows are judged early

    @classmethod
    def of_run(cls, options: Options) -> AcceptedGoal | None:
        """Return the goal that the options set, or None. Raises `ConfigError`."""
        if options.until_accepted is None:
            return None
        chosen = parse_balance(options.balance) if options.balance else None
        if chosen is not None:
            choose_pairs((), chosen)  # what it lacks is said before a request is sent
        in_session = options.batch == NEVER and options.batch_file is None and not options.batch_results
        return cls(options.until_accepted, chosen, in_session, options.min_quality is not None)

    def count(self, store: Store, report: Report) -> int:
        """Return how many accepted pairs there are. Raises what `choose_pairs` does."""
        if self.balance is None or not report.counts.pairs:
            return report.counts.pairs
        found = ((each.id, each.instruction, each.answer) for row in accepted(store, GENERATE) for each in row.pairs)
        return choose_pairs(found, self.balance)[1].chosen


def ask_until_accepted(
    store: Store,
    goal: AcceptedGoal,
    ask: AskingForPairs,
    read_report: Callable[[], Report],
    judge: Callable[[], SyphusError | None],
) -> SyphusError | None:
    """Ask about pending rows until the goal is reached or none is left; return what stopped it before, or None.

    What earlier sessions have left to the judge is judged first.
    """
    size = _FIRST_PART
    if read_report().counts.pairs and (stopped_by := judge()) is not None:
        return stopped_by
    while True:
        report = read_report()
        missing = goal.pairs - goal.count(store, report)
        if missing <= 0:
            return None
        rows = _rows_for(missing, report)
        numbers = pending_numbers(store, GENERATE, min(rows, size) if goal.bounded else rows)
        if not numbers:
            return None
        wanted = missing if goal.in_session else None
        stopped_by = ask(report, open_pairs(store, GENERATE), only=numbers, pairs_wanted=wanted)
        if stopped_by is not None and not isinstance(stopped_by, EnoughError):
            return stopped_by
        if (stopped_by := judge()) is not None:
            return stopped_by
        size *= 2


def _rows_for(missing: int, report: Report) -> int:
    """Return how many rows are needed for the missing pairs, judging by the rows so far; at first, one pair a row."""
    counts = report.counts
    done = counts.total - counts.states[State.PENDING]
    if done < _SURE:
        return missing
    return math.ceil(missing / max(counts.pairs / done, _LEAST_YIELD))


def enough_line(store: Store, goal: AcceptedGoal | None, report: Report) -> str:
    """Return that the goal is reached although rows are pending; "" if it is not, or if nothing is pending."""
    pending = report.counts.states[State.PENDING]
    if goal is None or not pending or (there := goal.count(store, report)) < goal.pairs:
        return ""
    rows = pluralize(pending, "query stays", "queries stay")
    return (
        f"{pluralize(there, 'accepted pair')}: --until-accepted {goal.pairs} is reached; {rows} pending. For more, "
        "raise it."
    )


def write_balanced(store: Store, goal: AcceptedGoal | None, report: Report, observer: Observer) -> tuple[str, ...]:
    """Write the train file with the pairs that count, at most as many as are wanted; return it."""
    if goal is None or goal.balance is None or not report.counts.pairs:
        return ()
    file, done = balance_file(store.folder, None, replace(goal.balance, count=goal.pairs))
    observer.say(f"{done.chosen:,} of {done.read:,} pairs are in the balanced subset.")
    return (short_path(file),)
