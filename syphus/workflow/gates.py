"""Gates: where a pipeline stops until people have decided about enough pairs, or until somebody lets it continue.

A gate is passed by the decisions in `reviews.jsonl`, or by hand, which the ledger notes by its name. A decision about
an earlier text of a pair does not count.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.errors import GateError
from syphus.ledger.reviewed import count_run_reviews
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store, open_for_reading, open_for_writing
from syphus.ledger.summary import count_queries
from syphus.runs.run_settings import GENERATE
from syphus.text import short_path

_PASSED = "passed gates"  # meta: when each gate was passed by hand, in seconds since the epoch, as JSON


class GateState(NamedTuple):
    """A gate: how many pairs are decided, how many it needs (None: it waits for a person), whether it was passed."""

    name: str
    decided: int
    needs: int | None
    by_hand: bool

    @property
    def is_open(self) -> bool:
        """Whether the pipeline continues here."""
        return self.by_hand or (self.needs is not None and self.decided >= self.needs)

    def line(self) -> str:
        """Return what people have decided so far."""
        if self.by_hand:
            return "passed by hand"
        needed = "" if self.needs is None else f" of {self.needs:,}"
        return f"{self.decided:,}{needed} pairs reviewed"

    def error(self, folder: Path, command: str) -> GateError:
        """Return that the gate holds, and what lets the pipeline continue."""
        place = short_path(folder)
        wants = "waits for you" if self.needs is None else f"waits for reviews of {self.needs:,} pairs"
        there = f"; {self.decided:,} {'is' if self.decided == 1 else 'are'} reviewed" if self.needs is not None else ""
        return GateError(
            f"The gate {self.name} {wants}{there}. Review them: syphus view {place}. "
            f"Then continue: {command}. To skip the reviews, add --pass-gate {self.name}."
        )


def read_gate(folder: Path, name: str, needs: int | None) -> GateState:
    """Return the state of a gate of the run in a folder; one without a ledger has no decisions."""
    store = open_for_reading(folder)
    try:
        counts, pairs = count_run_reviews(store, GENERATE), count_queries(store, GENERATE).pairs
        least = min(needs, pairs) if needs and pairs else needs  # all pairs are enough
        return GateState(name, counts.reviewed if counts else 0, least, name in _passed(store))
    finally:
        store.close()


def pass_gate(folder: Path, name: str) -> None:
    """Let the pipeline of the run in a folder pass a gate from now on."""
    store = open_for_writing(folder)
    try:
        set_meta(store, _PASSED, orjson.dumps({**_passed(store), name: time.time()}).decode())
        store.commit()
    finally:
        store.close()


def _passed(store: Store) -> dict[str, float]:
    return dict(orjson.loads(str(get_meta(store, _PASSED) or "{}")))
