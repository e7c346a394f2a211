"""Judging what is in the ledger again: when the parser, a rule or the plugin has changed, every answer that was paid
for gets its second chance, and no request is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from syphus.ledger.records import Answer, Records, Row
from syphus.ledger.store import Store
from syphus.pipeline.stage import PluginFaultError, Stage
from syphus.types import Outcome


def rejudge(store: Store, records: Records, stage: Stage, tick: Callable[[int], None]) -> int:
    """Judges the newest answer of every query that has an outcome from one; returns how many outcomes changed. Commits.

    Pairs that a query brought along are judged like an answer. `tick` is told the number of answers read, now and then.
    """
    changed = 0
    for read, (row, old, answer) in enumerate(records.judged(), 1):
        try:
            outcome = _judge(stage, row, answer)
        except PluginFaultError as fault:
            outcome = fault.outcome
        if outcome != old:
            known = f"{old.reason}\n{old.detail}"  # what it was rejected by before has been counted
            rejected_by = tuple(rule for rule in outcome.rejected_by if rule not in known)
            records.replace_outcome(row.n, replace(outcome, rejected_by=rejected_by))
            changed += 1
        if read % 1000 == 0:
            tick(read)
    store.commit()
    return changed


def _judge(stage: Stage, row: Row, answer: Answer | None) -> Outcome:
    if answer is not None:
        return stage.judge(row, answer.completion).outcome
    outcome = stage.request(row, None)
    assert isinstance(outcome, Outcome), "a row with pairs of its own asks nobody"
    return outcome
