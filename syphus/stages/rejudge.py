"""Judging stored answers again: when the parser or the plugin has changed, every answer that was paid for gets its
second chance, and no request is sent.
"""

from __future__ import annotations

from collections.abc import Callable

from syphus.ledger.records import Records
from syphus.ledger.store import Store
from syphus.pipeline.stage import PluginFaultError, Stage


def rejudge(store: Store, records: Records, stage: Stage, tick: Callable[[int], None]) -> int:
    """Judges the newest answer of every query that has an outcome from one; returns how many outcomes changed. Commits.

    `tick` is told the number of answers read, now and then.
    """
    changed = 0
    for read, (row, old, answer) in enumerate(records.answered(), 1):
        try:
            outcome = stage.judge(row, answer.completion).outcome
        except PluginFaultError as fault:
            outcome = fault.outcome
        if outcome != old:
            records.replace_outcome(row.n, outcome)
            changed += 1
        if read % 1000 == 0:
            tick(read)
    store.commit()
    return changed
