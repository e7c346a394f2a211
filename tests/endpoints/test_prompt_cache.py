"""What a prompt cache will save, and what is sent so that it does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from syphus.config.model_table import PromptCache
from syphus.endpoints.prompt_cache import CacheUse, cache_key, expected_cache_use, mark_body
from syphus.endpoints.request import RequestBuilder
from syphus.exchange import Request
from syphus.simulator.chat_request import read_chat
from syphus.simulator.prompt_cache import CacheSettings, SimulatedCache
from syphus.types import Message

MARKED = PromptCache(kind="marked", minimum=1024, minutes=30, requests_per_minute=15)
PREFIX = PromptCache(kind="prefix", minimum=1024, step=128, requests_per_minute=15)


@pytest.mark.parametrize(
    ("rules", "rate", "expected"),
    [
        (MARKED, 60, CacheUse(296 * 2000, 4 * 2000, 300 * 200)),  # a key for 15 requests a minute
        (MARKED, 3000, CacheUse(280 * 2000, 20 * 2000, 300 * 200)),  # but never a key without its 15 requests
        (MARKED, 10, CacheUse(299 * 2000, 2000, 300 * 200)),
        (PREFIX, 10, CacheUse(299 * 1920, 0, 300 * 200 + 299 * 80 + 2000)),  # in steps of 128
        (PREFIX, 60, CacheUse(75 * 1920, 0, 300 * 200 + 75 * 80 + 225 * 2000)),  # 15 in each of 5 minutes
        (None, 60, CacheUse(0, 0, 300 * 2200)),
    ],
)
def test_what_300_rows_read_and_write(rules: PromptCache | None, rate: float, expected: CacheUse) -> None:
    assert expected_cache_use(2000, 300, 200, rules, rate) == expected


@pytest.mark.parametrize("rules", [MARKED, PREFIX])
def test_a_prefix_under_the_minimum_is_neither_read_nor_written(rules: PromptCache) -> None:
    assert expected_cache_use(1023, 300, 200, rules, 60) == CacheUse(0, 0, 300 * 1223)
    assert expected_cache_use(2000, 0, 200, rules, 60) == CacheUse(0, 0, 0)
    assert expected_cache_use(2000, 1, 200, rules, 60).cached == 0


MARK = {"mode": "explicit"}
PART = {"prompt_cache_breakpoint": MARK, "text": "\n", "type": "text"}
SYSTEM = Message(role="system", content="Write pairs. " * 400)
EXAMPLES = (
    Message(role="user", content='a "cat" sits, {"role":"user"}'),
    Message(role="assistant", content='Question: Where?\nAnswer: "there","role":"user"}'),
)
OWN = Message(role="user", content='a dog, "quoted","role":"user"} \\" 猫')


def built(*messages: Message, shared: int | None = None, rules: PromptCache | None = MARKED) -> Request:
    builder = RequestBuilder("gpt-6-luna", {"max_tokens": 100, "temperature": 1}, cache=rules)
    return builder.request(messages, shared=len(messages) - 1 if shared is None else shared)


def sent(request: Request, number: int = 0, body: bytes | None = None) -> dict[str, Any]:
    """The body that is sent with key `number`."""
    assert request.prefix is not None
    key = cache_key(request.prefix, number) if request.prefix.mark >= 0 else ""
    fields: dict[str, Any] = orjson.loads(mark_body(body or request.body, request.prefix, key, MARKED))
    return fields


def test_the_mark_is_on_a_constant_part_before_the_own_text_and_nothing_else_changes() -> None:
    request = built(SYSTEM, *EXAMPLES, OWN)
    fields = sent(request)
    assert fields.pop("prompt_cache_options") == {"mode": "explicit", "ttl": "30m"}
    key = fields.pop("prompt_cache_key")
    assert fields["messages"][3]["content"] == [PART, {"text": OWN["content"], "type": "text"}]
    fields["messages"][3]["content"] = OWN["content"]
    assert fields == orjson.loads(request.body)
    assert len(key) <= 64
    assert "cat" not in key


def test_what_comes_after_the_own_text_stays_as_it_is() -> None:
    """In a further round the rejected answer and the correction follow."""
    tail = (Message(role="assistant", content="No."), Message(role="user", content="That can't be used."))
    fields = sent(built(SYSTEM, *EXAMPLES, OWN, *tail, shared=3))
    assert fields["messages"][3]["content"] == [PART, {"text": OWN["content"], "type": "text"}]
    assert fields["messages"][4:] == [{**tail[0]}, {**tail[1]}]
    first = sent(built(SYSTEM, *EXAMPLES, OWN))
    assert (fields["messages"][:4], fields["prompt_cache_key"]) == (first["messages"], first["prompt_cache_key"])


def test_without_examples_the_system_message_itself_is_marked() -> None:
    fields = sent(built(SYSTEM, OWN))
    assert fields["messages"] == [
        {"role": "system", "content": [{"prompt_cache_breakpoint": MARK, "text": SYSTEM["content"], "type": "text"}]},
        {**OWN},
    ]
    alone = sent(built(Message(role="user", content=SYSTEM["content"]), OWN))
    assert alone["messages"][0]["content"][0]["prompt_cache_breakpoint"] == MARK


def test_the_mark_is_found_after_the_parameters_or_images_have_changed() -> None:
    request = built(SYSTEM, *EXAMPLES, OWN)
    renamed = orjson.loads(request.body)
    renamed["max_completion_tokens"] = renamed.pop("max_tokens")
    assert (
        sent(request, body=orjson.dumps(renamed, option=orjson.OPT_SORT_KEYS))["messages"] == sent(request)["messages"]
    )
    renamed["messages"][1]["content"] = [{"type": "image_url", "image_url": {"url": "data:long"}}]
    image = {"type": "image_url", "image_url": {"url": "data:own"}}
    renamed["messages"][3]["content"] = [image, {"type": "text", "text": "own"}]
    shown = sent(request, body=orjson.dumps(renamed, option=orjson.OPT_SORT_KEYS))["messages"]
    assert shown[3]["content"] == [PART, image, {"type": "text", "text": "own"}]
    assert shown[:3] == renamed["messages"][:3]


@pytest.mark.parametrize("shared", [0, 4])
def test_a_short_prefix_or_none_turns_the_cache_off(shared: int) -> None:
    short = Message(role="system", content="Write pairs.")
    for request in (built(short, *EXAMPLES, OWN), built(SYSTEM, *EXAMPLES, OWN, shared=shared)):
        fields = sent(request)
        assert fields.pop("prompt_cache_options") == {"mode": "explicit", "ttl": "30m"}
        assert fields == orjson.loads(request.body)


def test_neither_the_request_key_nor_the_body_of_other_models_knows_of_the_cache() -> None:
    plain, marked, older = (built(SYSTEM, *EXAMPLES, OWN, rules=rules) for rules in (None, MARKED, PREFIX))
    assert plain.key == marked.key == older.key
    assert plain.body == marked.body == older.body
    assert plain.prefix is None
    assert older.prefix is not None
    assert older.prefix.mark < 0


def test_the_cache_key_follows_the_prefix_and_not_the_run() -> None:
    other = Message(role="user", content="another row")
    keys = {sent(built(SYSTEM, *EXAMPLES, own))["prompt_cache_key"] for own in (OWN, other)}
    assert len(keys) == 1
    assert sent(built(SYSTEM, *EXAMPLES, OWN), 1)["prompt_cache_key"] not in keys
    assert sent(built(SYSTEM, EXAMPLES[0], Message(role="assistant", content="-"), OWN))["prompt_cache_key"] not in keys
    schema = RequestBuilder("gpt-6-luna", {}, cache=MARKED).request(
        [SYSTEM, OWN], extra_fields={"response_format": {"type": "json_object"}}, shared=1
    )
    assert sent(schema)["prompt_cache_key"] != sent(built(SYSTEM, OWN))["prompt_cache_key"]


def test_the_simulated_endpoint_reads_all_of_the_prefix_but_the_own_text() -> None:
    seen = SimulatedCache(CacheSettings())
    for number in range(3):
        request = built(SYSTEM, *EXAMPLES, Message(role="user", content=f"own text number {number}"))
        assert request.prefix is not None
        chat = read_chat(orjson.dumps(sent(request)))
        lookup = seen.look_up(chat, "gpt-6-luna", 0.0)
        seen.store(lookup, 0.0)
        tokens = lookup.cached_tokens + lookup.cache_write_tokens
        assert bool(lookup.cached_tokens) == bool(number)
        assert abs(tokens - request.prefix.tokens) < 10


def test_a_lifetime_that_can_not_be_asked_for_is_left_to_the_server() -> None:
    request = built(SYSTEM, OWN)
    assert request.prefix is not None
    rules = MARKED.model_copy(update={"minutes": 5})
    assert orjson.loads(mark_body(request.body, request.prefix, "k", rules))["prompt_cache_options"] == MARK


@pytest.mark.parametrize("messages", [[SYSTEM, OWN], [SYSTEM, *EXAMPLES, OWN]])
def test_twelve_hours_are_asked_for_at_the_mark(messages: list[Message]) -> None:
    request = built(*messages)
    assert request.prefix is not None
    rules = MARKED.model_copy(update={"minutes": 720})
    body = orjson.loads(mark_body(request.body, request.prefix, "k", rules))
    marks = [
        part["prompt_cache_breakpoint"]
        for message in body["messages"]
        for part in (message["content"] if isinstance(message["content"], list) else [])
        if "prompt_cache_breakpoint" in part
    ]
    assert marks == [{"mode": "explicit", "ttl": "12h"}]
    assert body["prompt_cache_options"] == {"mode": "explicit"}
