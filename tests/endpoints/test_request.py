"""The request key: what makes another request, and what does not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from syphus.endpoints.refusals import Change, ChangeKind
from syphus.endpoints.request import KEY_BYTES, RequestBuilder, adapt_request, output_limit
from syphus.exchange import Request
from syphus.types import Message

ROOT = Path(__file__).resolve().parents[2]
MODEL = "gpt-4o-mini"
PARAMETERS: dict[str, object] = {
    "temperature": 0.7,
    "top_p": 0.95,
    "max_tokens": 3200,
    "seed": None,
    "reasoning_effort": "low",
    "metadata": {"a": 1, "b": [1, 2]},
}
MESSAGES = [
    Message(role="system", content="Write pairs."),
    Message(role="user", content="a cat sits on a mat"),
    Message(role="assistant", content="Question 1: Where?\nAnswer 1: On a mat."),
    Message(role="user", content="ein Café · 猫 · 🚗"),
]
KNOWN = "c91dfc1265d2ff3757f2f976117c3189"  # a change of it makes every answer that was ever paid for unknown


def request(
    model: str = MODEL,
    parameters: dict[str, object] | None = None,
    messages: list[Message] | None = None,
    sample: int = 0,
    owner: str = "",
) -> Request:
    return RequestBuilder(model, PARAMETERS if parameters is None else parameters).request(
        MESSAGES if messages is None else messages, sample, owner
    )


def but(**changes: object) -> dict[str, object]:
    return {**PARAMETERS, **changes}


def turned(place: int, **changes: str) -> list[Message]:
    """The messages with one of them changed."""
    turn = MESSAGES[place]
    message = Message(role=changes.get("role", turn["role"]), content=changes.get("content", turn["content"]))
    return [*MESSAGES[:place], message, *MESSAGES[place + 1 :]]


OTHERS = {
    "model": request(model="gpt-4o"),
    "dated model": request(model="gpt-4o-mini-2024-07-18"),
    "temperature": request(parameters=but(temperature=0.8)),
    "no temperature": request(parameters=but(temperature=None)),
    "temperature 0": request(parameters=but(temperature=0.0)),
    "top_p": request(parameters=but(top_p=0.9)),
    "no top_p": request(parameters=but(top_p=None)),
    "max_tokens": request(parameters=but(max_tokens=3201)),
    "no max_tokens": request(parameters=but(max_tokens=None)),
    "seed": request(parameters=but(seed=0)),
    "further field": request(parameters=but(reasoning_effort="high")),
    "more fields": request(parameters=but(frequency_penalty=0)),
    "inner value": request(parameters=but(metadata={"a": 1, "b": [1, 3]})),
    "inner order of a list": request(parameters=but(metadata={"a": 1, "b": [2, 1]})),
    "type of a value": request(parameters=but(metadata={"a": "1", "b": [1, 2]})),
    "system message": request(messages=turned(0, content="Write pairs!")),
    "example": request(messages=turned(2, content="Question 1: Where?\nAnswer 1: On the mat.")),
    "role": request(messages=turned(0, role="developer")),
    "query": request(messages=turned(3, content="ein Cafe · 猫 · 🚗")),
    "white space": request(messages=turned(3, content="ein Café · 猫 · 🚗 ")),
    "decomposed letter": request(messages=turned(3, content="ein Cafe\u0301 · 猫 · 🚗")),
    "order of turns": request(messages=[MESSAGES[0], MESSAGES[2], MESSAGES[1], MESSAGES[3]]),
    "a turn less": request(messages=MESSAGES[1:]),
    "a turn twice": request(messages=[*MESSAGES, MESSAGES[3]]),
    "owner": request(owner="row-1"),
    "another owner": request(owner="row-2"),
}


@pytest.mark.parametrize("change", OTHERS)
def test_every_change_is_another_request(change: str) -> None:
    assert OTHERS[change].key != request().key


def test_all_the_changes_differ_from_one_another() -> None:
    keys = {name: other.key for name, other in OTHERS.items()}
    assert len(set(keys.values())) == len(keys)


def test_the_key_of_a_known_request_never_changes() -> None:
    assert request().key.hex() == KNOWN
    assert len(request().key) == KEY_BYTES


def test_the_order_of_fields_changes_nothing() -> None:
    reverse = dict(reversed(but(metadata={"b": [1, 2], "a": 1}).items()))
    messages = [Message(content=turn["content"], role=turn["role"]) for turn in MESSAGES]
    assert request(parameters=reverse, messages=messages) == request()


def test_what_is_left_out_changes_nothing() -> None:
    assert request(parameters=but(stop=None)).key == request().key


def test_another_sample_of_a_request_is_the_same_body_and_key() -> None:
    first, again = request(), request(sample=3)
    assert (again.key, again.body, again.sample) == (first.key, first.body, 3)


def test_the_body_is_json_in_utf_8_with_every_field_as_given() -> None:
    body = request().body
    assert "ein Café · 猫 · 🚗".encode() in body
    sent = json.loads(body)
    assert sent.pop("model") == MODEL
    assert sent.pop("messages") == MESSAGES
    assert sent == {name: value for name, value in PARAMETERS.items() if value is not None}


def test_folder_hash_seed_and_imports_change_nothing(tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "{first}\n"
        "from syphus.endpoints.request import RequestBuilder\n"
        "model, parameters, messages = json.loads(sys.stdin.read())\n"
        "print(RequestBuilder(model, parameters).request(messages).key.hex())\n"
    )
    for folder, seed, first in ((tmp_path, "1", "import openai, yaml"), (ROOT, "77", "import syphus.main_job")):
        ran = subprocess.run(
            [sys.executable, "-c", program.format(first=first)],
            input=json.dumps([MODEL, PARAMETERS, MESSAGES]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
            check=True,
        )
        assert ran.stdout.strip() == KNOWN


# Making do without a parameter

NEWER_NAME = Change("max_tokens", ChangeKind.RENAME, "max_completion_tokens")


def adapted(*changes: Change) -> Request:
    return adapt_request(request(), {change.name: change for change in changes})


def test_max_tokens_goes_out_by_its_newer_name() -> None:
    newer = request(parameters=but(max_tokens=None, max_completion_tokens=3200))
    assert adapted(NEWER_NAME) == newer
    assert adapted(NEWER_NAME, Change("max_completion_tokens", ChangeKind.AT_MOST, 900)).names == newer.names
    assert b'"max_completion_tokens":900' in adapted(NEWER_NAME, Change(LIMIT, ChangeKind.AT_MOST, 900)).body


LIMIT = "max_completion_tokens"


@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_any_other_parameter_is_left_to_the_model(name: str) -> None:
    assert adapted(Change(name, ChangeKind.OMIT)) == request(parameters=but(**{name: None}))


def test_another_value_is_sent_and_a_limit_lowers_only_what_is_above_it() -> None:
    changed = adapted(
        Change("reasoning_effort", ChangeKind.REPLACE, "high"), Change("max_tokens", ChangeKind.AT_MOST, 9)
    )
    assert changed == request(parameters=but(reasoning_effort="high", max_tokens=9))
    assert adapted(Change("max_tokens", ChangeKind.AT_MOST, 9_000)).key == request().key


def test_a_parameter_that_is_not_sent_changes_nothing() -> None:
    assert adapted(Change("seed", ChangeKind.OMIT)) == request()


def test_an_adapted_request_keeps_its_owner() -> None:
    own = adapt_request(request(owner="row-1"), {"top_p": Change("top_p", ChangeKind.OMIT)})
    assert own.key == request(parameters=but(top_p=None), owner="row-1").key


def test_images_are_sent_with_the_adapted_request() -> None:
    whole = replace(request(), load_body=lambda: request(messages=[Message(role="user", content="image")]).body)
    loaded = adapt_request(whole, {"max_tokens": NEWER_NAME}).load_body
    assert loaded is not None
    sent = json.loads(loaded())
    assert sent["messages"] == [{"role": "user", "content": "image"}]
    assert sent["max_completion_tokens"] == 3200


def test_a_prompt_has_no_more_tokens_than_bytes_of_text_and_a_frame() -> None:
    text = sum(len(message["content"].encode()) for message in MESSAGES)
    plain = request()
    assert text < plain.max_prompt_tokens < text + 200
    schema = {"type": "json_schema", "json_schema": {"name": "pairs", "schema": {"type": "object" * 50}}}
    for shown in (schema, orjson.Fragment(orjson.dumps(schema))):
        asked = RequestBuilder(MODEL, PARAMETERS).request(MESSAGES, extra_fields={"response_format": shown})
        assert asked.max_prompt_tokens >= plain.max_prompt_tokens + len(orjson.dumps(schema))


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [
        ({"max_tokens": 3200}, 3200),
        ({"logit_bias": {"1": 2}, "max_completion_tokens": 5000}, 5000),
        ({"temperature": 0.7}, None),
    ],
)
def test_the_limit_of_an_answer_is_read_from_the_body(parameters: dict[str, object], limit: int | None) -> None:
    said = Message(role="user", content='say {"max_tokens":7} and "messages":')
    assert output_limit(RequestBuilder(MODEL, parameters).request([said]).body) == limit
