"""Notices that the first answers of a run all fail alike: then more of them would be a waste of money.

The end token is missing and every answer is cut off, the model only thinks, or the parser reads nothing: no row is at
fault. Until one answer is good, or fails in another way, the outcomes of such rows are held. Their answers are saved at
once. If the run stops, its rows are pending, and under the same settings each finds its answer in the ledger.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from syphus.errors import ProviderError
from syphus.ledger.records import Entry, Row
from syphus.pipeline.stage import Judgement
from syphus.types import Outcome

ENOUGH = 16  #: rows whose answers fail alike


class HeldRow(NamedTuple):
    """A row with the outcome that it gets unless all rows fail: `answer` is the number of its answer."""

    row: Row
    outcome: Outcome
    answer: int


class FirstAnswers:
    """The answers of a run until it is known that they do not all fail alike."""

    def __init__(self, *, active: bool) -> None:
        self._active = active
        self._remedy = ""
        self._reasons: dict[int, str] = {}  # by row
        self._held: dict[int, HeldRow] = {}

    def note(self, entry: Entry, judgement: Judgement) -> None:
        """Note an answer that has just come. Those of earlier sessions say nothing about these settings."""
        if not self._active or entry.new_answer is None:
            return
        self._remedy = self._remedy or judgement.remedy
        self._active = bool(judgement.remedy) and judgement.remedy == self._remedy
        self._reasons[entry.row.n] = judgement.outcome.reason

    def hold(self, entry: Entry, outcome: Outcome) -> bool:
        """Hold the outcome of a row back, if it must be. It is for the caller to save the answer."""
        answer = entry.new_answer.n if entry.new_answer else entry.reused_answer
        known = {held.answer for held in self._held.values()} if entry.new_answer is None else ()
        if not self._active or answer is None or (entry.new_answer is None and answer not in known):
            return False
        self._held[entry.row.n] = HeldRow(entry.row, outcome, answer)
        return True

    def release(self, *, at_end: bool = False) -> list[HeldRow]:
        """Return the rows that need not be held any more: all of them once the answers differ, or at the end."""
        if (self._active and not at_end) or not self._held:
            return []
        held, self._held = list(self._held.values()), {}
        return held

    @property
    def error(self) -> ProviderError | None:
        """Why the run must stop, or None."""
        if not self._active or len(self._reasons) < ENOUGH:
            return None
        reason, _ = Counter(self._reasons.values()).most_common(1)[0]
        return ProviderError(
            f"The answers to the first {len(self._reasons)} rows all failed alike: {reason}. {self._remedy} "
            "These rows are pending, too, and their answers are kept."
        )
