"""Decides whose failure a reply is: that of its row, or that of the endpoint.

What happens to one row while others are answered is that row's failure. What happens to different rows, one after the
other, is the endpoint's, however it is dressed: as an error, as a client error, or as an answer that says the same to
everybody. So a row that got no answer is set aside, as a suspect, until there is evidence:

    an answer to a request that was sent later   it is the row's failure; if several rows were suspects, each is asked
                                                 again before that is believed, since they may have met an outage
    other rows that fail alike, and no answer    one request that was answered before is sent again; if it is not
                                                 answered either, the endpoint is given up and every row stays pending

What may pass by itself (an error of the server, no reply, the same text for everybody, a rejection of everybody after
good answers) pauses the endpoint instead; see `syphus.pipeline.health`. A wait that is longer than the user allows is
judged as a refusal: different rows must get it before the run stops.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from syphus.endpoints.classify import Action
from syphus.endpoints.connections import NoReplyKind
from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.errors import BudgetError, ProviderError
from syphus.exchange import Request
from syphus.ledger.records import Entry, Row
from syphus.pipeline.canary import Canary, Suspect, Works
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.retry import MAX_REQUESTS
from syphus.pipeline.sender import Ask, SendResult, said_to_all
from syphus.pipeline.session_context import SessionContext
from syphus.pipeline.work_queue import WorkItem, WorkQueue
from syphus.text import sentence
from syphus.types import Outcome, ReasonKind, State

ALIKE = 3  #: different rows that must fail alike, without an answer to a later request
UNLIKE = 5  #: the same if they fail in different ways, or before there was any answer
_MAY_BE_CANNED = (State.INVALID, State.REFUSED)


class FailureHandler:
    """Handles replies that bring a row no further. `finish` saves the outcome of an open row."""

    def __init__(
        self,
        session: SessionContext,
        queue: WorkQueue,
        canary: Canary,
        in_flight: Callable[[], Iterable[Ask]],
        finish: Callable[[Entry, Outcome], Awaitable[None]],
    ) -> None:
        self._session = session
        self._queue = queue
        self._canary = canary
        self._in_flight = in_flight
        self._finish = finish
        self._renewed_at: dict[EndpointState, float] = {}  # when its token was renewed
        self._texts: dict[EndpointState, dict[str, set[int]]] = {}  # useless texts since the newest useful one
        self._said: set[str] = set()  # unknown finish reasons
        self._breaker = session.stage.breaker
        self._packs: dict[int, bytes] = {}  # of rows that are being asked with others: the key of their request
        self._rejected_packs: set[bytes] = set()
        self.suspects: list[Suspect] = []

    def is_rejected_pack(self, item: WorkItem, request: Request) -> bool:
        """Note the rows of a pack; return whether it was rejected before, so that each row must go alone."""
        if not request.packed:
            self.forget_pack(item.row)
            return False
        self._packs[item.row.n] = request.key
        return request.key in self._rejected_packs

    def forget_pack(self, row: Row) -> None:
        """Note that a row is not asked with others any more."""
        self._packs.pop(row.n, None)

    async def ask_alone(self, item: WorkItem) -> None:
        """Let a row of a pack make a request of its own: another row of the pack may be at fault."""
        self.forget_pack(item.row)
        reason = ReasonKind.ANOTHER_FORM
        entry = Entry(item.row, None, item.requests, retry_reason=reason, reopened=True)
        if await self._session.writer.put(entry):
            self._queue.put_back(item.next_round(None, reason, counts=False), self._session.clock())

    async def _fail(self, entry: Entry, outcome: Outcome) -> None:
        """Save the outcome of a row without an answer; a row of a pack is asked alone instead."""
        pack = self._packs.get(entry.row.n)
        if pack is None or entry.reused_answer is not None:
            await self._finish(entry, outcome)
            return
        self._rejected_packs.add(pack)
        await self.ask_alone(WorkItem(entry.row, requests=entry.requests))

    async def handle(self, item: WorkItem, result: SendResult) -> None:
        """Handle a reply that brought no answer."""
        self._breaker.lost(item.row)
        match result.verdict.action:
            case Action.RETRY:
                await self._retry_or_fail(item, result)
            case Action.STOP:
                await self._blame_or_disable(item, result)
            case Action.PAUSE:
                await self._wait_or_fail(item, result)
            case _:
                await self._reject(item, result)

    async def _retry_or_fail(self, item: WorkItem, result: SendResult) -> None:
        """Retry a row or let it fail; the attempt counts only if the endpoint is not down."""
        verdict, health, retry = result.verdict, result.endpoint_state.health, self._session.retry
        if not health.has_answered:
            self._queue.look_elsewhere()
        if not await self._blames_row(item, result):
            if item.requests >= MAX_REQUESTS - 1:
                suspect = Suspect(item, result, verdict.cause, ProviderError(verdict.message), due=health.probe_at)
                await self.set_aside(suspect)
            else:
                self._queue.put_back(item, health.probe_at)  # so that the next probe is another row's request
            return
        if verdict.no_reply is NoReplyKind.GIVEN_UP:  # it might have been answered: the next one gets more time
            item.times_given_up += 1
            self._put_back(item, retry.wait(1))
            return
        item.attempts += 1
        blamed = verdict.caused_by_row or item.row.n in health.blamed
        if not blamed and item.attempts < item.requests >= MAX_REQUESTS - 1:  # again, when others are answered
            due = self._session.clock() + retry.wait(item.attempts)
            await self.set_aside(Suspect(item, result, verdict.cause, ProviderError(verdict.message), due=due))
            return
        if retry.exhausted(item.attempts, verdict, item.requests, blamed=item.row.n in health.blamed):
            outcome = Outcome(State.FAILED, reason=f"{verdict.cause}, {item.attempts} attempts", detail=verdict.message)
            await self._fail(Entry(item.row, None, item.requests), outcome)
        else:
            self._put_back(item, retry.wait(item.attempts))

    async def _blames_row(self, item: WorkItem, result: SendResult) -> bool:
        """Return whether a failure is that of the row. If the endpoint seems to be down, it is not.

        If only rows that have failed are left, they are all that can tell whether it is down, so it is asked.
        """
        health = result.endpoint_state.health
        if result.verdict.caused_by_row or health.down_since is None or item.row.n in health.blamed:
            return True
        if self._queue.has_new_rows or not health.has_answered:
            return False
        if await self._canary.answers_others(result):
            health.blamed.add(item.row.n)
            return True
        return False

    async def _blame_or_disable(self, item: WorkItem, result: SendResult) -> None:
        """Disable an endpoint that refuses a row, unless it still answers others: then the row is at fault."""
        verdict, state = result.verdict, result.endpoint_state
        if verdict.maybe_expired_token and self._has_new_token(item, result):
            self._put_back(item)
        elif not verdict.maybe_caused_by_row or state.disabled_by is not None:
            state.disable(ProviderError(verdict.stop_message))
            self._put_back(item)
        elif item.row.n in state.health.blamed:
            await self._retry_or_fail(item, result._replace(verdict=verdict.of_row()))
        else:
            await self.set_aside(Suspect(item, result, verdict.cause, ProviderError(verdict.stop_message)))

    def _has_new_token(self, item: WorkItem, result: SendResult) -> bool:
        """Renew the token that was refused; return whether the next request has another one.

        Once a row, and once until an answer has come: a new token that is refused, too, is not the reason.
        """
        state = result.endpoint_state
        renewed_at = self._renewed_at.get(state, -math.inf)
        if result.sent_at < renewed_at:
            return True
        if item.token_renewed or (state in self._renewed_at and state.health.useful_at <= renewed_at):
            return False
        item.token_renewed = state.endpoint.renew_token()
        if item.token_renewed:
            self._renewed_at[state] = self._session.clock()
        return item.token_renewed

    async def _reject(self, item: WorkItem, result: SendResult) -> None:
        verdict, health = result.verdict, result.endpoint_state.health
        outcome = Outcome(verdict.state, reason=verdict.cause, detail=verdict.message)
        if verdict.caused_by_row:
            await self._fail(Entry(item.row, None, item.requests), outcome)
            return
        who = "Different rows are" if health.has_answered else "The first requests were all"
        error = ProviderError(f"{sentence(f'{who} rejected', verdict.message)} Check the settings.")
        await self.set_aside(Suspect(item, result, said_to_all(verdict), error, outcome))

    async def _wait_or_fail(self, item: WorkItem, result: SendResult) -> None:
        """Ask again after a rate limit; if a row is refused by itself, it waits by itself, until it fails."""
        verdict, health, row = result.verdict, result.endpoint_state.health, item.row.n
        if not health.is_refused_alone(row):
            if not health.has_answered:
                self._queue.look_elsewhere()
            elif item.requests > 2 and not self._queue.has_new_rows:  # only such rows are left, and none can tell
                await self._canary.answers_others(result)
            self._put_back(item)
        elif health.is_always_refused(row):
            reason = f"{verdict.cause}, {item.requests} attempts"
            outcome = Outcome(State.FAILED, reason=reason, detail=verdict.message)
            await self._fail(Entry(item.row, None, item.requests), outcome)
        else:
            hint = retry_wait(result.headers, verdict.message, time.time())
            wait = self._session.retry.pause(hint, health.refusals_of(row))
            due = self._session.clock() + min(wait, self._session.limits.max_wait)
            await self.set_aside(Suspect(item, result, verdict.cause, ProviderError(verdict.message), due=due))

    # Answers that are of no use

    def judge_text(self, suspect: Suspect, outcome: Outcome, *, is_final: bool) -> bool:
        """Note that an answer is not good; return whether its row is to be set aside instead of being finished."""
        state = suspect.result.endpoint_state
        kind = ReasonKind.parse(outcome.reason)
        if kind is ReasonKind.FINISH_REASON and outcome.reason not in self._said:
            self._said.add(outcome.reason)
            host = state.endpoint.host
            self._session.say(
                f"{host} sends an unknown {outcome.reason}: such answers are invalid, and asked for again."
            )
        useless = outcome.state in _MAY_BE_CANNED and kind is not ReasonKind.CONTENT_FILTER
        if not useless or suspect.kind == "":
            self.note_useful(state, suspect.result.sent_at)
            return False
        texts = self._texts.setdefault(state, {})
        if any(each != suspect.kind for each in texts):
            self.note_useful(state, suspect.result.sent_at)
            texts = self._texts.setdefault(state, {})
        texts.setdefault(suspect.kind, set()).add(suspect.item.row.n)
        return is_final

    def note_useful(self, state: EndpointState, sent_at: float) -> None:
        """Note that an answer is good, or at least unlike those before."""
        if state in self._texts:
            del self._texts[state]
        state.health.useful_at = max(state.health.useful_at, sent_at)

    # Suspects

    async def release(self, state: EndpointState, sent_at: float, canned: str = "") -> None:
        """Blame the suspects whose requests left before `sent_at`: a request that left then was answered.

        If the answer may be `canned`, those that have got one are not blamed.
        """
        mine = [each for each in self.suspects if each.result.endpoint_state is state]
        await self._blame([each for each in mine if each.result.sent_at < sent_at and each.kind != canned])

    async def settle(self) -> None:
        """Decide about the suspects once no other rows are left."""
        for state in {each.result.endpoint_state for each in self.suspects}:
            await self._settle(state, [each for each in self.suspects if each.result.endpoint_state is state])

    async def _settle(self, state: EndpointState, mine: list[Suspect]) -> None:
        newest = mine[-1]
        trusted = self._is_trusted()
        proven = state.health.has_answered or trusted
        few = len(mine) == 1 if not newest.is_canned else len(mine) < ALIKE
        if few and proven and newest.outcome is not None:
            await self._blame(mine)
            return
        works = await self._canary.test(newest)
        if works is Works.YES or (works is Works.UNTRIED and trusted and all(each.outcome for each in mine)):
            await self._blame(mine)
        elif works is Works.NO and self._may_be_an_outage(newest):
            state.health.declare_down(self._session.clock(), newest.kind)
            self._bring_back(mine, state.health.probe_at)
        elif newest.may_pass or (works is Works.UNKNOWN and newest.item.requests < MAX_REQUESTS):
            self._bring_back(mine, state.health.probe_at if state.health.down_since is not None else 0.0)
        else:
            state.disable(newest.error)
            self._bring_back(mine)

    async def keep_paid_answers(self, stopped_by: Exception | None) -> None:
        """If the budget is spent, let rows end with the answer they have got if they are too few to raise doubt."""
        if not isinstance(stopped_by, BudgetError):
            return
        useless = [each for each in self.suspects if each.is_canned and each.outcome is not None]
        rows_of = Counter(each.result.endpoint_state for each in useless)
        for each in useless:
            state = each.result.endpoint_state
            proven = state.health.has_answered or self._is_trusted()
            if each.outcome is not None and proven and rows_of[state] < ALIKE:
                self.suspects.remove(each)
                self._queue.take_back()
                entry = Entry(each.item.row, None, each.item.requests, reused_answer=each.answer)
                await self._fail(entry, each.outcome)

    def _is_trusted(self) -> bool:
        """Return whether rows have been answered with these settings before this session."""
        return self._session.trusted or bool(self._session.stats.states_before[State.OK])

    async def set_aside(self, suspect: Suspect) -> None:
        """Set a row aside; if it shows that the endpoint may be at fault, find that out."""
        state = suspect.result.endpoint_state
        self.suspects.append(suspect)
        self._breaker.forget(suspect.item.row)
        self._queue.task_done()
        if not state.health.has_answered:
            self._queue.look_elsewhere()
        if not self._raises_doubt(suspect):
            return
        may_pass = self._may_be_an_outage(suspect)
        if may_pass and self._queue.has_new_rows and state.health.useful_at > -math.inf:
            state.health.declare_down(self._session.clock(), suspect.kind)  # another row will tell
            return
        works = await self._canary.test(suspect)
        if works is Works.YES:
            await self.release(state, self._session.clock())
        elif works in (Works.NO, Works.UNTRIED) and suspect in self.suspects:
            if may_pass and works is Works.NO:
                state.health.declare_down(self._session.clock(), suspect.kind)
                return
            state.disable(suspect.error)
            self._bring_back([each for each in self.suspects if each.result.endpoint_state is state])

    def _may_be_an_outage(self, suspect: Suspect) -> bool:
        """Return whether what a row got may pass: the same text for everybody, or a rejection after good answers."""
        useful_at = suspect.result.endpoint_state.health.useful_at
        return suspect.is_canned or (suspect.outcome is not None and useful_at > -math.inf)

    def _raises_doubt(self, suspect: Suspect) -> bool:
        if suspect.may_pass:
            return False
        state = suspect.result.endpoint_state
        others = [each for each in self.suspects if each.result.endpoint_state is state and not each.may_pass]
        alike = [each for each in others if each.kind == suspect.kind]
        first = min(each.result.sent_at for each in alike)
        younger = sum(attempt.sent_at > first for ask in self._in_flight() for attempt in ask.attempts)
        if state.health.has_answered:
            return younger <= len(alike) and (len(alike) >= ALIKE or len(others) >= UNLIKE)
        if len(alike) >= ALIKE - 1 and self._canary.can_ask():
            return True
        return len(alike) >= (ALIKE if suspect.outcome is None else UNLIKE)

    async def _blame(self, suspects: list[Suspect]) -> None:
        kinds = Counter(each.kind for each in suspects)
        for each in suspects:
            if each not in self.suspects:
                continue
            self.suspects.remove(each)
            self._queue.take_back()
            item, result = each.item, each.result
            asked_enough = item.asked_after_doubt or item.requests >= MAX_REQUESTS
            if each.outcome is not None and (kinds[each.kind] == 1 or asked_enough):
                await self._fail(Entry(item.row, None, item.requests, reused_answer=each.answer), each.outcome)
            elif each.outcome is not None:
                item.asked_after_doubt = True
                self._put_back(item)
            elif each.may_pass:
                if result.verdict.action is Action.RETRY:
                    result.endpoint_state.health.blamed.add(item.row.n)
                self._queue.put_back(item, each.due)
            else:
                result.endpoint_state.health.blamed.add(item.row.n)
                await self._retry_or_fail(item, result._replace(verdict=result.verdict.of_row()))

    def _bring_back(self, suspects: list[Suspect], due: float = 0.0) -> None:
        for each in suspects:
            if each in self.suspects:
                self.suspects.remove(each)
                self._queue.take_back()
                self._queue.put_back(each.item, max(due, each.due, self._session.clock()))

    def _put_back(self, item: WorkItem, wait: float = 0.0) -> None:
        self._queue.put_back(item, self._session.clock() + wait)
