"""What the loop asks of a stage. Everything else about asking a model is the same for all of them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from syphus.errors import ImageError
from syphus.ledger.parts import PartOutcome
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.records import Row, StoredAnswer
from syphus.types import Completion, Outcome, Request, State


class Judgement(NamedTuple):
    """What an answer is worth. With `again`, another answer may be better, and is asked for where rounds are left.

    `feedback` then tells the model what was wrong; without it the very same is asked once more.
    """

    outcome: Outcome
    ask_again: bool = False
    feedback: str = ""
    parts: tuple[PartOutcome, ...] = ()  #: what becomes of each part, where the row is one of several


class PluginFaultError(Exception):
    """A plugin's own code failed on one row: `reason` is one line, `detail` the traceback."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        """What it makes of its row."""
        return Outcome(State.FAILED, reason=f"{ReasonKind.PLUGIN}{self.reason}", detail=self.detail)


def image_failure(error: ImageError) -> Outcome:
    """The outcome of a row whose image can't be sent: it is never asked about without."""
    return Outcome(State.FAILED, reason=f"{ReasonKind.IMAGE}{error.reason}", detail=str(error))


class Stage(Protocol):
    """One kind of work: pairs from annotations, translations of pairs, ..."""

    name: str

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """The request for a row, or its outcome where there is nothing to ask.

        `last` is its newest answer, where one was no good. Raises `PluginFaultError`.
        """
        ...

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """What an answer is worth. Raises `PluginFaultError`."""
        ...

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:
        """The lines of `pairs.jsonl` for an outcome: whole lines, or none."""
        ...

    def adapt(self, parameter: str) -> bool:
        """The model does not take a sampling parameter: True where requests will do without it from now on."""
        ...
