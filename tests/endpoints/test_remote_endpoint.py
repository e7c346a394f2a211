"""How requests to OpenAI, Azure and compatible servers look, and what must not come back."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import quote

import httpx2
import openai
import pytest
from harness import KEY, run_rows, server
from token_command import command, runs, token
from wire import GOOD, Seen, completion, in_thread, reply, serving

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import Reply
from syphus.endpoints.remote_endpoint import RemoteEndpoint
from syphus.runs.reader import read_query

BODIES = (b'{"one": 1}', '{"zwei": "ü 猫"}'.encode(), b'{ "three" :\n3, "three": 3 }', b"[" + b"1," * 50_000 + b"1]")
AZURE = {"kind": "azure", "deployment": "mini", "api_version": "2024-10-21"}
OF_A_BODY = ("content-length",)
OF_A_CLIENT = ("host", "connection", "accept-encoding", "x-stainless-read-timeout")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_CUSTOM_HEADERS", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def send_all(config: EndpointConfig, bodies: tuple[bytes, ...] = BODIES) -> list[Reply]:
    endpoint = RemoteEndpoint(config, 4, SecretRedactor())
    try:
        return [await endpoint.send(body) for body in bodies]
    finally:
        await endpoint.close()


def sent(path: str = "/v1", **settings: object) -> list[Seen]:
    """Return what a server receives for the four bodies, one after the other."""

    async def main() -> list[Seen]:
        async with serving() as wire:
            await send_all(EndpointConfig.model_validate({"base_url": wire.url + path, **settings}))
            return wire.seen

    return asyncio.run(main())


def headers(seen: Seen, *but: str) -> list[tuple[str, str]]:
    """Return its headers in order, names in lower case, without some."""
    return [(name.lower(), value) for name, value in seen.headers if name.lower() not in but]


# Addressed and signed


#: The path of an endpoint's address, its settings, and what a request is then addressed to and signed with.
SIGNED: list[tuple[str, dict[str, object], str, dict[str, str]]] = [
    ("/v1", {"api_key": KEY}, "/v1/chat/completions", {"authorization": f"Bearer {KEY}"}),
    ("/v1/", {"api_key": KEY}, "/v1/chat/completions", {"authorization": f"Bearer {KEY}"}),
    ("", {"token": KEY}, "/chat/completions", {"authorization": f"Bearer {KEY}"}),
    ("/a/b%20c/v1", {}, "/a/b%20c/v1/chat/completions", {"authorization": "Bearer none"}),
    (
        "/v1",
        {"api_key": KEY, "organization": "org-1", "project": "proj_1"},
        "/v1/chat/completions",
        {"openai-organization": "org-1", "openai-project": "proj_1"},
    ),
    (
        "",
        {**AZURE, "api_key": KEY},
        "/openai/deployments/mini/chat/completions?api-version=2024-10-21",
        {"api-key": KEY, "authorization": ""},
    ),
    (
        "/",
        {**AZURE, "token": KEY, "api_version": "2023-03-15-preview"},
        "/openai/deployments/mini/chat/completions?api-version=2023-03-15-preview",
        {"api-key": "", "authorization": f"Bearer {KEY}"},
    ),
    (
        "/gateway",
        {**AZURE, "api_key": KEY, "deployment": "gpt 4/ü%2F?#..", "api_version": "a&b=c"},
        f"/gateway/openai/deployments/{quote('gpt 4/ü%2F?#..', safe='')}/chat/completions?api-version=a%26b%3Dc",
        {"api-key": KEY},
    ),
]


@pytest.mark.parametrize(("path", "settings", "target", "expected"), SIGNED)
def test_each_provider_is_addressed_and_signed_in_its_own_way(
    path: str, settings: dict[str, object], target: str, expected: dict[str, str]
) -> None:
    for seen in sent(path, **settings):
        assert seen.line == f"POST {target} HTTP/1.1"
        assert {name: seen[name] for name in expected} == expected
        assert seen["content-type"] == "application/json"


def test_every_request_goes_out_as_the_first_but_for_its_body() -> None:
    seen = sent(api_key=KEY, organization="org-1")
    assert tuple(each.body for each in seen) == BODIES
    assert [each["content-length"] for each in seen] == [str(len(body)) for body in BODIES]
    assert len({each.line for each in seen}) == 1
    assert all(headers(each, *OF_A_BODY) == headers(seen[0], *OF_A_BODY) for each in seen)


@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_the_official_client_alone_sends_the_same(kind: str) -> None:
    async def alone(url: str) -> None:
        client: openai.AsyncOpenAI
        if kind == "azure":
            client = openai.AsyncAzureOpenAI(
                azure_endpoint=url, azure_deployment="mini", api_version="2024-10-21", api_key=KEY, max_retries=0
            )
        else:
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, organization="o", project="p", max_retries=0)
        async with client:
            await client.post("/chat/completions", cast_to=httpx2.Response, body={"one": 1})

    async def main() -> list[Seen]:
        async with serving() as wire:
            await alone(wire.url)
            settings = AZURE if kind == "azure" else {"organization": "o", "project": "p"}
            base = wire.url if kind == "azure" else f"{wire.url}/v1"
            await send_all(EndpointConfig.model_validate({"base_url": base, "api_key": KEY, **settings}), BODIES[:2])
            return wire.seen

    theirs, *ours = asyncio.run(main())
    for each in ours:
        assert each.line == theirs.line
        assert sorted(headers(each, *OF_A_BODY, *OF_A_CLIENT)) == sorted(headers(theirs, *OF_A_BODY, *OF_A_CLIENT))


# The environment says nothing that the config does not say

AMBIENT = {
    "OPENAI_API_KEY": "sk-ambient-0123456789",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/ambient",
    "OPENAI_ORG_ID": "org-ambient",
    "OPENAI_PROJECT_ID": "proj-ambient",
    "OPENAI_API_VERSION": "ambient",
    "OPENAI_API_TYPE": "azure",
    "OPENAI_ADMIN_KEY": "sk-admin-ambient-0123",
    "AZURE_OPENAI_API_KEY": "azure-ambient-0123456",
    "AZURE_OPENAI_AD_TOKEN": "token-ambient-0123456",
    "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:1/ambient",
}


@pytest.mark.parametrize(
    "settings",
    [{}, {"api_key": KEY}, {"token": KEY}, {**AZURE, "api_key": KEY}, {**AZURE, "token": KEY}],
    ids=["no key", "key", "token", "azure key", "azure token"],
)
def test_no_variable_of_the_sdk_gets_into_a_request(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]
) -> None:
    before = sent("", **settings)
    for name, value in AMBIENT.items():
        monkeypatch.setenv(name, value)
    after = sent("", **settings)
    assert "ambient" not in str(after)
    assert [(each.line, headers(each, "host")) for each in after] == [
        (each.line, headers(each, "host")) for each in before
    ]


def test_a_proxy_that_the_sdk_could_not_use_is_not_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would refuse socks5 without a further package; the transport decides, and this host is exempt."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert len(sent(api_key=KEY)) == len(BODIES)


# What comes back


def replied(said: bytes, **settings: object) -> Reply:
    async def main() -> Reply:
        async with serving(lambda _: said) as wire:
            config = EndpointConfig.model_validate({"base_url": wire.url, "api_key": KEY, **settings})
            first, again = await send_all(config, BODIES[:2])
            assert (first.status, first.body, dict(first.headers)) == (again.status, again.body, dict(again.headers))
            return first

    return asyncio.run(main())


def test_the_reply_comes_back_as_it_is() -> None:
    got = replied(reply(b"\xffanything", headers={"X-RateLimit-Limit-Tokens": "5"}))
    assert (got.status, got.body, got.headers["x-ratelimit-limit-tokens"]) == (200, b"\xffanything", "5")


def test_an_error_comes_back_as_it_is_and_nothing_is_raised() -> None:
    got = replied(reply(b'{"error": "x"}', "500 Oops", {"Retry-After": "1"}))
    assert (got.status, got.body, got.headers["RETRY-AFTER"]) == (500, b'{"error": "x"}', "1")


def test_a_key_that_a_server_repeats_is_blanked_in_body_and_headers() -> None:
    said = f'{{"error": "no {KEY}"}}'.encode()
    got = replied(reply(said, "401 Unauthorized", {"WWW-Authenticate": f"Bearer {KEY}"}))
    assert got.body == b'{"error": "no [secret]"}'
    assert got.headers["www-authenticate"] == "Bearer [secret]"
    assert replied(reply(f"see {KEY}".encode())).body == b"see [secret]"


def test_a_word_of_an_answer_that_happens_to_be_a_short_key_stays() -> None:
    assert replied(reply(b"the yellow car"), api_key="yellow").body == b"the yellow car"


# Tokens


def test_a_token_of_a_command_is_sent_and_asked_for_once(tmp_path: Path) -> None:
    seen = sent("", **AZURE, token_command=command(tmp_path, "bare"))
    assert [each["authorization"] for each in seen] == [f"Bearer {token(1)}"] * len(BODIES)
    assert {each["api-key"] for each in seen} == {""}
    assert runs(tmp_path) == 1


def test_a_compatible_server_can_be_entered_with_a_token_of_a_command(tmp_path: Path) -> None:
    assert {each["authorization"] for each in sent(token_command=command(tmp_path, "bare"))} == {f"Bearer {token(1)}"}


def test_many_requests_that_are_refused_at_once_renew_the_token_once(tmp_path: Path) -> None:
    async def main() -> list[tuple[int, bool]]:
        good = token(2)

        def answer(seen: Seen) -> bytes:
            return reply() if seen["authorization"] == f"Bearer {good}" else reply(status="401 Unauthorized")

        async with serving(answer) as wire:
            given = {"base_url": wire.url, "token_command": command(tmp_path, "bare"), **AZURE}
            endpoint = RemoteEndpoint(EndpointConfig.model_validate(given), 64, SecretRedactor())

            async def ask() -> tuple[int, bool]:
                await endpoint.send(b"{}")
                renewed = endpoint.renew_token()
                return (await endpoint.send(b"{}")).status, renewed

            done = await asyncio.gather(*(ask() for _ in range(64)))
            await endpoint.close()
            return done

    assert asyncio.run(main()) == [(200, True)] * 64
    assert runs(tmp_path) == 2


def test_a_key_can_not_be_renewed() -> None:
    async def main() -> bool:
        endpoint = RemoteEndpoint(
            EndpointConfig.model_validate({"base_url": "http://h", "api_key": KEY}), 1, SecretRedactor()
        )
        await endpoint.close()
        return endpoint.renew_token()

    assert not asyncio.run(main())


# Whole runs


def azure(url: str, **settings: object) -> dict[str, object]:
    return {"endpoints": [{**AZURE, "base_url": url, **settings}]}


def test_a_run_against_azure_with_a_key(tmp_path: Path) -> None:
    with server(key=KEY, deployments=("mini",), api_versions=("2024-10-21",)) as simulated:
        ran = run_rows(tmp_path, "", 8, azure(simulated.host_url, api_key=KEY))
        assert (ran.exit_code, simulated.stats.requests) == (0, 8)


def test_a_run_against_azure_with_a_token_command(tmp_path: Path) -> None:
    with server(key=token(1), deployments=("mini",)) as simulated:
        ran = run_rows(tmp_path, "", 8, azure(simulated.host_url, token_command=command(tmp_path, "bare")))
        assert (ran.exit_code, simulated.stats.requests) == (0, 8)
    assert runs(tmp_path) == 1


def test_a_token_that_ends_in_the_middle_is_renewed_once_and_no_row_suffers(tmp_path: Path) -> None:
    answered: list[str] = []

    def answer(seen: Seen) -> bytes:
        good = token(1) if len(answered) < 20 else token(2)
        if seen["authorization"] != f"Bearer {good}":
            return reply(b'{"message": "Access token has expired"}', "401 Unauthorized")
        answered.append(good)
        return reply(completion())

    with in_thread(lambda: serving(answer)) as wire:
        config = azure(wire.url, token_command=command(tmp_path, "bare"))
        ran = run_rows(tmp_path, "", 60, config, num_threads=16)
    assert (ran.exit_code, len(answered)) == (0, 60)
    assert runs(tmp_path) == 2


def test_a_token_that_is_refused_twice_stops_the_run(tmp_path: Path) -> None:
    with in_thread(lambda: serving(lambda _: reply(b'{"message": "no"}', "401 Unauthorized"))) as wire:
        config = azure(wire.url, token_command=command(tmp_path, "bare"))
        ran = run_rows(tmp_path, "", 20, config, num_threads=8)
        assert len(wire.seen) == 4  # with both tokens, and then of two other rows
    assert (ran.exit_code, runs(tmp_path)) == (3, 2)
    assert re.match(r"127\.0\.0\.1:\d+/mini \(401\) refused the key: no\. Set another key, ", str(ran.error))


@pytest.mark.parametrize("how", ["fail", "nothing"])
def test_a_token_command_that_gives_none_stops_the_run_in_one_line_before_anything_is_sent(
    tmp_path: Path, how: str
) -> None:
    (tmp_path / "nothing").write_bytes(b"")
    given = command(tmp_path, how if how == "fail" else str(tmp_path / how))
    with in_thread(serving) as wire:
        ran = run_rows(tmp_path, "", 20, azure(wire.url, token_command=given), num_threads=8)
        assert wire.seen == []
    assert ran.exit_code in (2, 3)
    assert str(ran.error).startswith("The token command ")
    assert str(ran.error).isprintable()
    assert [state.value for state in ran.states] == ["pending"]


def test_a_token_command_that_fails_in_the_middle_stops_the_run_and_keeps_what_is_there(tmp_path: Path) -> None:
    given = command(tmp_path, "bare")
    failing = tmp_path / "failing.py"
    failing.write_text("import sys; sys.exit('logged out')", "utf-8")
    answered: list[Seen] = []

    def answer(seen: Seen) -> bytes:
        if len(answered) >= 10:
            if failing.exists():
                failing.replace(given[3])  # whole at once: the command may be starting just now
            return reply(b"{}", "401 Unauthorized")
        answered.append(seen)
        return reply(completion())

    with in_thread(lambda: serving(answer)) as wire:
        ran = run_rows(tmp_path, "", 40, azure(wire.url, token_command=given), num_threads=8)
    assert ran.exit_code == 3
    assert "failed (1): logged out" in str(ran.error)
    assert {state.value: count for state, count in ran.states.items()} == {"ok": 10, "pending": 30}


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_stops_the_run_and_neither_key_nor_rows_travel(tmp_path: Path, status: str) -> None:
    with in_thread(serving) as elsewhere:
        location = f"{elsewhere.url}/v1?key={KEY}"
        with in_thread(lambda: serving(lambda _: reply(b"", status, {"Location": location}))) as wire:
            ran = run_rows(tmp_path, f"{wire.url}/v1", 20, num_threads=8)
            assert len(wire.seen) == 3  # of different rows: so it is not about one of them
        assert elsewhere.seen == []
        assert elsewhere.connections == 0
    assert ran.exit_code == 3
    assert f"redirects to {elsewhere.url}/v1?key=[secret]; the key is not sent there" in str(ran.error)
    written = b"".join(path.read_bytes() for path in ran.folder.rglob("*") if path.is_file())
    assert KEY.encode() not in written


def test_an_answer_is_kept_as_it_came(tmp_path: Path) -> None:
    text = f"{GOOD}Question 3: Which \u2028 one?\nAnswer 3: 猫 \\frac{{1}}{{2}} \U0001f697\u00a0"
    with in_thread(lambda: serving(lambda _: reply(completion(text)))) as wire:
        ran = run_rows(tmp_path, f"{wire.url}/v1", 1)
    answers = read_query(ran.folder, "r000")["answers"]
    assert isinstance(answers, list)
    assert [answer["text"] for answer in answers] == [text]


# Headers of gateways, and addresses


def endpoint_headers(**settings: object) -> dict[str, str]:
    """Return what a server gets for an endpoint with these settings, names in lower case."""
    (seen, *_) = sent("/v1", **settings)
    return dict(headers(seen))


def test_further_headers_are_sent_and_replace_what_stands_for_no_key() -> None:
    got = endpoint_headers(headers={"Ocp-Apim-Subscription-Key": "sub-0123456789", "X-Team": "vision"}, api_key=KEY)
    assert (got["ocp-apim-subscription-key"], got["x-team"]) == ("sub-0123456789", "vision")
    assert got["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in endpoint_headers(headers={"X-Api-Key": "k"})
    assert endpoint_headers(headers={"authorization": "Basic dTpw"})["authorization"] == "Basic dTpw"
    assert endpoint_headers(headers={"User-Agent": "mine/1"})["user-agent"] == "mine/1"
    bare = endpoint_headers(**AZURE, headers={"Ocp-Apim-Subscription-Key": "k"})
    assert (bare.get("api-key"), bare["ocp-apim-subscription-key"]) == (None, "k")


def test_headers_in_the_environment_of_the_sdk_are_not_sent_unless_the_config_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Key: hidden-0123456789")
    assert "x-key" not in endpoint_headers(api_key=KEY)


def test_a_key_in_a_header_is_redacted() -> None:
    key = "sub-key-0123456789"

    async def main() -> tuple[bytes, bytes]:
        said = [reply(f'{{"message": "{key} is bad"}}'.encode(), "403 No"), reply(completion(f"it is {key}"))]
        async with serving(lambda _: said.pop(0)) as wire:
            config = EndpointConfig.model_validate(
                {"base_url": wire.url, "headers": {"X-Key": "Token ${SUB}"}}, context={"SUB": key}
            )
            assert key in config.secrets
            assert key not in repr(config)
            error, answer = await send_all(config, BODIES[:2])
            return error.body, answer.body

    error, answer = asyncio.run(main())
    assert error == b'{"message": "[secret] is bad"}'
    assert b"it is [secret]" in answer


def test_the_v1_address_of_azure_needs_no_version_and_takes_the_deployment_as_the_model() -> None:
    for settings in ({"kind": "azure", "deployment": "mini"}, {"kind": "azure"}, {}):
        (seen, *_) = sent("/openai/v1/", api_key=KEY, **settings)
        assert (seen.target, seen["authorization"]) == ("/openai/v1/chat/completions", f"Bearer {KEY}")


def test_an_address_as_azures_portal_shows_it_is_taken_apart() -> None:
    (seen, *_) = sent("/openai/deployments/my%20chat/chat/completions?api-version=2025-01-01-preview", api_key=KEY)
    assert seen.target == "/openai/deployments/my%20chat/chat/completions?api-version=2025-01-01-preview"
    assert seen["api-key"] == KEY
    (seen, *_) = sent("/v1/chat/completions/", api_key=KEY)
    assert seen.target == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("wrong", "right", "refusal"),
    [
        ("", "/v1", reply(b"404 page not found", "404 Not Found")),  # Ollama
        ("/", "/v1", reply(b'{"detail": "Not Found"}', "404 Not Found")),  # vLLM
        ("/v1/v1", "/v1", reply(b'{"detail": "Not Found"}', "404 Not Found")),
        ("/api", "/api/v1", reply(b'{"detail": "Method Not Allowed"}', "405 Method Not Allowed")),
        ("/v1", "/api/v1", reply(b"<!DOCTYPE html><p>Welcome")),  # OpenRouter's pages
        ("", "/openai/v1", reply(b'{"error": {"code": "404", "message": "Resource not found"}}', "404 Not Found")),
        ("", "/v1", reply(b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}')),  # LM Studio
    ],
)
@pytest.mark.parametrize("listed", [reply(b'{"data": []}'), reply(b'{"error": "no"}', "401 Unauthorized")])
def test_an_address_that_lacks_a_part_is_completed_in_the_message(
    wrong: str, right: str, refusal: bytes, listed: bytes, tmp_path: Path
) -> None:
    def answer(seen: Seen) -> bytes:
        if seen.target == f"{right}/models":
            return listed
        return refusal if seen.line.startswith("POST") else reply(b"nothing", "404 Not Found")

    with in_thread(lambda: serving(answer)) as wire:
        ran = run_rows(tmp_path, wire.url + wrong, 5)
        assert sum(seen.line.startswith("POST") for seen in wire.seen) == 1
    assert ran.exit_code == 3
    host = wire.url.removeprefix("http://")
    assert f"{host} has its API at {wire.url}{right}. Write that as the base URL." in str(ran.error)


def test_an_unknown_model_is_no_wrong_address(tmp_path: Path) -> None:
    def answer(seen: Seen) -> bytes:
        if seen.line.startswith("GET"):
            return reply(b'{"data": []}')
        return reply(b'{"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}', "404 No")

    with in_thread(lambda: serving(answer)) as wire:
        assert "does not know the model" in str(run_rows(tmp_path, f"{wire.url}/v1", 3).error)


def test_localhost_is_reached_wherever_it_listens() -> None:
    async def main(host: str) -> int:
        async with serving(host=host) as wire:
            config = EndpointConfig(base_url=f"http://localhost:{wire.port}/v1")
            return len(await send_all(config, BODIES[:1]))

    assert asyncio.run(main("127.0.0.1")) == 1
