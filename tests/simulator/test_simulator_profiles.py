"""What known servers say of parameters that they do not take, and where they put what a model thinks."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from syphus.simulator import Simulation, serve
from syphus.simulator.profiles import PROFILES

USUAL = {"temperature": 0.7, "top_p": 0.95, "max_tokens": 3200}
EVERYTHING = {**USUAL, "verbosity": "low", "prompt_cache_key": "k", "reasoning_effort": "minimal"}


def ask(profile: str, fields: Mapping[str, object], **settings: Any) -> tuple[int, Any]:
    async def main() -> tuple[int, Any]:
        simulation = Simulation(profile=profile, sloppiness=0, **settings)
        async with serve(simulation) as server, aiohttp.ClientSession() as session:
            body = {"model": "m", "messages": [{"role": "user", "content": "the car has moved"}], **fields}
            headers = {"Authorization": "Bearer any"}
            async with session.post(f"{server.url}/chat/completions", json=body, headers=headers) as reply:
                return reply.status, await reply.json()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("openai-old", "Unrecognized request argument supplied: reasoning_effort"),
        ("openai-new", "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
        ("azure", "Unrecognized request arguments supplied: verbosity, prompt_cache_key"),
        ("vllm", "{'type': 'extra_forbidden', 'loc': ('body', 'prompt_cache_key')"),
        ("sglang", "'loc': ('body', 'reasoning_effort')"),
        ("ollama", "invalid reasoning value: 'minimal'"),
        ("gemini", 'Unknown name \\"verbosity\\": Cannot find field.\\nInvalid JSON payload'),
        ("anthropic", "`temperature` and `top_p` cannot both be specified"),
    ],
)
def test_a_profile_refuses_in_the_words_of_its_server(profile: str, said: str) -> None:
    status, body = ask(profile, EVERYTHING)
    assert status == 400
    assert said in json.dumps(body) or said in str(body)


@pytest.mark.parametrize("profile", ["", "llama-cpp"])
def test_some_servers_ignore_what_they_do_not_know(profile: str) -> None:
    assert ask(profile, EVERYTHING)[0] == 200


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_answers_a_request_without_parameters(profile: str) -> None:
    status, body = ask(profile, {})
    assert status == 200
    assert body["choices"][0]["message"]["content"]
    assert "draft" not in body["choices"][0]["message"]["content"]


def test_reasoning_is_shown_counted_or_hidden_in_the_total() -> None:
    assert "draft" in ask("vllm", {})[1]["choices"][0]["message"]["reasoning_content"]
    assert "draft" in ask("ollama", {})[1]["choices"][0]["message"]["reasoning"]
    counted = ask("openai-new", {})[1]["usage"]
    assert counted["completion_tokens_details"]["reasoning_tokens"] == 64
    hidden = ask("gemini", {})[1]["usage"]
    assert hidden["total_tokens"] == hidden["prompt_tokens"] + hidden["completion_tokens"] + 64
    none = ask("openai-new", {"reasoning_effort": "none", "temperature": 0.7})[1]["usage"]
    assert none["completion_tokens_details"]["reasoning_tokens"] == 0


def test_reasoning_uses_up_the_tokens_of_an_answer() -> None:
    choice = ask("openai-new", {"max_completion_tokens": 64})[1]["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("vllm", "'max_tokens' or 'max_completion_tokens' is too large: 3200."),
        ("sglang", "Requested token count exceeds the model's maximum context length of 2048 tokens."),
        ("openai-old", "This model's maximum context length is 2048 tokens. However, you requested"),
    ],
)
def test_an_answer_must_fit_into_the_context(profile: str, said: str) -> None:
    status, body = ask(profile, USUAL, context=2048)
    assert status == 400
    assert said in str(body)
    assert ask(profile, {"max_tokens": 1000}, context=2048)[0] == 200


def test_a_server_can_put_structured_answers_where_nobody_looks() -> None:
    message = ask("sglang", {"response_format": {"type": "json_object"}})[1]["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning_content"]


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(ValueError, match="profile must be one of openai-old, openai-new, azure"):
        Simulation(profile="openai")
