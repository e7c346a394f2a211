"""The routes of the simulated endpoint, driven by the openai package: answers, keys, names and refused parameters."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from syphus.simulator import SimulatedServer, Simulation, serve

Result = TypeVar("Result")
VERSION = "2024-10-21"


def turns(text: str = "the blue car has moved") -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": "Write questions and answers."}, {"role": "user", "content": text}]


def run(work: Callable[[SimulatedServer], Awaitable[Result]], simulation: Simulation | None = None) -> Result:
    async def main() -> Result:
        async with serve(simulation) as server:
            return await work(server)

    return asyncio.run(main())


async def ask(
    server: SimulatedServer, text: str = "the blue car has moved", key: str = "any", **more: object
) -> ChatCompletion:
    async with AsyncOpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=30) as client:
        return await client.chat.completions.create(model="gpt-4o-mini", messages=turns(text), extra_body=more)


async def ask_azure(
    server: SimulatedServer, key: str = "any", version: str = VERSION, deployment: str = "d"
) -> ChatCompletion:
    async with AsyncAzureOpenAI(
        azure_endpoint=server.host_url, api_key=key, api_version=version, max_retries=0, timeout=30
    ) as client:
        return await client.chat.completions.create(model=deployment, messages=turns())


async def send(
    server: SimulatedServer, path: str, method: str = "GET", body: object = None, key: str = "any"
) -> tuple[int, dict[str, object]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.host_url + path, data=data, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


def refused(error: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, object, object]:
    body = error.value.body
    assert isinstance(body, dict)
    return error.value.status_code, body.get("code"), body.get("param")


# Routes


def test_an_answer_says_that_it_is_simulated() -> None:
    async def work(server: SimulatedServer) -> tuple[ChatCompletion, str, str]:
        async with AsyncOpenAI(base_url=server.url, api_key="any", max_retries=0) as client:
            raw = await client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=turns())
            return raw.parse(), raw.headers["x-syphus-simulated"], raw.headers["x-request-id"]

    completion, header, request_id = run(work)
    assert completion.model == "simulated-gpt-4o-mini"
    assert (completion.system_fingerprint, header) == ("simulated", "1")
    assert request_id.startswith("req_")
    assert completion.choices[0].finish_reason == "stop"
    assert "blue car" in str(completion.choices[0].message.content)


def test_the_same_seed_gives_the_same_text_on_both_routes_and_in_every_session() -> None:
    async def work(server: SimulatedServer) -> set[str | None]:
        given = [await ask(server), await ask(server), await ask_azure(server)]
        return {completion.choices[0].message.content for completion in given}

    assert len(run(work) | run(work)) == 1


def test_azure_adds_its_verdicts_and_names_the_deployment() -> None:
    completion = run(ask_azure)
    assert completion.model == "simulated-d"
    extra = completion.choices[0].model_extra
    assert extra is not None
    assert extra["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}


def test_a_stream_is_given_to_who_asks_for_one() -> None:
    async def work(server: SimulatedServer) -> tuple[str, str | None]:
        async with AsyncOpenAI(base_url=server.url, api_key="any", max_retries=0) as client:
            stream = await client.chat.completions.create(model="gpt-4o-mini", messages=turns(), stream=True)
            said = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return "".join(said), (await ask(server)).choices[0].message.content

    streamed, whole = run(work)
    assert streamed == whole


def test_models_are_listed_unless_the_route_is_switched_off() -> None:
    async def work(server: SimulatedServer) -> tuple[int, dict[str, object]]:
        return await send(server, "/v1/models")

    status, listed = run(work, Simulation(models=("a", "b")))
    models = listed["data"]
    assert isinstance(models, list)
    assert (status, [model["id"] for model in models]) == (200, ["a", "b"])
    assert run(work, Simulation(list_models=False))[0] == 404


def test_an_unknown_route_is_a_404_of_openai() -> None:
    status, body = run(lambda server: send(server, "/v1/nothing", "POST", {}))
    assert status == 404
    assert "Invalid URL (POST /v1/nothing)" in str(body["error"])


# Who may ask for what


def test_a_wrong_key_is_refused_on_both_routes_and_none_as_well() -> None:
    async def work(server: SimulatedServer) -> None:
        with pytest.raises(openai.AuthenticationError, match="sk-wrong") as openai_says:
            await ask(server, key="sk-wrong-0123456789abcdef")
        assert refused(openai_says)[1] == "invalid_api_key"
        assert "0123456789" not in str(openai_says.value)
        with pytest.raises(openai.AuthenticationError, match="invalid subscription key"):
            await ask_azure(server, key="wrong")
        assert (await ask(server, key="right")).choices
        assert (await ask_azure(server, key="right")).choices
        for path in ("/v1/chat/completions", f"/openai/deployments/d/chat/completions?api-version={VERSION}"):
            assert (await send(server, path, "POST", {"messages": turns()}, key=""))[0] == 401

    run(work, Simulation(key="right"))


def test_azure_takes_a_bearer_token_in_place_of_its_key() -> None:
    path = f"/openai/deployments/d/chat/completions?api-version={VERSION}"
    status, body = run(lambda server: send(server, path, "POST", {"messages": turns()}))
    assert (status, body["model"]) == (200, "simulated-d")  # and the body need not name the deployment again
    assert run(lambda server: send(server, "/openai/v1/chat/completions", "POST", {"messages": turns()}))[0] == 200


def test_unknown_models_deployments_and_versions_are_a_404_of_their_own() -> None:
    async def work(server: SimulatedServer) -> None:
        with pytest.raises(openai.NotFoundError, match="gpt-4o-mini") as model:
            await ask(server)
        with pytest.raises(openai.NotFoundError) as deployment:
            await ask_azure(server)
        with pytest.raises(openai.NotFoundError) as version:
            await ask_azure(server, version="2020-01-01", deployment="known")
        assert [refused(error)[1] for error in (model, deployment, version)] == [
            "model_not_found",
            "DeploymentNotFound",
            "404",
        ]
        assert (await ask_azure(server, deployment="known")).choices

    run(work, Simulation(models=("other",), deployments=("known",), api_versions=(VERSION,)))


BAD: list[tuple[object, str | None, str | None]] = [
    (b"{", None, None),
    (b"[]", None, None),
    ({}, "missing_required_parameter", "messages"),
    ({"messages": "x"}, "invalid_type", "messages"),
    ({"messages": []}, "empty_array", "messages"),
    ({"messages": ["x"]}, "invalid_type", "messages[0]"),
    ({"messages": [{"role": "boss", "content": "x"}]}, "invalid_value", "messages[0].role"),
    ({"messages": [{"role": "user", "content": None}]}, None, "messages.[0].content"),
    ({"messages": turns(), "temperature": 3}, "decimal_above_max_value", "temperature"),
    ({"messages": turns(), "top_p": -0.1}, "decimal_below_min_value", "top_p"),
    ({"messages": turns(), "temperature": "hot"}, "invalid_type", "temperature"),
    ({"messages": turns(), "max_tokens": 0}, "integer_below_min_value", "max_tokens"),
    ({"messages": turns(), "max_tokens": 1.5}, "invalid_type", "max_tokens"),
    ({"messages": turns(), "n": 129}, "integer_above_max_value", "n"),
    ({"messages": turns(), "max_tokens": 5, "max_completion_tokens": 5}, "invalid_parameter_combination", "max_tokens"),
]


@pytest.mark.parametrize(("body", "code", "param"), BAD)
def test_a_bad_request_gets_the_400_of_openai(body: object, code: str | None, param: str | None) -> None:
    status, said = run(lambda server: send(server, "/v1/chat/completions", "POST", body))
    error = said["error"]
    assert isinstance(error, dict)
    assert (status, error["type"], error["code"], error["param"]) == (400, "invalid_request_error", code, param)


@pytest.mark.parametrize(
    ("simulation", "parameter", "code"),
    [
        (Simulation(refuse_max_tokens=True), {"max_tokens": 5}, "unsupported_parameter"),
        (
            Simulation(refuse_parameters=("response_format",)),
            {"response_format": {"type": "text"}},
            "unsupported_parameter",
        ),
        (Simulation(fixed_temperature=True), {"temperature": 0.7}, "unsupported_value"),
        (Simulation(fixed_top_p=True), {"top_p": 0.95}, "unsupported_value"),
    ],
)
def test_a_model_can_refuse_a_parameter(simulation: Simulation, parameter: dict[str, object], code: str) -> None:
    async def work(server: SimulatedServer) -> None:
        with pytest.raises(openai.BadRequestError) as error:
            await ask(server, "a", "any", **parameter)
        assert refused(error) == (400, code, next(iter(parameter)))
        assert (await ask(server, max_completion_tokens=500, temperature=1, top_p=1)).choices

    run(work, simulation)
