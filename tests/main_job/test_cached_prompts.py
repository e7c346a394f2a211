"""Runs whose prompts begin alike: what they read from the prompt cache, what that costs, and what is said about it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, KEY, Listener, Ran, run_rows, server, write_config, write_rows
from PIL import Image
from wire import Seen, completion, in_thread, reply, serving

from syphus.cli.run_commands import status_lines
from syphus.config.options import Options, QuoteOptions
from syphus.ledger.sessions import set_meta
from syphus.ledger.store import open_for_writing
from syphus.main_job import quote
from syphus.simulator import SimulatedServer, Simulation, serve_in_thread
from syphus.types import State

NEW, OLD = "gpt-6-luna", "gpt-4o-mini"
AS_WITHOUT_OPTIONS = {NEW: {"cache": {"kind": "prefix", "minimum": 10**6}}}  #: a cache that the client leaves alone


def write_prompt(folder: Path, examples: int) -> str:
    """A prompt of so many examples, about 160 tokens each."""
    shown = "a person with a red bag has moved to the other side of the road, and the lorry is gone. " * 5
    answer = [{"question": "What has moved?", "answer": "A person with a red bag has moved to the other side."}] * 2
    turns = [
        turn
        for number in range(examples)
        for turn in ({"role": "user", "content": f"{number}: {shown}"}, {"role": "assistant", "content": answer})
    ]
    path = folder / "prompt.json"
    path.write_text(json.dumps({"system_message": "Write pairs of Question and Answer.", "in_context": turns}))
    return str(path)


def ask(
    folder: Path, url: str, texts: int = 60, config: dict[str, Any] | None = None, examples: int = 12, **options: Any
) -> Ran:
    folder.mkdir(exist_ok=True)
    given = {"prompt_path": write_prompt(folder, examples), "num_threads": 16, **options}
    return run_rows(folder, url, texts, {"model": NEW, **(config or {})}, **given)


def input_cost(simulated: SimulatedServer) -> float:
    """What the server bills for the input, in tokens at the full price."""
    stats = simulated.stats
    others = stats.tokens_in - stats.tokens_cached - stats.tokens_cache_written
    return others + 0.1 * stats.tokens_cached + 1.25 * stats.tokens_cache_written


def test_a_few_requests_write_the_examples_and_all_others_read_them(tmp_path: Path) -> None:
    with server() as simulated:
        before = ask(tmp_path / "before", simulated.url, config={"models": AS_WITHOUT_OPTIONS})
        stats = simulated.stats
        assert (stats.tokens_cached, stats.tokens_cache_written) == (0, stats.tokens_in)
        dear = input_cost(simulated)
        simulated.reset()
        ran = ask(tmp_path / "now", simulated.url)
        stats = simulated.stats
        assert before.states == ran.states == {State.OK: stats.requests} == {State.OK: 60}
        assert stats.tokens_cached > 0.85 * stats.tokens_in
        assert input_cost(simulated) < dear / 5
    report = json.loads((ran.folder / "report.json").read_text())
    read, written = stats.tokens_cached / stats.tokens_in, stats.tokens_cache_written / stats.tokens_in
    assert report["prompt_cache"] == {"read_share": round(read, 4), "written_share": round(written, 4)}
    (forecast,) = [found[1] for line in ran.lines if (found := re.search(r"\((\d+)% from the prompt cache\)", line))]
    assert abs(int(forecast) / 100 - read) <= 0.05
    line = f"Prompt cache: {read:.0%} of the input tokens read from it, {written:.0%} written to it."
    assert line in status_lines(ran.status, ran.folder)


def test_answers_are_reused_whatever_the_cache_does(tmp_path: Path) -> None:
    with server() as simulated:
        ask(tmp_path, simulated.url, 20, {"models": AS_WITHOUT_OPTIONS})
        again = ask(tmp_path, simulated.url, 20)
        assert simulated.stats.requests == 20
        assert again.lines[-1] == "Nothing to do: no request was sent."


def test_a_resumed_run_finds_what_the_last_one_wrote(tmp_path: Path) -> None:
    with server() as simulated:
        ask(tmp_path, simulated.url, 8)
        written = simulated.stats.tokens_cache_written
        ask(tmp_path, simulated.url, 14)
        assert simulated.stats.requests == 14
        assert simulated.stats.tokens_cache_written == written


@pytest.mark.parametrize("minutes_later", [None, 0, 5, 60])
def test_the_forecast_is_right_cold_after_a_pilot_and_later(tmp_path: Path, minutes_later: int | None) -> None:
    """None: without a pilot. A minute later its keys have room again; after half an hour they are gone."""
    pilot, rows, slept = 30, 150, 0.0
    simulation = Simulation(sloppiness=0)
    with serve_in_thread(simulation, clock=lambda: time.monotonic() + slept) as simulated:
        if minutes_later is not None:
            options: dict[str, Any] = {"prompt_path": write_prompt(tmp_path, 12), "num_threads": 16}
            listing = write_rows(tmp_path / "rows.jsonl", rows)
            config = write_config(tmp_path / "config.json", simulated.url, model=NEW)
            base: dict[str, Any] = {
                "name": "Rows.rows",
                "query_inputs_path": str(listing),
                "datasets_dir": (HERE / "plugins",),
            }
            given = Options(**{**base, "output_dir": tmp_path / "output", "config": config, **options})
            quote(given, QuoteOptions(pilot=pilot), {}, Listener())
            assert simulated.stats.requests == pilot
            slept = 60.0 * minutes_later
            let_time_pass(given.folder, slept)
        before = replace(simulated.stats)
        ran = ask(tmp_path, simulated.url, rows)
        tokens = simulated.stats.tokens_in - before.tokens_in
        read = simulated.stats.tokens_cached - before.tokens_cached
    assert ran.states == {State.OK: rows}
    (forecast,) = [found[1] for line in ran.lines if (found := re.search(r"\((\d+)% from the prompt cache\)", line))]
    assert abs(int(forecast) / 100 - read / tokens) <= 0.05


def let_time_pass(folder: Path, seconds: float) -> None:
    """Make what a run remembers of its keys older."""
    with closing(open_for_writing(folder)) as store:
        for name, text in store.read("SELECT name, value FROM meta WHERE name LIKE 'cache keys %'"):
            keys = {
                digest: {n: (at - seconds, used) for n, (at, used) in each.items()}
                for digest, each in json.loads(text).items()
            }
            set_meta(store, name, json.dumps(keys))
        store.commit()


def test_azure_is_sent_the_same(tmp_path: Path) -> None:
    with server() as simulated:
        where = {"kind": "azure", "base_url": simulated.host_url, "api_key": KEY, "api_version": "2025-04-01-preview"}
        ran = ask(tmp_path, "", 15, {"endpoints": [{**where, "deployment": NEW}]})
        assert ran.states == {State.OK: 15}
        assert simulated.stats.tokens_cached > 0.8 * simulated.stats.tokens_in


@contextmanager
def recording() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that knows no cache: its URL, and the bodies that it was sent."""
    bodies: list[dict[str, Any]] = []

    def answer(seen: Seen) -> bytes:
        bodies.append(json.loads(seen.body))
        return reply(completion(usage={"prompt_tokens": 2300, "completion_tokens": 20}))

    with in_thread(lambda: serving(answer)) as wire:
        yield f"{wire.url}/v1", bodies


