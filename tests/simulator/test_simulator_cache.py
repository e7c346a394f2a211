"""The prompt cache of the simulated endpoint: automatic for older models, at marks for newer ones."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from syphus.simulator.chat_request import read_chat
from syphus.simulator.prompt_cache import CacheRule, CacheSettings, SimulatedCache, check_cache_fields, rule_of
from syphus.simulator.replies import Rejected

NEW, OLD = "gpt-6-luna", "gpt-4o-mini"
SYSTEM = "s" * 7_968  # 1,992 tokens, and 4 for the framing of the message
MARK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
EXPLICIT: dict[str, Any] = {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}}


def body(own: str, model: str = NEW, mark: bool = False, system: str = SYSTEM, **fields: object) -> dict[str, Any]:
    parts = [{"type": "text", "text": system, **(MARK if mark else {})}]
    messages = [{"role": "system", "content": parts}, {"role": "user", "content": own}]
    return {"model": model, "messages": messages, **fields}


def ask(cache: SimulatedCache, now: float, request: dict[str, Any]) -> tuple[int, int]:
    """The tokens read and written by one request that is answered at once."""
    lookup = cache.look_up(read_chat(orjson.dumps(request)), str(request["model"]), now)
    cache.store(lookup, now)
    return lookup.cached_tokens, lookup.cache_write_tokens


def cache(**settings: Any) -> SimulatedCache:
    return SimulatedCache(CacheSettings(**settings))


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ("gpt-4o", CacheRule.AUTOMATIC),
        ("gpt-35-turbo", CacheRule.AUTOMATIC),
        ("gpt-5.5", CacheRule.AUTOMATIC),
        ("gpt-5.6-terra", CacheRule.MARKED),
        ("openai/gpt-6-luna-2026-08-01", CacheRule.MARKED),
        ("gpt-6.1-sol", CacheRule.MARKED),
        ("chat", CacheRule.AUTOMATIC),
    ],
)
def test_the_rule_follows_the_name_of_the_model(model: str, rule: CacheRule) -> None:
    assert rule_of(model) is rule


def test_an_older_model_finds_the_common_beginning_in_steps_of_128() -> None:
    seen = cache()
    assert ask(seen, 0, body("one", OLD)) == (0, 0)
    assert ask(seen, 1, body("two", OLD)) == (1920, 0)  # of 1,996 tokens
    assert ask(seen, 2, body("two", OLD, system="t" * 8000)) == (0, 0)
    assert ask(seen, 3, body("two", OLD, system="u" * 3000)) == (0, 0)
    assert ask(seen, 4, body("one", OLD, system="u" * 3000)) == (0, 0)  # under 1,024 tokens
    assert ask(seen, 605, body("one", OLD)) == (0, 0)  # ten minutes after its last use


def test_without_options_a_newer_model_writes_all_of_it_and_reads_nothing() -> None:
    seen = cache()
    assert [ask(seen, 0, body(f"own {n} ")) for n in range(3)] == [(0, 2002)] * 3  # 1,996 + 2 + 4
    assert ask(seen, 1, body("own 0 ")) == (2002, 0)  # the same to the end


def test_a_mark_is_read_to_the_token_and_written_once() -> None:
    seen = cache()
    first, second = body("one", mark=True, **EXPLICIT), body("another", mark=True, **EXPLICIT)
    assert ask(seen, 0, first) == (0, 1996)
    assert ask(seen, 1, second) == (1996, 0)
    assert ask(seen, 2, body("x", mark=True)) == (1996, 5)  # without the options also the end, 4 + 1 tokens
    assert ask(seen, 3, body("one", mark=True, prompt_cache_key="other", **EXPLICIT)) == (0, 1996)


def test_explicit_without_a_mark_or_under_the_minimum_costs_and_brings_nothing() -> None:
    seen = cache()
    for now in range(2):
        assert ask(seen, now, body("one", **EXPLICIT)) == (0, 0)
        assert ask(seen, now, body("one", mark=True, system="s" * 4000, **EXPLICIT)) == (0, 0)  # 1,004 tokens


def test_at_most_four_marks_are_written() -> None:
    parts = [{"type": "text", "text": letter * 8000, **MARK} for letter in "abcdef"]
    request = {"model": NEW, "messages": [{"role": "user", "content": parts}], **EXPLICIT}
    seen = cache()
    assert ask(seen, 0, request) == (0, 12_004)
    two = {**request, "messages": [{"role": "user", "content": [*parts[:2], {"type": "text", "text": "end"}]}]}
    three = {**request, "messages": [{"role": "user", "content": [*parts[:3], {"type": "text", "text": "end"}]}]}
    assert ask(seen, 1, three) == (6004, 0)
    assert ask(seen, 2, two) == (0, 4004)  # the first two of six were not


def test_a_prefix_is_kept_for_half_an_hour_after_its_last_use() -> None:
    seen = cache()
    request = body("one", mark=True, **EXPLICIT)
    assert [ask(seen, now, request)[0] for now in (0, 1700, 3400, 5201)] == [0, 1996, 1996, 0]
    shorter = cache(seconds=5.0)
    assert [ask(shorter, now, request)[0] for now in (0, 4, 8, 14)] == [0, 1996, 1996, 0]


@pytest.mark.parametrize(("model", "marked"), [(OLD, False), (NEW, True)])
def test_the_sixteenth_request_of_a_minute_misses_the_cache(model: str, marked: bool) -> None:
    seen = cache()
    fields: dict[str, Any] = EXPLICIT if marked else {}
    found = [ask(seen, now, body(f"own {now}", model, marked, **fields))[0] > 0 for now in range(20)]
    assert found == [False] + [True] * 14 + [False] * 5
    assert ask(seen, 61, body("own", model, marked, **fields))[0] > 0  # two of the fifteen are a minute old
    assert ask(seen, 19, body("own", model, marked, prompt_cache_key="b", **fields))[0] == 0
    assert ask(seen, 19, body("own", model, marked, prompt_cache_key="b", **fields))[0] > 0


def test_other_machines_get_to_know_a_prefix_if_there_are_few() -> None:
    seen = cache(machines=2)
    missed = [ask(seen, 0, body(f"own {n}", mark=True, **EXPLICIT))[0] == 0 for n in range(60)]
    assert sum(missed) == 3


def test_requests_that_are_sent_before_the_first_is_answered_all_write() -> None:
    seen = cache()
    chats = [read_chat(orjson.dumps(body(f"own {n}", mark=True, **EXPLICIT))) for n in range(3)]
    lookups = [seen.look_up(chat, NEW, 0) for chat in chats]
    assert [lookup.cache_write_tokens for lookup in lookups] == [1996] * 3


def test_the_schema_of_the_answer_is_part_of_the_prefix() -> None:
    seen = cache()
    ask(seen, 0, body("one", mark=True, response_format={"type": "json_object"}, **EXPLICIT))
    assert ask(seen, 1, body("one", mark=True, **EXPLICIT)) == (0, 1996)


def rejection(model: str, request: dict[str, Any], rule: CacheRule = CacheRule.BY_MODEL) -> str:
    try:
        check_cache_fields(read_chat(orjson.dumps(request)), model, rule)
    except Rejected as rejected:
        error = orjson.loads(rejected.reply.body)["error"]
        return f"{rejected.reply.status} {error['code']} {error['param']}"
    return ""


def test_older_models_refuse_the_options_and_unknown_ones_ignore_them() -> None:
    request = body("one", OLD, **EXPLICIT)
    assert rejection(OLD, request) == "400 unsupported_parameter prompt_cache_options"
    assert rejection(OLD, body("one", OLD, mark=True)) == (
        "400 unsupported_parameter messages[0].content[0].prompt_cache_breakpoint"
    )
    assert rejection("llama", request) == ""
    assert rejection("llama", request, CacheRule.AUTOMATIC) == "400 unsupported_parameter prompt_cache_options"
    assert rejection(OLD, body("one", OLD, prompt_cache_key="key")) == ""
    assert rejection(NEW, request) == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mode": "off"}, "400 invalid_value prompt_cache_options.mode"),
        ({"ttl": "5m"}, "400 invalid_value prompt_cache_options.ttl"),
        ("explicit", "400 invalid_type prompt_cache_options"),
    ],
)
def test_newer_models_refuse_wrong_options(options: object, expected: str) -> None:
    assert rejection(NEW, body("one", prompt_cache_options=options)) == expected


def test_a_mark_on_an_answer_is_refused() -> None:
    request = body("one")
    request["messages"].insert(1, {"role": "assistant", "content": [{"type": "text", "text": "a", **MARK}]})
    assert rejection(NEW, request) == "400 invalid_value messages[1].content[0].prompt_cache_breakpoint"
