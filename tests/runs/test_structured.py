"""Pairs that are asked for as JSON: whatever a server makes of it, the rows get their pairs, and it is learnt once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

import syphus
from syphus.answers.parsing.json_forms import PAIRS_FORM, object_schema, schema_problem
from syphus.endpoints.structured import EARLY, WINDOW, AnswerFormat, AnswerFormats
from syphus.exchange import Request
from syphus.ledger.store import open_for_reading
from syphus.pipeline.concurrency import FormTrial
from syphus.plugins.contract import structured_form
from syphus.plugins.discovery import find_plugin
from syphus.simulator import Simulation, serve_in_thread

SHIPPED = ("SpotTheDifference.change", "FunQA_mcqa.funqa", "FunQA_translation.funqa", "SceneNavigation.3d",
           "LlavaDetail.llava", "LlavaReasoning.llava")  # fmt: skip
BROKEN = ("cut", "fenced", "keys", "padded", "endless", "mixed")


def run(folder: Path, simulation: Simulation, name: str = SHIPPED[0], **options: Any) -> Any:
    with serve_in_thread(simulation) as server:
        return ask(folder, server.url, name, **options)


def ask(folder: Path, url: str, name: str = SHIPPED[0], **options: Any) -> Any:
    config = folder / "config.yaml"
    folder.mkdir(exist_ok=True)
    config.write_text(f"endpoint: {{base_url: {url}, api_key: k}}\nmodel: m\nmax_tokens: 800\nseed: 1\n")
    common = {"example": True, "structured": "always", "cold_start": "never"}
    return syphus.run(name, output_dir=folder, config=config, **{**common, **options})


def share(result: Any) -> float:
    return float(result.counts["ok"] / sum(result.counts.values()))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_form_is_valid_where_the_schema_is_enforced(tmp_path: Path, name: str) -> None:
    result = run(tmp_path / "run", Simulation(schema="enforced", sloppiness=0.3), name)
    assert share(result) == 1.0


@pytest.mark.parametrize("habit", ["ignored", *BROKEN])
def test_no_row_is_lost_where_the_schema_is_ignored_or_broken(tmp_path: Path, habit: str) -> None:
    assert share(run(tmp_path / "run", Simulation(schema=habit, sloppiness=0.0))) >= 0.97


@pytest.mark.parametrize("habit", ["cut", "keys", "endless", "mixed"])
def test_a_server_that_breaks_the_form_costs_a_few_requests_however_many_are_in_flight(
    tmp_path: Path, habit: str
) -> None:
    """Two formats, and three answers for each of them to show it; the requests in flight don't all pay for that."""
    rows = [{"img_id": str(n), "sentences": [f"the red car {n} has left"]} for n in range(60)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    with serve_in_thread(Simulation(schema=habit, sloppiness=0.0, latency=0.02)) as server:
        given: dict[str, Any] = {"example": False, "query_inputs_path": tmp_path / "rows.json", "num_threads": 32}
        result = ask(tmp_path / "run", server.url, **given)
        assert server.stats.requests <= 60 + 7
    assert share(result) == 1


def test_requests_in_a_form_are_let_through_as_answers_keep_to_it() -> None:
    formats, schema, mode = AnswerFormats("m"), AnswerFormat.SCHEMA, AnswerFormat.JSON
    rooms = [formats.room(schema)]
    for _ in range(WINDOW):
        formats.count(schema, kept=True)
        rooms.append(formats.room(schema))
    assert (rooms[0], rooms[1], rooms[5]) == (1, 4, 20)
    assert rooms[WINDOW] > 1_000_000
    formats = AnswerFormats("m")
    for _ in range(EARLY):
        assert formats.room(schema) == formats.room(mode) == 1
        formats.count(mode, kept=False)  # asked again, after the first answer
        formats.count(schema, kept=False)
    assert (formats.current, formats.room(schema), formats.room(mode)) == (AnswerFormat.TEXT, 0, 0)


def test_a_first_answer_that_takes_long_holds_the_others_back_for_a_few_seconds_only() -> None:
    now = 0.0
    trial = FormTrial(lambda: now)
    request = Request(b"", b"{}", form="json_schema", form_room=lambda: 1)

    async def count(times: Sequence[float]) -> list[int]:
        nonlocal now
        found = []
        for at in times:
            now = at
            found.append(0)
            with contextlib.suppress(TimeoutError):
                while await asyncio.wait_for(trial.enter(request), 0.001):
                    found[-1] += 1
        return found

    found = asyncio.run(count((0.0, 2.9, 3.0, 6.0, 9.0)))
    assert found == [1, 0, 1, 2, 4]


def test_a_refused_schema_costs_one_request_and_none_when_resumed(tmp_path: Path) -> None:
    with serve_in_thread(Simulation(refuse_parameters=("response_format",), sloppiness=0.0)) as server:
        first = ask(tmp_path, server.url, slice_end=5)
        assert (first.counts["ok"], first.requests) == (5, 5 + 1)
        again = ask(tmp_path, server.url, slice_end=9)
        assert (again.counts["ok"], again.requests) == (9, 9 + 1)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_schemas_of_the_shipped_plugins_are_in_the_subset(name: str) -> None:
    form = structured_form(find_plugin(name, installed="none").create(), wanted=True)
    assert form is not None
    assert schema_problem(form.schema) == ""


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "array", "items": {"type": "string"}}, "the root must be"),
        (object_schema({"a": {"type": "array", "items": {"type": "string"}, "minItems": 3}}), '"minItems" at a'),
        (object_schema({"a": {"type": "string", "pattern": "x"}}), '"pattern" at a'),
        (object_schema({"a": {"$ref": "#"}}), 'a needs "type"'),
        ({**object_schema({"a": {"type": "string"}}), "required": []}, "a is the difference"),
        ({**object_schema({"a": {"type": "string"}}), "additionalProperties": True}, "must be false"),
        (object_schema({"a": {"type": "integer", "minimum": 1}}), '"minimum" at a'),
        (object_schema({"a": {"type": "string", "enum": [1, 2]}}), "must list texts"),
    ],
)
def test_a_schema_outside_the_subset_is_named_with_its_place(schema: dict[str, object], problem: str) -> None:
    assert problem in schema_problem(schema)