@pytest.mark.parametrize("model", [OLD, "llama-4-scout"])
def test_older_models_and_other_servers_are_sent_what_they_always_were(tmp_path: Path, model: str) -> None:
    with recording() as (url, bodies):
        ask(tmp_path, url, 3, {"model": model})
    assert len(bodies) == 3
    for body in bodies:
        assert not [name for name in body if "cache" in name]
        assert all(isinstance(message["content"], str) for message in body["messages"])


def test_every_request_begins_with_the_same_bytes_up_to_the_mark(tmp_path: Path) -> None:
    with recording() as (url, bodies):
        ask(tmp_path, url, 5)
    (prefix,) = {json.dumps(body["messages"][:-1]) for body in bodies}
    assert "prompt_cache_breakpoint" not in prefix
    parts = [body["messages"][-1]["content"] for body in bodies]
    assert len({json.dumps(first) for first, _ in parts}) == 1
    assert all(first["prompt_cache_breakpoint"] == {"mode": "explicit"} for first, _ in parts)
    assert len({own["text"] for _, own in parts}) == 5
    assert {body["prompt_cache_options"]["mode"] for body in bodies} == {"explicit"}


def test_a_server_that_ignores_the_marks_is_said_once_with_the_likely_cause(tmp_path: Path) -> None:
    with recording() as (url, _):
        ran = ask(tmp_path, url, 60)
    assert len([line for line in ran.lines if "The server probably ignores the marks" in line]) == 1


def test_a_short_prompt_pays_no_fee(tmp_path: Path) -> None:
    with server() as simulated:
        ran = ask(tmp_path, simulated.url, 12, examples=3)
        assert (simulated.stats.tokens_cached, simulated.stats.tokens_cache_written) == (0, 0)
    assert not [line for line in status_lines(ran.status, ran.folder) if "cache" in line]


