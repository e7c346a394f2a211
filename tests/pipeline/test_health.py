"""When an endpoint counts as down, and when it is probed. Time is an argument."""

from __future__ import annotations

from syphus.pipeline.health import MAX_FIRST_ATTEMPTS, MAX_PROBE_INTERVAL, OUTAGE_THRESHOLD, EndpointHealth


def healthy(now: float = 10.0) -> EndpointHealth:
    health = EndpointHealth(max_outage=900.0, first_wait=0.5, now=0.0)
    health.record_answer(now)
    return health


def down(now: float = 20.0) -> EndpointHealth:
    health = healthy()
    for row in range(OUTAGE_THRESHOLD):
        health.record_failure(row, sent_at=now - 1, now=now)
    return health


def test_different_rows_that_fail_one_after_the_other_are_an_outage() -> None:
    assert down().down_since == 20.0
    assert down().probe_at == 21.0


def test_one_row_that_fails_again_and_again_is_no_outage() -> None:
    health = healthy()
    for _ in range(50):
        health.record_failure(7, sent_at=11.0, now=12.0)
    assert health.down_since is None


def test_requests_that_hang_among_answers_are_no_outage_when_they_end_together() -> None:
    health = healthy(now=60.0)
    for row in range(20):
        health.record_failure(row, sent_at=40.0 + row / 10, now=220.0)
    assert health.down_since is None


def test_requests_that_were_sent_before_an_outage_do_not_make_it_last() -> None:
    health = down(now=20.0)
    for row in range(100, 200):
        health.record_failure(row, sent_at=19.5, now=20.0 + row / 1000)
    assert health.probe_at == 21.0


def test_probes_are_further_and_further_apart_and_an_answer_ends_the_outage() -> None:
    health, waits = down(), []
    for _ in range(9):
        now = health.probe_at
        health.record_failure(1, sent_at=now, now=now)
        waits.append(health.probe_at - now)
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, *[MAX_PROBE_INTERVAL] * 4]
    health.record_answer(now)
    assert health.down_since is None


def test_an_endpoint_that_never_answered_is_given_up_after_a_few_attempts_and_another_after_a_while() -> None:
    health = EndpointHealth(max_outage=900.0, first_wait=0.5, now=0.0)
    for number in range(MAX_FIRST_ATTEMPTS):
        assert not health.should_give_up(float(number))
        health.record_failure(1, sent_at=float(number), now=float(number))
    assert health.should_give_up(4.0)
    assert not down().should_give_up(909.0)
    assert down().should_give_up(911.0)


def test_a_pause_by_people_is_no_silence_of_the_endpoint() -> None:
    health = EndpointHealth(max_outage=10.0, first_wait=1.0, now=0.0)
    health.record_answer(1.0)
    health.record_idle(100.0, 102.0)
    assert health.seconds_since_answer(102.0) == 1.0
    health.record_answer(103.0)  # to a request that was in flight when the next pause began
    health.record_idle(50.0, 150.0)
    assert health.seconds_since_answer(150.0) == 0.0
