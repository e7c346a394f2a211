"""Sends one request: waits for admission, sends, classifies the reply, and records the result."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import orjson

from syphus.endpoints.classify import Action, ReplyVerdict, classify_error, classify_no_reply
from syphus.endpoints.connections import ON_BYTES, NoReplyError, NoReplyKind, Reply
from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.endpoints.request import UnbuiltBody
from syphus.errors import AddressError, ConfigError, ImageError, NodesLostError, ProviderError
from syphus.exchange import Request
from syphus.ledger.records import ANSWERED
from syphus.ledger.sessions import RequestKind
from syphus.pipeline.admission import AdmissionController, Permit
from syphus.pipeline.deadlines import Attempt, Deadlines
from syphus.pipeline.endpoint_state import BuildsBodies, EndpointState
from syphus.pipeline.health import signature
from syphus.pipeline.prompt_caches import NOTED_EVERY
from syphus.pipeline.session_context import SessionContext
from syphus.pipeline.work_queue import WorkItem
from syphus.text import one_line, sentence

_INTERRUPTED = classify_no_reply(NoReplyError(NoReplyKind.INTERRUPTED, sent=True))
_KINDS = {Action.PAUSE: RequestKind.LIMITED, Action.RETRY: RequestKind.FAILED}  # of requests without an answer
#: Is called with each request that has ended, in the run that has set it: other runs of the process have their own.
ON_REQUEST: ContextVar[Callable[[SendResult], None]] = ContextVar("ON_REQUEST", default=lambda _: None)
_CAUSES: Mapping[type[ConfigError], tuple[str, str]] = {  # and what to do
    AddressError: ("unknown address", "Fix that"),
    NodesLostError: ("no node", "Start the cluster again, or name another one"),
}
_BY_US = (NoReplyKind.INTERRUPTED, NoReplyKind.SUPERSEDED, NoReplyKind.NODE_LOST)  # so the endpoint is not at fault


class Ask:
    """The requests for one row that are in flight: one, or several if the first takes long.

    The first usable answer decides the row; an answer that comes later is kept.
    """

    __slots__ = ("attempts", "followers", "in_flight", "is_decided", "item", "request")

    def __init__(self, item: WorkItem, request: Request, is_decided: bool = False) -> None:
        self.item = item
        self.request = request
        self.in_flight = 1
        self.attempts: list[Attempt] = []  #: on the way to the server and back
        self.is_decided = is_decided  #: a request has ended that decides what becomes of the row
        self.followers: list[WorkItem] = []  #: rows that wait for this answer, too

    def give_up(self) -> None:
        """Wait no longer for the requests that are still in flight."""
        for attempt in list(self.attempts):
            attempt.end(NoReplyKind.SUPERSEDED)


class SendResult(NamedTuple):
    """The result of a request: the verdict, the endpoint it was sent to, and the seconds it took."""

    verdict: ReplyVerdict
    endpoint_state: EndpointState
    seconds: float
    request: Request  #: as it was sent
    sent_at: float
    headers: Mapping[str, str] = MappingProxyType({})  #: of the reply

    @property
    def host(self) -> str:
        """The endpoint by the name that people see."""
        return self.endpoint_state.endpoint.host

    def __str__(self) -> str:
        """Return `answered in 1.2 s, 350 + 120 tokens (api.openai.com)`, or what went wrong."""
        verdict = self.verdict
        what = verdict.action.name.lower() if verdict.completion is None else "answered"
        parts = [f"{what} in {self.seconds:.1f} s"]
        if verdict.completion is not None:
            usage = verdict.completion.usage
            parts.append(f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens")
        else:
            parts.append(": ".join(text for text in (verdict.cause, verdict.message) if text))
        return f"{', '.join(parts)} ({self.host})"


class RequestSender:
    """Sends requests for the loop."""

    gathers = False  #: whether requests are only put aside, so that none waits for the answer to another

    def __init__(self, session: SessionContext, admission: AdmissionController, deadlines: Deadlines) -> None:
        self._session = session
        self._admission = admission
        self._deadlines = deadlines
        self._encoders = asyncio.Semaphore(os.cpu_count() or 1)

    async def send(self, ask: Ask) -> SendResult:
        """Send the request of a row once, as the endpoint takes it after the changes that the row has tried.

        Raises `BudgetError`, `AdmissionClosedError` if no more requests are admitted, and `ImageError` if an image of
        the request can't be sent.
        """
        return await self.send_admitted(ask, await self._admission.admit(ask.request, ask.item.changes))

    async def send_admitted(self, ask: Ask, permit: Permit) -> SendResult:
        """Do the same with a permit."""
        state = permit.endpoint_state
        request = permit.request
        body = await self._body(request, permit)
        headers: Mapping[str, str] = {}
        verdict: ReplyVerdict | None = _INTERRUPTED
        attempt = self._deadlines.limit(state.latencies, ask.item.times_given_up)
        ask.attempts.append(attempt)
        ON_BYTES.set(attempt.hear)
        try:
            async with attempt:
                reply = await state.send(body)
            headers = reply.headers
            sent = body if isinstance(body, bytes) else request.body
            verdict = self._of_a_long_wait(_classify_reply(reply, request, sent, state), headers, state.endpoint.host)
        except NoReplyError as error:
            verdict = classify_no_reply(error)
        except ImageError:  # of a body that was to be built elsewhere: nothing was sent
            verdict = None
            raise
        except ConfigError as error:  # the request could not be signed, or not addressed
            cause, advice = _CAUSES.get(type(error), ("not signed", "Fix that"))
            verdict = ReplyVerdict(Action.STOP, cause, str(error), advice)
        except TimeoutError:
            verdict = self._of_an_ended(attempt)
        finally:
            ask.attempts.remove(attempt)
            now, sent_at = self._session.clock(), permit.call.sent_at
            if verdict is None:
                self._admission.cancel(permit)
            else:
                self._settle(permit, request, headers, verdict, now)
                self._update_endpoint(permit, ask.item.row.n, headers, verdict, now)
                self._admission.notify()
        result = SendResult(verdict, state, now - sent_at, request, sent_at, headers)
        ON_REQUEST.get()(result)
        return result

    def _of_an_ended(self, attempt: Attempt) -> ReplyVerdict:
        """Return the verdict on an attempt that ended without a reply, by its timeout or since another came first."""
        seconds = self._deadlines.seconds
        if attempt.ended_by is not NoReplyKind.TIMEOUT:
            seconds = self._session.clock() - attempt.sent_at
        return classify_no_reply(NoReplyError(attempt.ended_by, f"no answer within {seconds:.4g} s", sent=True))

    def _of_a_long_wait(self, verdict: ReplyVerdict, headers: Mapping[str, str], host: str) -> ReplyVerdict:
        """Return a verdict that stops the run if a server asks to wait longer than the user allows, or `verdict`."""
        hint = retry_wait(headers, verdict.message, time.time()) if verdict.action is Action.PAUSE else None
        if hint is None or hint <= self._session.limits.max_wait:
            return verdict
        until = datetime.fromtimestamp(time.time() + hint).astimezone()
        message = f"{host} asks to wait {hint:,.0f} s ({verdict.cause})."
        advice = f"Wait until {until:%Y-%m-%d %H:%M}"
        return replace(verdict, action=Action.STOP, message=message, advice=advice, maybe_caused_by_row=True)

    async def _body(self, request: Request, permit: Permit) -> bytes | UnbuiltBody:
        """Return the body as it is sent: with its images, and with what the prompt cache needs.

        Only requests in flight hold their images. Threads encode them, one per core, unless the endpoint does it.
        """
        finish = permit.endpoint_state.caches.finisher(permit.call.prefix, permit.call.cache_key)
        if request.load_body is None:
            return finish(request.body)
        body = UnbuiltBody(request.load_body, finish)
        if isinstance(permit.endpoint_state.endpoint, BuildsBodies):
            return body
        try:
            async with self._encoders:
                return await asyncio.to_thread(body.build)
        except BaseException:
            self._admission.cancel(permit)
            raise

    def _settle(
        self, permit: Permit, request: Request, headers: Mapping[str, str], verdict: ReplyVerdict, now: float
    ) -> None:
        """Update the limits, the budget and the counters after a request has ended."""
        session, admission, host = self._session, self._admission, permit.endpoint_state.endpoint.host
        completion = verdict.completion
        usage = completion.usage if completion else None
        used_tokens = float(usage.prompt_tokens + usage.completion_tokens) if usage else None
        state, call = permit.endpoint_state, permit.call
        state.finish_call(call, headers, used_tokens, now)
        state.caches.end(call.prefix, call.cache_key, usage, now)
        if not state.caches.is_noted(now):
            session.writer.note(state.caches.name, state.caches.dumps(time.time() + NOTED_EVERY, now))
        unknown_cost = admission.budget.settle(permit.reserved_cost, completion, verdict.maybe_billed)
        session.stats.requests += 1
        if usage is not None:
            state.latencies.record_answer(now - call.sent_at, usage.completion_tokens, call.sent_at)
            admission.estimate.learn(request.size, usage)
            session.stats.usage += usage
            session.retry.record_answer()
            session.writer.count_request(ANSWERED, endpoint=host, kind=RequestKind.ANSWERED)
        else:
            session.stats.errors[verdict.cause] += 1
            kind = _KINDS.get(verdict.action, RequestKind.REFUSED)
            lost = call.worst_case
            session.writer.count_request(verdict.cause, verdict.maybe_billed, lost, host, kind)
        if unknown_cost:
            session.writer.count_unknown_cost(ANSWERED if usage else verdict.cause, unknown_cost)

    def _update_endpoint(
        self, permit: Permit, row: int, headers: Mapping[str, str], verdict: ReplyVerdict, now: float
    ) -> None:
        """Update the health of the endpoint; pause it or disable it if necessary."""
        state = permit.endpoint_state
        host, health = state.endpoint.host, state.health
        sent_at, canned = permit.call.sent_at, health.canned is not None and _is_useless(verdict, health.canned)
        if canned:
            health.record_failure(row, sent_at, now)
        elif verdict.action is Action.ANSWER or verdict.caused_by_row:
            health.record_answer(now, row, sent_at)
        elif verdict.action is Action.PAUSE:
            if not health.record_refusal(row, sent_at):
                self._pause(permit, headers, verdict, now)
        elif verdict.action is Action.RETRY and verdict.no_reply not in _BY_US:
            health.record_failure(row, sent_at, now)
            if verdict.no_reply is NoReplyKind.TIMEOUT:
                state.record_timeout(permit.call, now)
            if not health.has_answered and verdict.no_reply is not None and verdict.no_reply.is_likely_misconfiguration:
                state.disable(ConfigError(sentence(f"{host} can't be reached", verdict.cause, verdict.message)))
        if (canned or verdict.action in (Action.RETRY, Action.PAUSE)) and health.should_give_up(now):
            silence = f"No usable answer from {host} for {health.seconds_since_answer(now):.0f} s"
            state.disable(ProviderError(sentence(silence, *_why(verdict))))
        cause = ""
        if health.is_surely_down:  # only then does anybody read it
            cause = ": ".join(_why(verdict)) if verdict.completion else verdict.cause
        state.announce_health(cause, now)

    def _pause(self, permit: Permit, headers: Mapping[str, str], verdict: ReplyVerdict, now: float) -> None:
        state = permit.endpoint_state
        hint = retry_wait(headers, verdict.message, time.time())
        wait = self._session.retry.pause(hint, state.consecutive_refusals)
        if hint is not None:
            state.health.record_wait(wait, now)
        state.pause(permit.call, verdict.limit, wait, now)


def said_to_all(verdict: ReplyVerdict) -> str:
    """Return what identifies a reply that everybody may get: the text of an answer, or why a request is rejected."""
    return signature(verdict.cause if verdict.completion is None else verdict.completion.text)


def _is_useless(verdict: ReplyVerdict, canned: str) -> bool:
    """Return whether a reply shows that the endpoint is still down, as it was when everybody got `canned`."""
    rejects = verdict.action is Action.RECORD and not verdict.caused_by_row
    return rejects or (verdict.completion is not None and said_to_all(verdict) == canned)


def _why(verdict: ReplyVerdict) -> tuple[str, str]:
    """Return what an endpoint that is down replies to everybody."""
    if verdict.completion is None:
        return verdict.cause, "" if verdict.action is Action.RECORD else verdict.message
    return "all get the same text", one_line(verdict.completion.text, 120) or "an empty one"


def _classify_reply(reply: Reply, request: Request, body: bytes, state: EndpointState) -> ReplyVerdict:
    """Classify a reply by its status, or by the status of an error that came inside a reply with status 200."""
    host = state.endpoint.host
    if 200 <= reply.status < 300:  # some gateways answer with 201 or 202
        verdict = state.endpoint.classify(reply.body, request, reply.headers)
        if not verdict.inner_status:
            return verdict
        inner = orjson.dumps({"error": verdict.inner_error})
        found = classify_error(verdict.inner_status, reply.headers, inner, host, time.time(), body)
        return replace(found, maybe_billed=verdict.maybe_billed)
    verdict = classify_error(reply.status, reply.headers, reply.body, host, time.time(), body)
    if verdict.maybe_from_proxy and state.health.has_answered:  # a transient fault of a proxy stops no run
        return replace(verdict, action=Action.RETRY)
    return verdict
