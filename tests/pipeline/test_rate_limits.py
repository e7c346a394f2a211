"""The copies of the server's buckets, run against model servers in simulated time."""

from __future__ import annotations

import pytest
from model_servers import LimitedServer, play_limits

from syphus.pipeline.rate_limits import TokenBucket

PROMPT, MAX_TOKENS, USED = 150.0, 3200.0, 350.0
WORST = PROMPT + MAX_TOKENS


@pytest.mark.parametrize("reports_at_admission", [True, False], ids=["reports-at-admission", "reports-at-reply"])
@pytest.mark.parametrize("burst_seconds", [1, 10, 60])
def test_requests_a_minute_are_used_up_with_hardly_a_429(reports_at_admission: bool, burst_seconds: int) -> None:
    played = play_limits(LimitedServer(6000, burst_seconds, 1.0, reports_at_admission), worst=1.0, rows=8000)
    assert played.steady >= 0.98
    assert played.refused <= 0.001 * played.sent


@pytest.mark.parametrize("reports_at_admission", [True, False], ids=["reports-at-admission", "reports-at-reply"])
@pytest.mark.parametrize("charge", [WORST, USED], ids=["charges-max-tokens", "charges-usage"])
def test_tokens_a_minute_are_used_up_whatever_the_charging_rule(reports_at_admission: bool, charge: float) -> None:
    rows = 2000 if charge == WORST else 9000
    played = play_limits(LimitedServer(1_200_000, 60, charge, reports_at_admission), WORST, rows)
    assert played.steady >= 0.95
    assert played.refused <= 0.01 * played.sent


def test_a_small_limit_is_used_up_too() -> None:
    played = play_limits(LimitedServer(60, 1, 1.0, reports_at_admission=False), worst=1.0, rows=300)
    assert played.steady >= 0.95
    assert played.refused <= 0.02 * played.sent


def test_slow_answers_do_not_confuse_the_copy() -> None:
    played = play_limits(LimitedServer(500, 60, 1.0, reports_at_admission=True, median=8.0), worst=1.0, rows=3000)
    assert played.steady >= 0.98
    assert played.refused <= 0.005 * played.sent


def test_a_saved_up_bucket_is_spent_instead_of_only_its_refill() -> None:
    played = play_limits(LimitedServer(6000, 60, 1.0, reports_at_admission=False), worst=1.0, rows=8000)
    assert played.seconds < 8000 / 100 * 0.6


def test_a_limit_that_the_user_sets_is_kept_from_the_first_second_on() -> None:
    bucket = TokenBucket(600, now=0.0)
    sent = 0
    for tick in range(601):  # a minute in tenths of a second
        while bucket.wait(1.0, tick / 10) == 0:
            bucket.reserve(1.0)
            sent += 1
    assert 590 <= sent <= 612


def test_a_request_larger_than_the_bucket_goes_when_the_bucket_is_full() -> None:
    bucket = TokenBucket(600, now=0.0, remaining=5.0)
    bucket.reserve(5.0)
    assert bucket.wait(50.0, now=0.0) > 0
    assert bucket.wait(50.0, now=10.0) == 0


def test_unused_tokens_are_given_back_if_no_header_states_the_limit() -> None:
    bucket = TokenBucket(60_000, now=0.0)
    while bucket.wait(900.0, 0.0) == 0:
        ticket = bucket.reserve(900.0)
    assert bucket.wait(900.0, 0.0) > 0
    bucket.settle(ticket, used=50.0)
    assert bucket.wait(900.0, 0.0) == 0


def test_a_limit_that_people_change_holds_at_once() -> None:
    bucket = TokenBucket(6_000, 0.0)
    assert bucket.level == 100
    bucket.change_rate(60, 0.0)
    assert bucket.wait(1, 0.0) == 0
    bucket.reserve(1)
    assert 0.9 < bucket.wait(1, 0.0) <= 1.2  # nothing is left of what the higher limit had saved up
    bucket.change_rate(6_000, 0.0)
    assert 0 < bucket.wait(1, 0.0) < 0.1
