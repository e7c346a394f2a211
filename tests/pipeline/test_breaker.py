"""A run stops when its answers get worse by more than chance: the test alone, and real runs at a real server."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from harness import run_rows, server

from syphus.config.options import Options, make_options
from syphus.errors import ConfigError, UnsatisfactoryError
from syphus.ledger.records import Row
from syphus.pipeline.breaker import OTHER_LANGUAGE, REPEATED, QualityBreaker, language_of
from syphus.pipeline.drift_test import DriftTest
from syphus.pipeline.stage import Judgement
from syphus.types import Outcome, Pair, Query, State

HALF = 300  #: answers before the model changes
GOOD, CHANGED = "ok", "unpaired"


def alarm_after(answers: Iterable[bool], alpha: float = 0.001, rise: float = 0.2) -> int | None:
    """The number of answers after which the test alarms."""
    test = DriftTest(alpha, rise)
    return next((number for number, is_bad in enumerate(answers, 1) if test.add(is_bad)), None)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_a_steady_share_is_no_drift_and_a_rise_is_found_soon(share: float) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        steady = [rng.random() < share for _ in range(600)]
        assert alarm_after(steady) is None
        found = alarm_after(steady + [rng.random() < share + 0.4 for _ in range(200)])
        assert found is not None
        assert 600 < found <= 750


def test_a_certain_but_small_rise_stops_only_those_who_want_that() -> None:
    rng = random.Random(1)
    answers = [rng.random() < (0.02 if number < 1_000 else 0.12) for number in range(3_000)]
    assert alarm_after(answers) is None
    assert alarm_after(answers, rise=0.05) is not None


def row(n: int, *, used: int = 0) -> Row:
    return Row(n, Query(f"r{n}", "text"), used=used, opened=0, last=None, reason="")


def watch(outcomes: Iterable[Outcome], breaker: QualityBreaker) -> UnsatisfactoryError | None:
    for n, outcome in enumerate(outcomes):
        breaker.sent(row(n))
        breaker.note(row(n), Judgement(outcome))
        if (problem := breaker.finished(row(n))) is not None:
            return problem
    return None


def answered(text: str) -> Outcome:
    return Outcome(State.OK, (Pair("What is it?", text),))


ENGLISH = "The red car number {} is on the left side of the road and the door is open."
GERMAN = "Das rote Auto Nummer {} ist auf der linken Seite der Straße und die Tür ist offen."


@pytest.mark.parametrize(("changed", "kind"), [(GERMAN, OTHER_LANGUAGE), ("The same as ever, it is a cat.", REPEATED)])
def test_another_language_and_repeated_answers_are_kinds_of_their_own(changed: str, kind: str) -> None:
    texts = [(ENGLISH if n < HALF else changed).format(n) for n in range(2 * HALF)]
    problem = watch(map(answered, texts), QualityBreaker())
    assert kind in str(problem)
    assert "r3" in str(problem)
    assert watch([answered(ENGLISH.format(n)) for n in range(2 * HALF)], QualityBreaker()) is None


@pytest.mark.parametrize(
    ("text", "language"), [(ENGLISH, "en"), (GERMAN, "de"), ("左边有一辆红色的汽车", "script"), ("A cat.", "")]
)
def test_a_change_of_language_can_be_told(text: str, language: str) -> None:
    assert language_of(text).startswith(language)
    assert bool(language_of(text)) == bool(language)


def test_rows_count_in_the_order_in_which_they_were_sent() -> None:
    """Short answers come first: of a steady share of long, bad ones none is among the first that arrive."""
    breaker, rng = QualityBreaker(), random.Random(0)
    bad = {n for n in range(400) if rng.random() < 0.4}
    for n in range(400):
        breaker.sent(row(n))
    for n in sorted(range(400), key=lambda n: (n in bad, n)):
        breaker.note(row(n), Judgement(Outcome(State.TRUNCATED if n in bad else State.OK)))
        assert breaker.finished(row(n)) is None


def test_later_answers_of_a_row_and_rows_that_are_set_aside_do_not_count() -> None:
    breaker = QualityBreaker()
    assert watch([answered(ENGLISH.format(n)) for n in range(HALF)], breaker) is None
    for n in range(HALF, 2 * HALF):
        breaker.sent(row(n, used=1))
        breaker.note(row(n, used=1), Judgement(Outcome(State.INVALID)))
        assert breaker.finished(row(n)) is None
        breaker.sent(row(n))
        breaker.note(row(n), Judgement(Outcome(State.INVALID)))
        breaker.forget(row(n))
        assert breaker.finished(row(n)) is None


def drifting(share: float, seed: int = 0) -> list[str]:
    """What the server does with each request: good answers, then a share that can't be read."""
    rng = random.Random(seed)
    return [GOOD] * HALF + [CHANGED if rng.random() < share else GOOD for _ in range(3_000)]


def test_a_model_that_changes_half_way_stops_the_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with server(script=drifting(0.6)) as simulated:
        ran = run_rows(tmp_path, simulated.url, 900, num_threads=16, no_hedging=True)
        stopped_after = simulated.stats.requests
        assert (type(ran.error), ran.exit_code) == (UnsatisfactoryError, 1)
        assert HALF < stopped_after <= HALF + 200
        assert "are invalid, 0% of the" in str(ran.error)
        assert "(question without an answer)" in str(ran.error)
        states = ran.states
        assert states[State.PENDING] > 300
        again = run_rows(tmp_path, simulated.url, 900, num_threads=16, no_hedging=True)
    assert again.exit_code == 1  # some rows stay invalid
    assert again.error is None
    assert State.PENDING not in again.states
    assert again.states[State.OK] > states[State.OK]


def test_a_run_without_breaker_and_a_run_that_was_always_bad_go_on(tmp_path: Path) -> None:
    for name in ("off", "bad"):
        (tmp_path / name).mkdir()
    with server(script=drifting(0.6)) as simulated:
        ran = run_rows(tmp_path / "off", simulated.url, 500, num_threads=16, no_breaker=True, no_hedging=True)
    assert (ran.error, State.PENDING in ran.states) == (None, False)
    with server(script=drifting(0.5)[HALF:], seed=1) as simulated:
        ran = run_rows(tmp_path / "bad", simulated.url, 500, num_threads=16, no_hedging=True)
    assert (ran.error, State.PENDING in ran.states) == (None, False)


def test_pairs_that_a_judge_begins_to_find_bad_stop_the_judging(tmp_path: Path) -> None:
    with server() as before:
        assert run_rows(tmp_path, before.url, 400, num_threads=16, slice_end=200).exit_code == 0
    with server(pair_slips=0.9) as after:
        ran = run_rows(tmp_path, after.url, 400, num_threads=16, judge="all", no_hedging=True)
        judged = after.stats.requests - 200
    assert type(ran.error) is UnsatisfactoryError
    assert "are judged bad, 0% of the" in str(ran.error)
    assert 200 < judged < 400


def test_a_rise_in_points_is_a_mistake_and_does_not_switch_the_breaker_off() -> None:
    with pytest.raises(ConfigError, match="--breaker-rise 20: must be more than 0 and at most 1"):
        make_options(Options, {"breaker_rise": 20})
