"""Parameters that a server refuses: few requests are wasted on them, none after a resume, and no row speaks for all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import KEY, run_rows, server
from processes import Watch, command, start

from syphus.endpoints.refusals import Change, ChangeKind
from syphus.exchange import Request
from syphus.pipeline.parameters import LearnedParameters, RowChanges
from syphus.simulator.profiles import PROFILES
from syphus.simulator.stats import ServerStats
from syphus.types import State

OK, FAILED = State.OK, State.FAILED
EVERYTHING = {"verbosity": "low", "prompt_cache_key": "k", "reasoning_effort": "minimal"}
SERVERS = sorted(filter(None, PROFILES))
TOP_P = Change("top_p", ChangeKind.OMIT)


def refused(stats: ServerStats) -> int:
    return stats.by_status[400]


def asked(folder: Path, url: str, rows: int | Mapping[str, str], extra: dict[str, Any], **more: Any) -> Any:
    config = {"model": "gpt-6-later", "extra_body": extra, **more.pop("config", {})}
    return run_rows(folder, url, rows, config=config, num_threads=16, **more)


@pytest.mark.parametrize("extra", [{}, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("profile", SERVERS)
def test_a_run_wastes_few_requests_and_a_resumed_one_none(profile: str, extra: dict[str, Any], tmp_path: Path) -> None:
    with server(profile=profile) as simulated:
        assert asked(tmp_path, simulated.url, 30, extra).states == {OK: 30}
        wasted = refused(simulated.stats)
        assert wasted <= (4 if extra else 2)
        assert asked(tmp_path, simulated.url, 50, extra).states == {OK: 50}
        assert refused(simulated.stats) == wasted
        assert simulated.stats.dup_after_ok == 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_killed_run_has_not_forgotten_what_was_refused(number: int, tmp_path: Path) -> None:
    with server(profile="openai-new") as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, 12), tmp_path) as process:
            watch.at("request", number, process.kill)
            process.communicate(timeout=60)
        assert process.returncode == -9
        wasted = refused(simulated.stats)
        with start(command(tmp_path, simulated.url, 12), tmp_path) as process:
            process.communicate(timeout=60)
        assert process.returncode == 0
        assert refused(simulated.stats) <= 2 + 1  # the reply to the one in flight did not arrive
        assert refused(simulated.stats) <= wasted + 2


def test_each_endpoint_is_learnt_by_itself(tmp_path: Path) -> None:
    with server(profile="openai-new") as new, server(profile="openai-old") as old:
        endpoints = [{"base_url": each.url, "api_key": KEY} for each in (new, old)]
        ran = asked(tmp_path, "", 60, {}, config={"endpoints": endpoints})
        assert ran.states == {OK: 60}
        assert (refused(new.stats), refused(old.stats)) == (2, 0)
        sent = sqlite3.connect(ran.folder / "run.sqlite").execute(
            "SELECT name, value FROM meta WHERE name LIKE 'changes%'"
        )
        ((name, value),) = sent.fetchall()
        assert name == f"changes gpt-6-later {new.url}"
        assert [each[:2] for each in json.loads(value)] == [
            ["max_tokens", "rename"], ["temperature", "omit"], ["top_p", "omit"],
        ]  # fmt: skip
        asked(tmp_path, "", 90, {}, config={"endpoints": endpoints})
        assert (refused(new.stats), refused(old.stats)) == (2, 0)
        assert new.stats.ok + old.stats.ok == 90  # nothing is paid twice


def test_what_an_older_version_has_learnt_holds(tmp_path: Path) -> None:
    with server(profile="openai-new") as simulated:
        ran = asked(tmp_path, simulated.url, 5, {})
        ledger = sqlite3.connect(ran.folder / "run.sqlite")
        with ledger:
            ledger.execute("DELETE FROM meta WHERE name LIKE 'changes%'")
            names = '["max_tokens", "temperature", "top_p"]'
            ledger.execute("INSERT INTO meta VALUES ('adapted gpt-6-later', ?)", (names,))
            ledger.execute("UPDATE query SET state = 'pending', used = 0, answer = NULL, seq = NULL")
        ledger.close()
        assert asked(tmp_path, simulated.url, 5, {}).states == {OK: 5}
        assert simulated.stats.requests == 7  # the answers are found again


def test_what_is_left_out_is_said_once(tmp_path: Path) -> None:
    with server(profile="vllm") as simulated:
        first = asked(tmp_path, simulated.url, 5, EVERYTHING)
        again = asked(tmp_path, simulated.url, 8, EVERYTHING)
    said = [line for line in first.lines if "does not accept" in line]
    host = simulated.host_url.removeprefix("http://")
    assert sorted(said) == [
        f"{host} does not accept prompt_cache_key k: it is left out, and the model's own default holds.",
        f"{host} does not accept reasoning_effort minimal: low is sent instead.",
        f"{host} does not accept verbosity low: it is left out, and the model's own default holds.",
    ]
    assert not [line for line in again.lines if "does not accept" in line]


@pytest.mark.parametrize("profile", ["vllm", "sglang", "openai-old"])
def test_a_context_that_is_too_small_for_max_tokens_lowers_it(profile: str, tmp_path: Path) -> None:
    with server(profile=profile, context=1024) as simulated:
        ran = asked(tmp_path, simulated.url, 40, {})
        assert ran.states == {OK: 40}
        assert refused(simulated.stats) <= 2
        assert any("does not accept max_tokens 3200:" in line for line in ran.lines)


ECHOES = ["request_echo", "unprocessable"]


@pytest.mark.parametrize("fault", ECHOES)
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_row_whose_rejection_names_a_parameter_is_that_rows_failure(fault: str, where: str, tmp_path: Path) -> None:
    rows = {f"r{n}": f"a fine row {n}" for n in range(30)}
    bad = {"bad": "the bad one says 'temperature' and 'top_p'"}
    with server(poison={"bad one": fault}) as simulated:
        ran = asked(tmp_path, simulated.url, {**bad, **rows} if where == "first" else {**rows, **bad}, {})
        stats = simulated.stats
    assert ran.states == {OK: 30, FAILED: 1}
    assert stats.requests <= 36
    folder = sqlite3.connect(ran.folder / "run.sqlite")
    learnt = folder.execute("SELECT value FROM meta WHERE name LIKE 'changes%'").fetchall()
    folder.close()
    assert learnt in ([], [("[]",)])  # for the others the parameters are used again


# The rules of evidence

SENT = Request(b"", b'{"model": "m", "temperature": 0.7, "top_p": 0.9}', names=frozenset({"temperature", "top_p"}))


def test_before_any_answer_one_refusal_is_enough() -> None:
    learned = LearnedParameters()
    assert learned.learn(1, [TOP_P]) == [TOP_P]
    assert b"top_p" not in learned.adapt(SENT).body


def test_a_field_that_others_are_answered_with_is_left_out_for_one_row_until_two_have_shown_it() -> None:
    learned = LearnedParameters()
    learned.record_answer(1, SENT, None)
    for row in (2, 3):
        changes = RowChanges()
        assert changes.add([TOP_P], "top_p?") == (TOP_P,)
        assert learned.learn(row, [TOP_P]) == []
        assert learned.adapt(SENT) is SENT
        assert b"top_p" not in learned.adapt(SENT, changes).body
        learnt = learned.record_answer(row, learned.adapt(SENT, changes), changes)
    assert learnt == [TOP_P]
    assert b"top_p" not in learned.adapt(SENT).body


def test_a_row_tries_each_change_once_and_five_at_most() -> None:
    changes = RowChanges()
    assert changes.add([TOP_P], "a") == (TOP_P,)
    assert changes.add([TOP_P], "a") == ()
    tried = [changes.add([Change(f"field{n}", ChangeKind.OMIT)], "b") for n in range(9)]
    assert sum(map(bool, tried)) == 3


def test_a_change_that_was_no_help_is_taken_back_unless_another_row_speaks_for_it() -> None:
    learned = LearnedParameters()
    learned.learn(1, [TOP_P])
    learned.learn(2, [TOP_P])
    assert not learned.take_back(1, [TOP_P])
    alone = LearnedParameters()
    alone.learn(1, [TOP_P])
    assert alone.take_back(1, [TOP_P])
    assert alone.adapt(SENT) is SENT


def test_a_refusal_is_the_same_whatever_the_id_of_its_request() -> None:
    changes = RowChanges()
    changes.add([TOP_P], "top_p is bad (request id: 2025020619-01)")
    assert changes.repeats("top_p is bad (request id: 99887)")
    assert not changes.repeats("temperature is bad (request id: 1)")