def test_the_schema_is_sent_in_the_order_in_which_a_model_should_write() -> None:
    from syphus.endpoints.request import RequestBuilder
    from syphus.endpoints.structured import AnswerFormat, answer_request

    answer = answer_request(AnswerFormat.SCHEMA, "pairs", PAIRS_FORM.schema, in_order=True)
    body = RequestBuilder("m", {}).request([{"role": "user", "content": "x"}], answer=answer).body
    schema = orjson.loads(body)["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]["pairs"]["items"]["properties"]) == ["question", "answer"]


def test_the_report_says_what_an_accepted_pair_costs_in_each_form(tmp_path: Path) -> None:
    with serve_in_thread(Simulation(sloppiness=0.0)) as server:
        ask(tmp_path, server.url, slice_end=6, structured="never")
        forms = ask(tmp_path, server.url, slice_end=12, accept_changes=True).report()["forms"]
    assert set(forms) == {"json_schema", "text"}
    assert all(each["answers"] >= 6 and each["pairs"] >= 6 and each["tokens_per_pair"] > 0 for each in forms.values())


def test_what_was_learnt_is_in_the_ledger_and_said_once(tmp_path: Path) -> None:
    run(tmp_path / "run", Simulation(schema="cut", sloppiness=0.0))
    store = open_for_reading(tmp_path / "run" / SHIPPED[0] / "v1")
    (stored,) = store.read("SELECT value FROM meta WHERE name LIKE 'answer formats%'")
    assert json.loads(stored[0])["format"] == "text"
    store.close()
