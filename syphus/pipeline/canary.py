"""Tells an endpoint that is down from rows that it always refuses, by asking again what it has answered before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import NamedTuple

from syphus.endpoints.classify import Action
from syphus.errors import BudgetError, ImageError, ProviderError
from syphus.exchange import Request
from syphus.pipeline.admission import AdmissionClosedError
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.health import signature
from syphus.pipeline.sender import Ask, RequestSender, SendResult
from syphus.pipeline.session_context import SessionContext
from syphus.pipeline.stage import PluginFaultError
from syphus.pipeline.work_queue import WorkItem
from syphus.text import one_line
from syphus.types import Outcome, State


class Suspect(NamedTuple):
    """A row that was set aside: what it got, what becomes of it if it is at fault, and what stops the run otherwise.

    `kind` is what it got without what differs from row to row.
    """

    item: WorkItem
    result: SendResult
    kind: str
    error: ProviderError
    outcome: Outcome | None = None
    answer: int | None = None  #: number of the answer that is of no use
    due: float = 0.0  #: when it may be asked again

    @property
    def may_pass(self) -> bool:
        """Whether any row may fail like this while the endpoint is busy, or down for a while."""
        return self.result.verdict.action in (Action.PAUSE, Action.RETRY)

    @property
    def is_canned(self) -> bool:
        """Whether it got an answer that may be said to everybody."""
        return self.result.verdict.action is Action.ANSWER


def canned_suspect(item: WorkItem, result: SendResult, outcome: Outcome, answer: int) -> Suspect:
    """Return the suspect that a row is if its answer is of no use. Its kind is empty if the text is a long one."""
    completion = result.verdict.completion
    text = completion.text if completion is not None else ""
    kind = signature(text)
    said = one_line(text, 120) or "an empty text"
    error = ProviderError(
        f"{result.endpoint_state.endpoint.host} gives different rows the same useless reply: {said}. "
        "Check the model and the settings, then run the same command again."
    )
    return Suspect(item, result, kind, error, outcome, answer)


class Works(Enum):
    """Whether an endpoint that refuses a row answers others."""

    YES = auto()
    NO = auto()
    UNKNOWN = auto()  #: it could not be asked, or is busy or down
    UNTRIED = auto()  #: nothing is known that was ever answered


class Canary:
    """Repeats a request that was answered before, to tell an endpoint that is down from rows that it always refuses.

    `keep` stores the answer, which is paid for, as a further one to that row. Without it nobody could tell once only
    such rows are left. While other rows are answered, their answers say the same for nothing.
    """

    def __init__(
        self, sender: RequestSender, session: SessionContext, keep: Callable[[Ask, SendResult], Awaitable[None]]
    ) -> None:
        self._sender = sender
        self._session = session
        self._keep = keep
        self._one_at_a_time = asyncio.Lock()
        self._answered: Ask | None = None
        self._worked_at: dict[EndpointState, float] = {}  # when the newest test was sent that showed that it works

    def note_answer(self, item: WorkItem, request: Request) -> None:
        """Remember a request that was answered in this session."""
        self._answered = Ask(item, request)

    def can_ask(self) -> bool:
        """Return whether a request is known that was answered, now or in an earlier session."""
        if self._answered is None:
            for row in self._session.records.sample((State.OK,), 8):
                try:
                    request = self._session.stage.request(row._replace(last=None, reason=""), None)
                except PluginFaultError:
                    continue
                if isinstance(request, Request):
                    self._answered = Ask(WorkItem(row), request)
                    break
        return self._answered is not None

    async def test(self, suspect: Suspect) -> Works:
        """Return whether the endpoint that gave a row no answer still answers others."""
        async with self._one_at_a_time:
            return await self._test(suspect.result, suspect.kind if suspect.is_canned else None)

    async def answers_others(self, result: SendResult) -> bool:
        """Return whether the endpoint answers other rows, asking it if that is not known."""
        async with self._one_at_a_time:
            if result.sent_at < result.endpoint_state.health.proved_at:
                return True
            return await self._test(result, None) is Works.YES

    async def _test(self, result: SendResult, canned: str | None) -> Works:
        state = result.endpoint_state
        if result.sent_at < self._worked_at.get(state, 0.0):
            return Works.YES
        if state.disabled_by is not None:
            return Works.NO
        if not self.can_ask() or self._answered is None:
            return Works.UNTRIED
        ask = Ask(self._answered.item, self._answered.request)
        try:
            answer = await self._sender.send(ask)
        except (AdmissionClosedError, BudgetError, ImageError):
            return Works.UNKNOWN
        await self._keep(ask, answer)
        if answer.endpoint_state is not state or answer.verdict.action in (Action.RETRY, Action.PAUSE):
            return Works.UNKNOWN
        completion = answer.verdict.completion
        if completion is None or (canned is not None and signature(completion.text) == canned):
            return Works.NO
        self._worked_at[state] = answer.sent_at
        return Works.YES
