"""Runs with models of today: nothing is refused, reasoning has its room, and old runs go on as they began."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Listener, Ran, run_rows, server
from wire import Wire, completion, in_thread, reply, serving

from syphus.cli.run_commands import status_lines
from syphus.config.options import Options
from syphus.main_job import run
from syphus.types import State

KEPT = {"gpt-4o-mini": {"shutdown": None}, "gpt-5-mini": {"shutdown": None}}  # whatever day it is
HERE = Path(__file__).resolve().parents[1] / "support"


MODELS = [("gpt-6-luna", None, "none"), ("gpt-6.1-sol", None, "low"), ("gpt-6-luna", "high", "high")]


@pytest.mark.parametrize(("model", "effort", "sent"), MODELS)
def test_a_first_run_with_a_model_of_today_has_no_refused_request(
    tmp_path: Path, model: str, effort: str | None, sent: str
) -> None:
    with server(profile="openai-new") as simulated:
        ran = run_rows(tmp_path, simulated.url, 6, config={"model": model}, reasoning_effort=effort)
        assert [each.status for each in simulated.endpoint.requests] == [200] * 6
    assert ran.exit_code == 0, ran.lines
    assert any(f"{model} (reasoning effort {sent})" in line for line in ran.lines)
    assert bool(ran.report.spending.usage.reasoning_tokens) == (sent != "none")
    assert any(line.startswith("Reasoning: ") for line in status_lines(ran.status, ran.folder)) == (sent != "none")


def bodies(wire: Wire) -> list[dict[str, object]]:
    return [json.loads(each.body) for each in wire.seen if each.line.startswith("POST")]


@pytest.mark.parametrize(("model", "effort", "sent"), MODELS)
def test_it_is_asked_as_it_wants_to_be_asked(tmp_path: Path, model: str, effort: str | None, sent: str) -> None:
    with in_thread(lambda: serving(lambda _: reply(completion(model=model)))) as wire:
        ran = run_rows(tmp_path, f"{wire.url}/v1", 1, config={"model": model}, reasoning_effort=effort, verbosity="low")
        (body,) = bodies(wire)
    assert ran.error is None
    sampler = {"temperature": 0.7, "top_p": 0.95} if sent == "none" else {}
    limit = {"none": 3200, "low": 7296, "high": 35968}[sent]
    assert {name: value for name, value in body.items() if name not in ("messages", "prompt_cache_options")} == {
        "model": model,
        "reasoning_effort": sent,
        "verbosity": "low",
        "max_completion_tokens": limit,
        **sampler,
    }


def test_an_answer_whose_tokens_went_into_reasoning_is_truncated_and_says_so(tmp_path: Path) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 7296}}
    usage = {"prompt_tokens": 100, "completion_tokens": 7296, **details}
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "length"}
    body = completion(model="gpt-6-luna", choices=[choice], usage=usage)
    with in_thread(lambda: serving(lambda _: reply(body))) as wire:
        ran = run_rows(tmp_path, f"{wire.url}/v1", 1, config={"model": "gpt-6-luna"}, reasoning_effort="low")
    assert ran.states == {State.TRUNCATED: 1}
    assert ran.reasons == ["max_tokens used up before the answer began: reasoning took most of them"]
    assert ran.report.spending.usage.reasoning_tokens == 7296


PAIRS = "Question: What is there?\nAnswer: A bird.\n\nQuestion: What does it do?\nAnswer: It eats."
DRAFT = "Question: What could be asked?\nAnswer: This is a draft. But two pairs are wanted, so one more is needed."
AS_JSON = json.dumps({"pairs": [{"question": "What is there?", "answer": "A bird."}]})


def run_with_reasoning(folder: Path, text: str, finish: str = "stop", **options: Any) -> Ran:
    message = {"role": "assistant", "content": None, "reasoning_content": text}
    body = completion(choices=[{"index": 0, "message": message, "finish_reason": finish}])
    with in_thread(lambda: serving(lambda _: reply(body))) as wire:
        return run_rows(folder, f"{wire.url}/v1", 1, **options)


def test_an_answer_in_the_field_for_reasoning_is_used_and_counted(tmp_path: Path) -> None:
    ran = run_with_reasoning(tmp_path, PAIRS)
    assert ran.states == {State.OK: 1}
    assert ran.report.rules["repairs"] == {"read from the field for reasoning": 1}


@pytest.mark.parametrize(
    "thoughts",
    [
        f"Let me draft.\n{DRAFT}",
        f"{PAIRS}\nWait, is that right? Let me check again.",
        f"Question: What is there?\nAnswer: This is a draft.\nNo, better:\n{PAIRS}",
        f"I could write {AS_JSON} or something else.",
        "I wonder what bird that is.",
    ],
)
def test_thoughts_with_drafts_in_the_field_for_reasoning_are_no_pairs(tmp_path: Path, thoughts: str) -> None:
    ran = run_with_reasoning(tmp_path, thoughts)
    assert ran.states == {State.INVALID: 1}
    assert ran.reasons == ["reasoning in place of an answer"]


def test_thoughts_that_are_cut_off_are_no_answer_that_began(tmp_path: Path) -> None:
    ran = run_with_reasoning(tmp_path, f"Let me draft.\n{DRAFT}", "length")
    assert ran.states == {State.TRUNCATED: 1}
    assert ran.reasons == ["max_tokens used up before the answer began"]


def test_a_run_of_thoughts_alone_stops_and_says_what_helps(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "I wonder what bird that is."}
    body = completion(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
    with in_thread(lambda: serving(lambda _: reply(body))) as wire:
        ran = run_rows(tmp_path, f"{wire.url}/v1", 40)
    assert ran.exit_code == 3
    assert "check its reasoning parser" in str(ran.error)


def test_a_run_of_the_former_default_model_goes_on_with_it_where_none_is_named(tmp_path: Path) -> None:
    with server() as simulated:
        first = run_rows(tmp_path, simulated.url, 3, config={"model": "gpt-4o-mini", "models": KEPT})
        assert first.exit_code == 0
    listener = Listener()
    chosen = Options(
        name="Rows.rows",
        query_inputs_path=str(tmp_path / "rows.jsonl"),
        datasets_dir=(HERE / "plugins",),
        output_dir=tmp_path / "output",
    )
    again = run(chosen, {"OPENAI_API_KEY": "sk-1"}, listener)  # at OpenAI, which has a default; all is done
    assert again.exit_code == 0
    assert listener.lines == [
        "No model is named: this run keeps gpt-4o-mini, with which it began (new runs take gpt-6-luna).",
        "Nothing to do: no request was sent.",
    ]


def test_a_run_that_began_before_there_were_efforts_keeps_its_requests(tmp_path: Path) -> None:
    with in_thread(lambda: serving(lambda _: reply(completion(model="gpt-5-mini")))) as wire:
        without = {"model": "gpt-5-mini", "models": KEPT, "reasoning_effort": None}  # as every run of before
        run_rows(tmp_path, f"{wire.url}/v1", 1, config=without)
        ran = run_rows(tmp_path, f"{wire.url}/v1", 2, config={"model": "gpt-5-mini", "models": KEPT})
        first, second = bodies(wire)
    assert ran.error is None
    assert {**first, "messages": None} == {**second, "messages": None}
    assert first["max_tokens"] == 3200
