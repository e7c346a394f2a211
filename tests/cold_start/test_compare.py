"""Prompts and models compared on the same queries; and what a run teaches, described."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser import PageTags, shown
from cold import SYSTEM, options, teachable, texts
from harness import Listener, run_rows, server

from syphus.answers.scoring import Candidate, Scored
from syphus.cli.summary import comparison_table
from syphus.cold_start.compare import ComparisonResult, as_json, compare
from syphus.cold_start.page import ComparedVariant, write_comparison
from syphus.errors import BudgetError, ConfigError, RunError
from syphus.formats.mimicit.data_yaml import add_description, read_description
from syphus.formats.mimicit.mix import mix
from syphus.runs.describe import DescriptionResult, describe
from syphus.simulator import SimulatedServer
from syphus.types import Pair, Query, State

PAIRS = [("What is the sailor doing?", "He is painting a boat."), ("Where is the boat?", "It is at the harbour.")]


def prompt(folder: Path, name: str, examples: int) -> str:
    """A prompt file with so many in-context examples."""
    turns: list[dict[str, Any]] = []
    for number in range(examples):
        turns.append({"role": "user", "content": f"a sailor is painting boat {number} at the harbour"})
        turns.append({"role": "assistant", "content": [{"question": q, "answer": a} for q, a in PAIRS]})
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"system_message": SYSTEM, "in_context": turns}), "utf-8")
    return str(path)


def measured(folder: Path, endpoint: SimulatedServer, models: tuple[str, ...] = (), **more: Any) -> ComparisonResult:
    prompts = [prompt(folder, "bare", 0), prompt(folder, "taught", 3)]
    return compare(options(folder, endpoint, **more), prompts, models, 30, {}, Listener())


def test_the_same_queries_are_asked_and_a_better_prompt_is_distinguished_from_chance(tmp_path: Path) -> None:
    with teachable() as endpoint:
        done = measured(tmp_path, endpoint)
        bare, taught = done.variants
        assert [each.candidate.query.id for each in bare.trials] == [each.candidate.query.id for each in taught.trials]
        numbers = taught.numbers(0)
        assert numbers["valid share"].mean > 0.9 > bare.numbers(0)["valid share"].mean
        assert numbers["tokens a pair"].low <= numbers["tokens a pair"].mean <= numbers["tokens a pair"].high
        assert {"pairs a query", "score", "grounding", "variety"} <= numbers.keys()
        ((name, gain),) = done.gains()
        assert (name, gain.low > 0) == ("taught", True)
        lines = comparison_table(done)
        assert lines[0].split() == ["bare", "taught"]
        assert lines[-2].endswith("against bare: better, by more than chance")
        ((name, unit, times),) = done.costs()
        assert (name, unit) == ("taught", "tokens")
        of_bare = bare.numbers(0)["tokens a pair"].mean
        assert times.mean == pytest.approx(numbers["tokens a pair"].mean / of_bare)
        assert times.low <= times.mean <= times.high
        verdict = "cheaper" if times.high < 1 else "dearer" if times.low > 1 else "may be chance"
        assert lines[-1].startswith(f"taught: {times.mean:.2f} times (")
        assert verdict in lines[-1]
        assert endpoint.stats.requests == 60
        assert measured(tmp_path, endpoint).rows() == done.rows()
        assert endpoint.stats.requests == 60


def test_all_answers_are_on_a_page_beside_each_other_and_as_text_without_another_request(tmp_path: Path) -> None:
    with teachable() as endpoint:
        done = measured(tmp_path, endpoint)
        page = tmp_path / done.files[0]
        first = page.read_bytes()
        page.unlink()
        assert measured(tmp_path, endpoint).files == done.files
        assert (page.name, page.read_bytes(), endpoint.stats.requests) == ("compare.html", first, 60)
    log = (page.parent / "run.log").read_text("utf-8")
    assert "compare: starts" in log
    assert log.rstrip().endswith(": done")
    text = first.decode()
    tags = PageTags(text)
    assert (tags.open, tags.loaded) == ([], [])
    assert "bare: score" not in text  # verdicts are of the others
    assert "taught: score +" in text
    told: Any = as_json(done)
    assert len(told["answers"]) == 30
    gaps = []
    for block in text.split("<details open>")[1:]:
        (row,) = (each for each in told["answers"] if f"<bdi>{each['query']}</bdi>" in block)
        assert escape(row["annotation"]) in block
        bare, taught = (row["variants"][name] for name in ("bare", "taught"))
        assert block.index(">bare</h4>") < block.index(">taught</h4>")
        for each in (bare, taught):
            texts = [each["answer"]] if each["state"] != "ok" else [p["answer"] for p in each["pairs"]]
            assert all(escape(text) in block for text in (*texts, each["reason"]))
        gaps.append(-abs(bare["score"] - taught["score"]))
    assert (len(gaps), gaps) == (30, sorted(gaps))
    lines = list(done.answer_lines(2))
    assert sum(line.startswith("=== ") for line in lines) == 2
    assert [line.split(":")[0] for line in lines if line.startswith("--- ")] == ["--- bare", "--- taught"] * 2
    assert list(done.answer_lines(0)) == []


_HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\x00\x1b[31m & \"'"
_ARABIC = "\u0642\u0637\u0629 \u0639\u0644\u0649 \u0643\u0631\u0633\u064a."  # a cat on a chair


def test_in_a_browser_answers_are_text_in_their_own_direction_and_below_each_other_on_a_phone(tmp_path: Path) -> None:
    query = Query(f"r\u202e{_HOSTILE}", f"{_HOSTILE}\n{_ARABIC}")
    answers = [
        Candidate(query, (Pair(_ARABIC, f"{_ARABIC} {_HOSTILE}"), Pair("x" * 300, "y " * 200)), _HOSTILE),
        Candidate(query, (), f"{_HOSTILE}\udc80", State.INVALID, _HOSTILE, _HOSTILE),
    ]
    variants = [
        ComparedVariant(f"{number} {_HOSTILE}", _HOSTILE, [Scored(each, {_HOSTILE: 0.2}, 0.2, {_HOSTILE: _HOSTILE})])
        for number, each in enumerate(answers)
    ]
    path = tmp_path / "compare.html"
    write_comparison(path, _HOSTILE, variants, [(_HOSTILE, [_HOSTILE, "1"])], [_HOSTILE], simulated=False)
    assert b"\0" not in path.read_bytes()
    assert b"\x1b" not in path.read_bytes()
    tags = PageTags(path.read_text("utf-8"))
    assert (tags.open, tags.loaded) == ([], [])
    with shown(path) as page:
        directions = page.locator("dt, dd").evaluate_all("all => all.map(each => getComputedStyle(each).direction)")
        assert directions == ["rtl", "rtl", "ltr", "ltr"]
        assert page.inner_text("body").count("<script>alert(1)</script>") >= 10
        places = "all => all.map(each => { const at = each.getBoundingClientRect(); return [at.x, at.y, at.bottom] })"
        one, other = page.locator(".all > div").evaluate_all(places)
        assert one[1] == other[1]
        assert one[0] < other[0]
        page.set_viewport_size({"width": 360, "height": 640})
        one, other = page.locator(".all > div").evaluate_all(places)
        assert one[0] == other[0]
        assert one[2] <= other[1]


def test_prompts_with_one_name_are_distinguished_and_simulated_answers_are_marked(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    prompts = [prompt(tmp_path, "bare", 0), prompt(tmp_path / "other", "bare", 3), prompt(tmp_path, "third", 1)]
    with teachable() as endpoint:
        done = compare(options(tmp_path, endpoint), prompts, (), 6, {}, Listener())
    assert [each.name for each in done.variants] == [*prompts[:2], "third"]
    told: Any = as_json(done)
    assert (told["simulated"], set(told["score_against_the_first"])) == (True, {prompts[1], "third"})
    share = done.variants[1].numbers(0)["valid share"]
    assert share.low < share.mean <= share.high
    assert share.low < 0.7  # of six, whatever they are


def test_few_queries_prove_nothing(tmp_path: Path) -> None:
    with teachable() as endpoint:
        prompts = [prompt(tmp_path, "bare", 0), prompt(tmp_path, "taught", 3)]
        done = compare(options(tmp_path, endpoint), prompts, (), 5, {}, Listener())
    assert comparison_table(done)[-2].endswith("against bare: too few queries to rule out chance")


def test_no_query_is_asked_that_a_prompt_has_for_an_example(tmp_path: Path) -> None:
    shown = texts(40)["r007"]
    turns = [{"role": "user", "content": shown}, {"role": "assistant", "content": "Question: Who?\nAnswer: Nobody."}]
    given = tmp_path / "shown.json"
    given.write_text(json.dumps({"system_message": SYSTEM, "in_context": turns}), "utf-8")
    with teachable() as endpoint:
        prompts = [prompt(tmp_path, "bare", 0), str(given)]
        done = compare(options(tmp_path, endpoint, rows=40), prompts, (), 40, {}, Listener())
    asked = {each.candidate.query.text for each in done.variants[0].trials}
    assert (len(asked), shown in asked) == (39, False)


def test_models_are_compared_and_named_with_their_costs(tmp_path: Path) -> None:
    with teachable() as endpoint:
        done = measured(tmp_path, endpoint, ("gpt-6-luna", "gpt-6-sol"))
        names = ["bare gpt-6-luna", "taught gpt-6-luna", "bare gpt-6-sol", "taught gpt-6-sol"]
        assert [each.name for each in done.variants] == names
        cheap, dear = (done.variants[n].numbers(0)["dollars a pair"].mean for n in (1, 3))
        assert 0 < cheap < dear
        told: Any = as_json(done)
        assert [each["model"] for each in told["variants"]] == ["gpt-6-luna"] * 2 + ["gpt-6-sol"] * 2
        assert told["score_against_the_first"].keys() == set(names[1:])


def test_a_stopped_comparison_reports_what_it_has_and_resumes(tmp_path: Path) -> None:
    with teachable() as endpoint:
        short = measured(tmp_path, endpoint, max_requests=40)
        assert isinstance(short.stopped_by, BudgetError)
        assert [each.name for each in short.variants] == ["bare"]
        assert len(measured(tmp_path, endpoint).variants) == 2
        assert endpoint.stats.requests == 60


def test_one_prompt_alone_is_nothing_to_compare(tmp_path: Path) -> None:
    with teachable() as endpoint, pytest.raises(ConfigError, match="Nothing to compare"):
        compare(options(tmp_path, endpoint), [prompt(tmp_path, "bare", 0)], (), 30, {}, Listener())


def described(folder: Path, endpoint: SimulatedServer, into: str = "", **more: Any) -> DescriptionResult:
    """Describes the run of `run_rows` in a folder."""
    rows = {"query_inputs_path": str(folder / "rows.jsonl"), "prompt_path": ""}
    return describe(options(folder, endpoint, rows=4, **rows, **more), 30, into, {}, Listener())


def test_a_run_is_described_once_and_its_data_yaml_says_so(tmp_path: Path) -> None:
    with server() as endpoint:
        ran = run_rows(tmp_path, endpoint.url, 4)
        asked = endpoint.stats.requests
        told = described(tmp_path, endpoint)
        assert endpoint.stats.requests == asked + 1
        assert 0 < len(told.short.split()) < 100
        assert len(told.short.split()) < len(told.long.split()) < 500
        assert described(tmp_path, endpoint) == told
        assert told.simulated
        assert json.loads((ran.folder / "task_description.json").read_text("utf-8"))["simulated"] is True
        assert endpoint.stats.requests == asked + 1
    out = tmp_path / "data.yaml"
    instructions = ran.folder / "RW_instructions.json"
    mix(out, [f"RW=TEXT_ONLY:{instructions}"], lambda _: None)
    entry = yaml.safe_load(out.read_text("utf-8"))["TEXT_ONLY"]["RW"]
    assert entry["task_description"] == [told.short, told.long] == read_description(instructions)


def test_a_description_goes_into_a_data_yaml_that_is_there(tmp_path: Path) -> None:
    out = tmp_path / "data.yaml"
    with server() as endpoint:
        ran = run_rows(tmp_path, endpoint.url, 4)
        mix(out, [f"RW=TEXT_ONLY:{ran.folder / 'RW_instructions.json'}"], lambda _: None)
        told = described(tmp_path, endpoint, str(out))
    entry = yaml.safe_load(out.read_text("utf-8"))["TEXT_ONLY"]["RW"]
    assert entry["task_description"] == [told.short, told.long]
    with pytest.raises(ConfigError, match="lists no pairs of"):
        add_description(out, tmp_path)


def test_there_is_nothing_to_describe_without_a_run_or_without_pairs(tmp_path: Path) -> None:
    with server(poison={"cat": "refusal"}) as endpoint:
        with pytest.raises(RunError, match="is not a run"):
            described(tmp_path, endpoint)
        run_rows(tmp_path, endpoint.url, {"r1": "  "})
        with pytest.raises(RunError, match="holds no pairs yet"):
            described(tmp_path, endpoint)
