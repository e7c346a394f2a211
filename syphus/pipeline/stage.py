"""What a stage implements so that the loop can run it. Everything else about requests is the same for all stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

from syphus.errors import ImageError, UnsatisfactoryError
from syphus.exchange import Completion, Request
from syphus.ledger.parts import PartOutcome
from syphus.ledger.records import Row, StoredAnswer
from syphus.types import Outcome, ReasonKind, State


class Judgement(NamedTuple):
    """What a stage makes of an answer.

    With `ask_again`, another answer may be better, and is requested if rounds are left. The `feedback` then tells the
    model what was wrong; without feedback the same request is repeated. With `another_form`, the answer was not in the
    form that was asked for, and a looser one is tried, which is not a round of its own; with `alone`, too, the row was
    one of several in a request, and has one for itself next. `remedy` is what helps if the
    first answers of a run all fail like this one; without it, the run continues. With `repeated`, the same
    prompt has brought the same answer again, which is not a round of its own either. With `is_trial`, a bad answer
    that was billed is a result, even if it is the same for all rows.
    """

    outcome: Outcome
    ask_again: bool = False
    feedback: str = ""
    parts: tuple[PartOutcome, ...] = ()  #: the outcome of each part, if the row is one of several
    another_form: bool = False
    alone: bool = False
    remedy: str = ""
    repeated: bool = False
    is_trial: bool = False
    checks: Mapping[str, bool] = MappingProxyType({})  #: whether it is bad in ways that its state does not say, by kind

    @property
    def retry_reason(self) -> str:
        """What is stored as the reason for which the row is asked again."""
        if self.alone:
            return ReasonKind.ALONE
        return ReasonKind.ANOTHER_FORM if self.another_form else self.feedback


class PluginFaultError(Exception):
    """A plugin's own code failed on one row: `reason` is one line, `detail` the traceback."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        """The outcome of the row."""
        return Outcome(State.FAILED, reason=f"{ReasonKind.PLUGIN}{self.reason}", detail=self.detail)


def image_failure(error: ImageError) -> Outcome:
    """Return the outcome of a row whose image can't be sent. The model is never asked without the image."""
    return Outcome(State.FAILED, reason=f"{ReasonKind.IMAGE}{error.reason}", detail=str(error))


class AnswerWatch:
    """Watches the answers of a stage, and may stop it. This one never does; see `breaker.py`."""

    def begin(self) -> Self:
        """Begin a session, and return this watch: what was in flight in the session before is not."""
        return self

    def sent(self, row: Row) -> None:
        """Note that a row is sent."""

    def note(self, row: Row, judgement: Judgement) -> None:
        """Note what became of an answer to a row."""

    def lost(self, row: Row) -> None:
        """Note that a request got no answer."""

    def forget(self, row: Row) -> None:
        """Leave a row out, since what it got is said to everybody."""

    def finished(self, row: Row) -> UnsatisfactoryError | None:  # noqa: ARG002 - for those that watch
        """Count a row that has its outcome; return why the run must stop, if it must."""
        return None


class Stage(ABC):
    """One kind of work: pairs from annotations, translations of pairs, ..."""

    name: str  #: in the ledger
    title: str = "queries"  #: what people see that it works on
    pack_size: int = 1  #: rows that a request may ask for
    breaker: AnswerWatch = AnswerWatch()  #: stops it if its answers get worse

    @abstractmethod
    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """Return the request for a row, or its outcome if nothing has to be asked.

        `last` is the row's newest answer if that was rejected. Raises `PluginFaultError`.
        """

    @abstractmethod
    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Decide what an answer is worth. Raises `PluginFaultError`."""

    @abstractmethod
    def lines(self, row: Row, outcome: Outcome, model: str) -> str:
        """Return the lines of `pairs.jsonl` for an outcome: whole lines, or an empty text."""

    def shares_request(self, row: Row) -> bool:  # noqa: ARG002 - packs depend on it
        """Return whether another row asks for this one."""
        return False
