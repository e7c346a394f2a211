"""The judge of pairs is measured on pairs whose truth is known: on real ledgers, against a real server on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from harness import Ran, run_rows, server, write_config

from syphus import api
from syphus.cli.summary import summary
from syphus.errors import ConfigError
from syphus.ledger.reviews import NewDecision, ReviewLog, Verdict, text_hash
from syphus.ledger.store import open_for_reading
from syphus.quality.calibration import Measurement, read_calibration, read_measurements
from syphus.quality.estimates import BadCount, BadSums, JudgeErrors, change_by_kind
from syphus.quality.known_answers import SOUND, KnownAnswer, KnownPair, make_known_answers
from syphus.quality.planted_faults import PLANTED, FaultSite, KnownFault, plant
from syphus.runs.pair_verdicts import JudgedPairs
from syphus.types import State

THINGS = ("van", "crane", "truck", "bicycle", "bus", "ladder")


def write_prompt(folder: Path, things: Iterable[str] = THINGS) -> tuple[str, dict[str, str]]:
    """A prompt with an example of three pairs for each thing; also the sound answer to each question."""
    turns: list[dict[str, Any]] = []
    sound: dict[str, str] = {}
    for number, thing in enumerate(things, 2):
        pairs = {
            f"Where is the {thing} now?": f"The {thing} stands beside gate {number} in the yard.",
            f"How many people are near the {thing}?": f"There are {number} people near the {thing}.",
            f"Is the {thing} covered?": f"No, the {thing} is open, and its cover lies on the ground.",
        }
        sound |= pairs
        items = [{"question": question, "answer": answer} for question, answer in pairs.items()]
        told = f"the {thing} is at gate {number}, {number} people near it, its cover on the ground"
        turns += [{"role": "user", "content": told}, {"role": "assistant", "content": items}]
    path = folder / "prompt.json"
    path.write_text(json.dumps({"system_message": "Write pairs of Question and Answer.", "in_context": turns}), "utf-8")
    return str(path), sound


def shown_to_judge(simulated: Any) -> list[dict[str, Any]]:
    """What the judge was shown: annotation and pairs."""
    asked = (each.last_user for each in simulated.endpoint.requests if each.last_user.startswith("==="))
    return [json.loads(text.split("\n", 1)[1].rsplit("\n", 1)[0]) for text in asked]


def calibration(ran: Ran) -> dict[str, Any]:
    assert ran.report.calibration is not None, (ran.error, ran.lines)
    return dict(ran.report.calibration)


def measured(ran: Ran, judge: str = "chat") -> Measurement:
    with closing(open_for_reading(ran.folder)) as store:
        found = read_calibration(store, judge)
    assert found is not None
    return found


def review(ran: Ran, verdicts: Mapping[str, Verdict]) -> None:
    """Decide about pairs, by their ids."""
    log = ReviewLog(ran.folder)
    with api.open_run(ran.folder) as run:
        for pair in run.pairs():
            if pair.id in verdicts:
                about = pair.id, text_hash(pair.instruction, pair.answer), "ann", verdicts[pair.id]
                log.append(NewDecision(str(UUID(int=len(log) + 1)), *about, query=pair.id.split("_")[2]), 0.0)
                log.refresh()


def test_a_judge_that_errs_is_measured_and_its_share_corrected(tmp_path: Path) -> None:
    prompt, sound = write_prompt(tmp_path)
    with server(pair_slips=0.2, judge_misses=0.2, judge_alarms=0.1, sound_pairs=sound, seed=2) as simulated:
        ran = run_rows(tmp_path, simulated.url, 60, judge="all", calibrate_judge=25, prompt_path=prompt)
        every = shown_to_judge(simulated)
    shown = [each for each in every if "cover" in each["annotation"]]
    own = [pair["answer"] for each in every if each not in shown for pair in each["pairs"]]
    assert (len(shown), len(every)) == (25, 85)
    found, known = calibration(ran), measured(ran)
    answers = [(pair["question"], pair["answer"]) for each in shown for pair in each["pairs"]]
    assert found["bad"]["pairs"] == len({pair for pair in answers if sound[pair[0]] != pair[1]})
    assert found["sound"]["pairs"] == len({pair for pair in answers if sound[pair[0]] == pair[1]})
    assert found["recall"]["low"] < 0.8 < found["recall"]["high"]
    assert found["false_alarms"]["low"] < 0.1 < found["false_alarms"]["high"]
    assert found["bad"] == {"pairs": known.bad.pairs, "found": known.bad.bad}
    assert sum(each["pairs"] for each in found["faults"].values()) == known.bad.pairs
    assert len(found["faults"]) == len(PLANTED)
    judged = ran.report.judged
    assert judged is not None
    assert (judged["queries"], judged["pairs"]) == (60, judged["pairs"])  # none of the calibration
    share = sum("row" not in answer for answer in own) / len(own)
    assert judged["corrected_interval"][0] < share < judged["corrected_interval"][1]
    assert judged["corrected_share"] != judged["bad_share"]
    text = "\n".join(summary(ran.report))
    assert re.search(r"corrected for its errors [\d.]+% \([\d.]+% to [\d.]+%\)", text)
    assert "The judge chat on 25 answers with known faults: finds " in text
    assert "wrong number" in text
    written = json.loads((ran.folder / "report.json").read_text("utf-8"))
    assert written["judge_calibration"] == found
    assert written["stages"]["calibrate judge"]["answers"] == 25
    assert written["per_accepted_pair"]["by"]["judge"]["requests"] * ran.report.counts.pairs == pytest.approx(
        85, abs=0.1
    )


def test_the_judge_can_not_tell_a_calibration_from_ordinary_pairs(tmp_path: Path) -> None:
    prompt, _ = write_prompt(tmp_path)
    with server() as simulated:
        run_rows(tmp_path, simulated.url, 5, judge="all", calibrate_judge=10, prompt_path=prompt)
        shown = shown_to_judge(simulated)
    forms = {(tuple(each), tuple(each["pairs"][0])) for each in shown}
    assert len(shown) == 15
    assert forms == {(("annotation", "pairs"), ("pair", "question", "answer"))}


def test_nothing_is_asked_twice_and_more_answers_add_to_those_before(tmp_path: Path) -> None:
    prompt, sound = write_prompt(tmp_path)
    given: dict[str, Any] = {"judge": "all", "prompt_path": prompt}
    with server(sound_pairs=sound) as simulated:
        ran = run_rows(tmp_path, simulated.url, 4, calibrate_judge=10, max_requests=10, **given)
        assert ran.exit_code == 4
        ran = run_rows(tmp_path, simulated.url, 4, calibrate_judge=10, **given)
        assert (ran.exit_code, calibration(ran)["answers"]) == (0, 10)
        first = calibration(ran)
        run_rows(tmp_path, simulated.url, 4, calibrate_judge=10, **given)
        run_rows(tmp_path, simulated.url, 4, **given)
        assert simulated.stats.requests == 4 + 10 + 4
        assert calibration(ran) == first
        more = run_rows(tmp_path, simulated.url, 4, calibrate_judge=16, **given)
        assert simulated.stats.requests == 4 + 16 + 4
        shown = [json.dumps(each) for each in shown_to_judge(simulated)]
    assert len(set(shown)) == len(shown)
    assert calibration(more)["answers"] == 16
    assert calibration(more)["bad"]["pairs"] > first["bad"]["pairs"]


def test_the_change_since_the_round_before_is_shown(tmp_path: Path) -> None:
    prompt, sound = write_prompt(tmp_path)
    given: dict[str, Any] = {"judge": "all", "prompt_path": prompt, "texts": 4}
    with server(sound_pairs=sound, served_models=["judge-2026-01"]) as simulated:
        ran = run_rows(tmp_path, simulated.url, calibrate_judge=20, **given)
    assert calibration(ran)["change"] is None
    with server(sound_pairs=sound, judge_misses=0.7, served_models=["judge-2026-06"]) as simulated:
        ran = run_rows(tmp_path, simulated.url, calibrate_judge=40, **given)
    change = calibration(ran)["change"]
    assert [change[which]["served"] for which in ("from", "to")] == [["judge-2026-01"], ["judge-2026-06"]]
    assert change["recall"]["high"] < -0.4
    (line,) = (line for line in summary(ran.report) if "since the round before" in line)
    assert "more than chance" in line
    assert "judge-2026-01" in line


def test_another_judge_reads_the_same_answers(tmp_path: Path) -> None:
    prompt, sound = write_prompt(tmp_path)
    given: dict[str, Any] = {"judge": "all", "prompt_path": prompt, "calibrate_judge": 12}
    with server(sound_pairs=sound) as one, server(sound_pairs=sound, judge_alarms=1.0) as other:
        run_rows(tmp_path, one.url, 4, **given)
        before = [each for each in shown_to_judge(one) if "cover" in each["annotation"]]
        own = write_config(tmp_path / "judge.json", other.url, model="grader")
        ran = run_rows(tmp_path, one.url, 4, judge_config=own, **given)
        after = [each for each in shown_to_judge(other) if "cover" in each["annotation"]]
    assert sorted(map(json.dumps, before)) == sorted(map(json.dumps, after))
    found = calibration(ran)
    assert (found["model"], found["false_alarms"]["share"]) == ("grader", 1.0)
    assert found["change"]["false_alarms"]["share"] == 1.0
    assert measured(ran, "chat").errors.false_alarms.value == 0.0


def test_decisions_of_reviewers_are_truth_as_well(tmp_path: Path) -> None:
    prompt, sound = write_prompt(tmp_path, ("van",))
    with server(sound_pairs=sound, pair_slips=0.3, seed=3) as simulated:
        ran = run_rows(tmp_path, simulated.url, 30, prompt_path=prompt)
        verdicts = {
            name: Verdict.ACCEPT if "row" in entry["answer"] else Verdict.REJECT for name, entry in ran.data.items()
        }
        review(ran, verdicts)
        rejected = sum(each is Verdict.REJECT for each in verdicts.values())
        assert rejected > 3
        ran = run_rows(tmp_path, simulated.url, 30, prompt_path=prompt, judge="all", calibrate_judge=40)
        found = calibration(ran)
        assert (
            found["faults"][KnownFault.REJECTED.value]["pairs"]
            == found["faults"][KnownFault.REJECTED.value]["found"]
            == rejected
        )
        assert found["sound"]["pairs"] > 20
        # the judge has seen all pairs by now, so what is left is what it let pass: no truth about it
        later = run_rows(tmp_path, simulated.url, 30, prompt_path=prompt, judge="all", calibrate_judge=60)
    assert calibration(later)["answers"] == 60
    assert calibration(later)["sound"]["pairs"] <= found["sound"]["pairs"] + len(sound)


@pytest.mark.parametrize("in_context", [[], [{"role": "user", "content": "a"}, {"role": "assistant", "content": "no"}]])
def test_without_a_pair_of_known_truth_one_line_comes_before_any_request(tmp_path: Path, in_context: object) -> None:
    prompt = tmp_path / "bare.json"
    prompt.write_text(json.dumps({"system_message": "Write pairs.", "in_context": in_context}), "utf-8")
    with server() as simulated:
        ran = run_rows(
            tmp_path,
            simulated.url,
            judge="all",
            calibrate_judge=5,
            prompt_path=str(prompt),
            cold_start="never",
        )
        assert simulated.stats.requests == 0
    assert isinstance(ran.error, ConfigError)
    assert str(ran.error).startswith("--calibrate-judge: there is nothing to calibrate on.")
    assert "\n" not in str(ran.error)


def test_fewer_answers_than_wanted_are_said(tmp_path: Path) -> None:
    prompt, _ = write_prompt(tmp_path, ("van",))
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, judge="all", calibrate_judge=500, prompt_path=prompt)
    made = calibration(ran)["answers"]
    assert 5 < made < 100
    assert any(f"yield {made} of 500 answers for the calibration" in line for line in ran.lines)


def test_a_calibration_needs_a_judge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--calibrate-judge needs --judge"):
        run_rows(tmp_path, "http://127.0.0.1", calibrate_judge=5)


def test_the_same_seed_makes_the_same_answers() -> None:
    material = [
        KnownAnswer(
            f"e{n}", f"a {thing} is there", (KnownPair("What is there?", f"A {thing} is there, near {n} trees."),)
        )
        for n, thing in enumerate(THINGS)
    ]
    made = make_known_answers(material, (), 20, 7)
    assert made == make_known_answers(material, (), 20, 7)
    assert made != make_known_answers(material, (), 20, 8)
    counted = [pair for each in made for pair in each.pairs if pair.truth is not None]
    assert len(set(counted)) == len(counted)
    assert {pair.truth for pair in counted} > {SOUND, KnownFault.OPPOSITE.value}


VAN = JudgedPairs(
    "the red van and two dogs are at the gate",
    (
        ("What is at the gate?", "Two dogs and a red van are at the gate."),
        ("Is the van blue?", "No, the van is not blue."),
        ("Where is the owner?", "There is no owner to be seen."),
    ),
)


@pytest.mark.parametrize(
    ("fault", "number", "answer"),
    [
        (KnownFault.NUMBER, 0, "Three dogs and a red van are at the gate."),
        (KnownFault.OPPOSITE, 0, "Two dogs and a red van are not at the gate."),
        (KnownFault.OPPOSITE, 1, "Yes, the van is blue."),
        (KnownFault.OPPOSITE, 2, "There is some owner to be seen."),
        (KnownFault.SOURCE, 1, "According to the annotation: No, the van is not blue."),
        (KnownFault.CUT, 0, "Two dogs and a red va"),
        (KnownFault.OTHER_ANNOTATION, 0, "Seven geese sleep."),
        (KnownFault.ADDED_CLAIM, 1, "No, the van is not blue. Seven geese sleep."),
        (KnownFault.NUMBER, 1, ""),
    ],
)
def test_a_fault_is_planted_by_structure(fault: KnownFault, number: int, answer: str) -> None:
    assert plant(fault, FaultSite(VAN, number, ["Seven geese sleep."]), Random(0)) == answer


def test_an_answer_that_may_be_true_elsewhere_is_no_fault() -> None:
    foreign = ["The red van is at the gate.", "Two dogs and a red van are seen at the gate."]
    assert plant(KnownFault.OTHER_ANNOTATION, FaultSite(VAN, 0, foreign), Random(0)) == ""
    assert plant(KnownFault.ADDED_CLAIM, FaultSite(VAN, 0, foreign), Random(0)) == ""


def test_precision_follows_from_the_rates_and_the_share() -> None:
    errors = JudgeErrors.of_sums(
        BadSums([BadCount(2, 2), BadCount(2, 1)] * 25), BadSums([BadCount(1, 0)] * 95 + [BadCount(1, 1)] * 5)
    )
    assert errors.recall.value == pytest.approx(0.75)
    found = errors.precision(0.5)
    assert found is not None
    assert found.value == pytest.approx(0.75 / 0.8)
    assert found.low < found.value < found.high <= 1
    reported = BadSums([BadCount(1, 1)] * 120 + [BadCount(1, 0)] * 880).estimate()
    assert errors.corrected(reported).share == pytest.approx(0.1)
    in_run = errors.precision_behind(reported)
    assert in_run.value == pytest.approx(0.75 * 0.1 / 0.12)
    assert in_run.low < in_run.value < in_run.high
    assert JudgeErrors(5, 10, 5, 10).precision_behind(reported).value == 0


def test_a_change_of_the_mixture_is_no_change_of_the_rate() -> None:
    before = {"easy": BadCount(90, 90), "hard": BadCount(10, 2)}
    now = {"easy": BadCount(10, 10), "hard": BadCount(90, 18), "new": BadCount(5, 0)}
    change = change_by_kind(before, now)
    assert change is not None
    assert change.value == pytest.approx(0)
    assert change.low < 0 < change.high
    assert change_by_kind(before, {"new": BadCount(5, 0)}) is None


def test_rounds_are_measured_one_by_one(tmp_path: Path) -> None:
    prompt, _ = write_prompt(tmp_path)
    with server() as simulated:
        run_rows(tmp_path, simulated.url, 2, judge="all", calibrate_judge=5, prompt_path=prompt)
        ran = run_rows(tmp_path, simulated.url, 2, judge="all", calibrate_judge=8, prompt_path=prompt)
    with closing(open_for_reading(ran.folder)) as store:
        assert [each.answers for each in read_measurements(store)] == [5, 3]
    assert ran.states == {State.OK: 2}
