"""One call: through the gate, to the endpoint, to a verdict; and everybody who counts hears of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from syphus.endpoints.classify import Action, ReplyVerdict, classify_error, classify_no_reply
from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.endpoints.transport import NoReplyError
from syphus.errors import ConfigError, ProviderError
from syphus.ledger.records import ANSWERED
from syphus.pipeline.admission import AdmissionController, Permit
from syphus.pipeline.deadlines import Deadlines
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.session_stats import SessionStats
from syphus.pipeline.writer import Writer
from syphus.types import Request

_AT_ONCE = ("unknown host", "TLS", "proxy")  #: wrong settings rather than bad luck, where there was never an answer


class SendResult(NamedTuple):
    """What came of a call: the verdict, where it was made, and the seconds that it took."""

    verdict: ReplyVerdict
    endpoint_state: EndpointState
    seconds: float

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
        return f"{', '.join(parts)} ({self.endpoint_state.endpoint.host})"


class RequestSender:
    """Makes calls. `clock` is monotonic, in seconds; `max_wait` the longest pause that a server may ask for."""

    def __init__(
        self,
        gate: AdmissionController,
        deadlines: Deadlines,
        retry: RetryPolicy,
        writer: Writer,
        stats: SessionStats,
        clock: Callable[[], float],
        max_wait: float,
    ) -> None:
        self._gate = gate
        self._deadlines = deadlines
        self._retry = retry
        self._writer = writer
        self._stats = stats
        self._clock = clock
        self._max_wait = max_wait
        self._encoding = asyncio.Semaphore(os.cpu_count() or 1)

    async def send(self, row: int, request: Request) -> SendResult:
        """Asks once for row number `row`.

        Raises `BudgetError`, `GateClosedError` where calls are over, and `ImageError` where its images can't be sent.
        """
        admission = await self._gate.admit(request.size)
        body = await self._whole(request, admission) if request.load_body else request.body
        lane, began = admission.endpoint_state, admission.call.sent_at
        headers: Mapping[str, str] = {}
        verdict = ReplyVerdict(Action.RETRY, "interrupted", maybe_billed=True)
        try:
            async with self._deadlines.limit():
                reply = await lane.endpoint.send(body)
            headers = reply.headers
            if 200 <= reply.status < 300:  # gateways answer with 201 or 202, too
                verdict = lane.endpoint.classify(reply.body, request, headers)
            else:
                verdict = classify_error(reply.status, headers, reply.body, lane.endpoint.host, time.time())
                if (
                    verdict.maybe_from_proxy and lane.health.has_answered
                ):  # a proxy's or a gateway's bad moment stops no run
                    verdict = replace(verdict, action=Action.RETRY)
        except NoReplyError as error:
            verdict = classify_no_reply(error.kind, error.message, error.sent)
        except ConfigError as error:  # the request could not be signed
            verdict = ReplyVerdict(Action.STOP, "not signed", str(error), "Put that right")
        except TimeoutError:
            verdict = classify_no_reply("timeout", f"no answer within {self._deadlines.seconds:g} s", sent=True)
        finally:
            self._account(admission, request, headers, verdict)
            self._tell(lane, admission, row, headers, verdict)
            self._gate.notify()
        return SendResult(verdict, lane, self._clock() - began)

    async def _whole(self, request: Request, admission: Permit) -> bytes:
        """The request with its images, which only a call in flight holds; threads make it, one a core."""
        assert request.load_body is not None
        try:
            async with self._encoding:
                return await asyncio.to_thread(request.load_body)
        except BaseException:
            self._gate.cancel(admission)
            raise

    def _account(self, admission: Permit, request: Request, headers: Mapping[str, str], verdict: ReplyVerdict) -> None:
        """Limits, money and counts."""
        usage = verdict.completion.usage if verdict.completion else None
        used = float(usage.prompt_tokens + usage.completion_tokens) if usage else None
        admission.endpoint_state.finish_call(admission.call, headers, used, self._clock())
        self._gate.budget.settle(admission.reserved_cost, usage, verdict.maybe_billed)
        self._stats.requests += 1
        if usage is not None:
            self._gate.estimate.learn(request.size, usage)
            self._stats.usage += usage
            self._retry.record_answer()
            self._writer.count_request(ANSWERED)
        else:
            self._stats.errors[verdict.cause] += 1
            self._writer.count_request(verdict.cause, verdict.maybe_billed, admission.call.worst_case)

    def _tell(
        self, lane: EndpointState, admission: Permit, row: int, headers: Mapping[str, str], verdict: ReplyVerdict
    ) -> None:
        """The lane hears how its endpoint is doing."""
        now = self._clock()
        if verdict.action is Action.ANSWER or verdict.caused_by_row:
            lane.health.record_answer(now)
        elif verdict.action is Action.PAUSE:
            self._pause(lane, admission, headers, verdict, now)
        elif verdict.action is Action.RETRY and verdict.cause != "interrupted":
            lane.health.record_failure(row, admission.call.sent_at, now)
            if not lane.health.has_answered and verdict.cause in _AT_ONCE:
                lane.disabled_by = ConfigError(
                    f"{lane.endpoint.host} can't be reached: {verdict.cause}: {verdict.message}."
                )
        if (
            verdict.action in (Action.RETRY, Action.PAUSE)
            and lane.disabled_by is None
            and lane.health.should_give_up(now)
        ):
            since = f"No usable answer from {lane.endpoint.host} for {lane.health.seconds_since_answer(now):.0f} s"
            lane.disabled_by = ProviderError(f"{since}: {verdict.cause} {verdict.message}".rstrip() + ".")

    def _pause(
        self, lane: EndpointState, admission: Permit, headers: Mapping[str, str], verdict: ReplyVerdict, now: float
    ) -> None:
        hint = retry_wait(headers, verdict.message, time.time())
        if hint is not None and hint > self._max_wait:
            until = datetime.fromtimestamp(time.time() + hint).astimezone()
            lane.disabled_by = ProviderError(
                f"{lane.endpoint.host} asks to wait {hint:,.0f} s ({verdict.cause}). "
                f"Come back at {until:%Y-%m-%d %H:%M}."
            )
            return
        lane.pause(admission.call, verdict.limit, self._retry.pause(hint, lane.consecutive_refusals), now)