def test_rejected_answers_are_asked_for_again_with_the_prefix_from_the_cache(tmp_path: Path) -> None:
    with server(script=["ok", "unpaired", "unpaired"]) as simulated:
        ran = ask(tmp_path, simulated.url, 9, num_threads=1)
        requests = list(simulated.requests)
        assert [request.cached_tokens > 1500 for request in requests] == [False] + [True] * (len(requests) - 1)
    assert len(requests) == 11  # one row was asked for again: with the same prompt, and then with what was wrong
    assert ran.states == {State.OK: 9}


def error(message: str, param: str | None, code: str | None) -> bytes:
    return json.dumps({"error": {"message": message, "param": param, "code": code}}).encode()


MARKED_PART = "messages[25].content[0].prompt_cache_breakpoint"
LOCATED = [{"type": "extra_forbidden", "loc": ["body", "prompt_cache_options"], "msg": "Extra inputs"}]


@pytest.mark.parametrize(
    "refusal",
    [
        error("Unknown parameter: 'prompt_cache_options'.", "prompt_cache_options", "unknown_parameter"),
        error("Unrecognized request arguments supplied: prompt_cache_key, prompt_cache_options", None, None),
        error(f"Unknown parameter: '{MARKED_PART}'.", MARKED_PART, "unknown_parameter"),
        error("Invalid type for 'messages[25].content': expected a string.", "messages[25].content", "invalid_type"),
        error("Invalid value: '30m'. Supported values are: '5m'.", "prompt_cache_options.ttl", "invalid_value"),
        json.dumps({"detail": LOCATED}).encode(),
    ],
)
def test_a_server_that_refuses_the_fields_is_asked_without_all_of_them(tmp_path: Path, refusal: bytes) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(seen: Seen) -> bytes:
        bodies.append(json.loads(seen.body))
        marked = "prompt_cache_options" in bodies[-1]
        return reply(refusal, "400 Bad Request") if marked else reply(completion())

    with in_thread(lambda: serving(answer)) as wire:
        first = ask(tmp_path, f"{wire.url}/v1", 6)
        assert first.states == {State.OK: 6}
        assert len(bodies) == 7
        assert not [line for line in first.lines if "of requests" in line]
        said = "127.0.0.1 does not accept marks for its prompt cache: they are left out."
        assert [line.partition(" ")[2] for line in first.lines if "marks" in line] == [said.partition(" ")[2]]
        ask(tmp_path, f"{wire.url}/v1", 9)
    assert len(bodies) == 10  # a resumed run knows it
    assert all("prompt_cache" not in json.dumps(body) for body in bodies[1:])


def test_a_model_that_is_taken_for_a_newer_one_costs_one_request(tmp_path: Path) -> None:
    table = {OLD: {"cache": {"kind": "marked", "minimum": 1024, "requests_per_minute": 15}}}
    with server() as simulated:
        ran = ask(tmp_path, simulated.url, 9, {"model": OLD, "models": table})
        assert simulated.stats.requests == 10
        assert ran.states == {State.OK: 9}
        assert simulated.stats.tokens_cached > 0


def test_images_of_the_examples_are_part_of_the_prefix(tmp_path: Path) -> None:
    """Little text, and one picture that takes more than the minimum by itself."""
    Image.new("RGB", (1024, 1024), "red").save(tmp_path / "red.png")
    turns = [
        {"role": "user", "content": "the picture is red", "images": ["red.png"]},
        {"role": "assistant", "content": [{"question": "Which colour is it?", "answer": "It is red."}]},
    ]
    prompt = {"system_message": "Write pairs of Question and Answer.", "in_context": turns}
    (tmp_path / "shown.json").write_text(json.dumps(prompt))
    with server() as simulated:
        ran = ask(tmp_path, simulated.url, 15, prompt_path=str(tmp_path / "shown.json"))
        requests = list(simulated.requests)
    assert ran.states == {State.OK: 15}
    assert all(len(request.images) == 1 for request in requests)
    assert [request.cached_tokens > 1200 for request in requests] == [False] + [True] * 14
    assert requests[0].cache_write_tokens == requests[1].cached_tokens


def test_cache_fields_of_ones_own_are_sent_once_and_alone(tmp_path: Path) -> None:
    own = {"prompt_cache_key": "mine"}
    with recording() as (url, bodies):
        ask(tmp_path, url, 3, {"extra_body": own})
    assert [{name: value for name, value in body.items() if "cache" in name} for body in bodies] == [own] * 3


def test_the_bill_has_the_price_of_twelve_hours(tmp_path: Path) -> None:
    tariff = {"input": 0.10, "output": 0.50, "cached_input": 0.01, "cache_write": 0.25}
    with server(tariffs={NEW: tariff}) as simulated:
        ran = ask(tmp_path, simulated.url, 20, {"models": {NEW: {"cache": {"minutes": 720}}}})
        assert simulated.stats.tokens_cache_written > 0
        assert ran.report.cost == pytest.approx(float(simulated.stats.dollars), rel=0.01)
