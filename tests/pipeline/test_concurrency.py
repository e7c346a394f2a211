"""Adaptive concurrency, on servers that refuse, that queue, and that change, in simulated time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import cast

import pytest
from model_servers import play_concurrency

from syphus.pipeline.concurrency import MIN_LIMIT, AdaptiveConcurrency
from syphus.pipeline.endpoint_state import Call, Endpoint, EndpointState
from syphus.pipeline.session_context import SessionLimits


def test_a_queueing_server_is_kept_busy_without_a_long_queue() -> None:
    adaptive = AdaptiveConcurrency(256)
    rate, _, limit = play_concurrency(
        lambda: adaptive.limit, adaptive.record_answer, adaptive.record_refusal, lambda now: 40, seconds=600
    )
    assert rate >= 0.95 * 40 / 2.0 / 1.083
    assert 40 <= limit <= 100


def test_a_server_that_takes_everything_gets_everything() -> None:
    adaptive = AdaptiveConcurrency(256)
    *_, limit = play_concurrency(
        lambda: adaptive.limit, adaptive.record_answer, adaptive.record_refusal, lambda now: 10_000, seconds=120
    )
    assert limit == 256


def test_a_server_that_refuses_is_refused_rarely_and_used_well() -> None:
    adaptive = AdaptiveConcurrency(256)
    rate, refused, limit = play_concurrency(
        lambda: adaptive.limit,
        adaptive.record_answer,
        adaptive.record_refusal,
        lambda now: 1000,
        seconds=600,
        refuse_above=60,
    )
    assert 35 <= limit <= 70
    assert refused <= 0.01 * rate * 600


def test_a_server_that_recovers_is_used_again() -> None:
    adaptive = AdaptiveConcurrency(256)
    *_, limit = play_concurrency(
        lambda: adaptive.limit,
        adaptive.record_answer,
        adaptive.record_refusal,
        lambda now: 20 if now < 400 else 120,
        seconds=1200,
    )
    assert limit >= 100


def test_requests_of_one_episode_cut_the_limit_once() -> None:
    adaptive = AdaptiveConcurrency(100)
    before = adaptive.limit
    for call in range(16):
        adaptive.record_refusal(sent_at=0.0, now=1.0 + call / 100)
    assert adaptive.limit == int(before * 0.7)


def test_the_limit_has_a_floor() -> None:
    adaptive = AdaptiveConcurrency(100)
    for second in range(50):
        adaptive.record_refusal(sent_at=second, now=second + 0.5)
    assert adaptive.limit == MIN_LIMIT


def test_it_does_not_climb_where_the_limit_is_not_used() -> None:
    adaptive = AdaptiveConcurrency(100)
    for answer in range(1000):
        adaptive.record_answer(in_flight=3, now=answer / 10)
    assert adaptive.limit == 16


@dataclass
class OneSlot:
    """A server that answers one request after the other, in simulated time, and forgets those that have timed out."""

    latency: float
    timeout: float
    rows: int

    def play(self) -> tuple[int, int, int]:
        """Return the answers, the timeouts, and the limit at the end."""
        limits = SessionLimits(64, 1, 600.0, 6000.0, 1.0)
        state = EndpointState(cast("Endpoint", None), limits, {}, 0.0)
        state.health.has_answered = True
        waiting: deque[Call] = deque()
        now = busy_until = 0.0
        answers = timeouts = 0
        while answers < self.rows:
            while state.in_flight < state.max_in_flight:
                waiting.append(state.start_call(100.0, now))
            now = min(busy_until if busy_until > now else now + self.latency, waiting[0].sent_at + self.timeout)
            for call in [call for call in waiting if now - call.sent_at >= self.timeout]:
                waiting.remove(call)
                state.finish_call(call, {}, None, now)
                state.record_timeout(call, now)
                timeouts += 1
            if waiting and now >= busy_until:
                call = waiting.popleft()
                state.latencies.record_answer(now - call.sent_at, 100, call.sent_at)
                state.finish_call(call, {}, 100.0, now)
                answers += 1
                busy_until = now + self.latency
        return answers, timeouts, state.max_in_flight


@pytest.mark.parametrize("latency", [5.0, 12.0, 25.0, 50.0])
def test_timeouts_in_the_queue_of_a_server_lower_the_limit(latency: float) -> None:
    answers, timeouts, limit = OneSlot(latency, 60.0, 400).play()
    assert answers == 400
    assert timeouts <= 40
    assert limit <= max(2, 60 / latency)


def test_a_call_that_hangs_alone_and_a_server_that_stands_still_lower_nothing() -> None:
    for still in (False, True):
        state = EndpointState(cast("Endpoint", None), SessionLimits(64, 1, 600.0, 6000.0, 1.0), {}, 0.0)
        state.health.has_answered = True
        hanging, before = state.start_call(100.0, 0.0), state.max_in_flight
        for second in range(1, 60):
            if not still or second < 20:
                call = state.start_call(100.0, 0.0 if still else float(second))
                state.latencies.record_answer(second - call.sent_at + 0.5, 100, call.sent_at)
                state.finish_call(call, {}, 100.0, second + 0.5)
        state.record_timeout(hanging, 60.0)
        assert state.max_in_flight >= before
