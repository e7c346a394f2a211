"""Adaptive concurrency, on servers that refuse, that queue, and that change, in simulated time."""

from __future__ import annotations

from model_servers import play_concurrency

from syphus.pipeline.concurrency import MIN_LIMIT, AdaptiveConcurrency


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
