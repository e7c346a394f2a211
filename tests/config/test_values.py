"""Addresses as people copy them, and headers: what is taken from them, and what is one clear line."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.settings import Config, load_config, validate_config
from syphus.config.values import is_v1, other_addresses, read_address
from syphus.errors import ConfigError

KEY = "sk-0123456789abcdef"
AZURE = "https://res.openai.azure.com"


def endpoint(**settings: object) -> EndpointConfig:
    config = validate_config({"endpoint": {"api_key": KEY, **settings}, "model": "m"}, {})
    return config.endpoints[0]


def refused(environ: dict[str, str] | None = None, **settings: object) -> str:
    with pytest.raises(ConfigError) as error:
        validate_config({"endpoint": settings, "model": "m"}, {}, environ=environ)
    said = str(error.value)
    assert KEY not in said
    assert "\n" not in said
    return said


def from_environment(**environ: str) -> Config:
    return load_config(None, {}, {"OPENAI_API_KEY": KEY, **environ})


@pytest.mark.parametrize(
    ("copied", "read"),
    [
        (f"{AZURE}/openai/deployments/d/chat/completions?api-version=v", (AZURE, "d", "v")),
        (f"{AZURE}/openai/deployments/d/embeddings?api-version=v", (AZURE, "d", "v")),
        (f"{AZURE}/openai/deployments/d/", (AZURE, "d", "")),
        (f"{AZURE}:443/openai/deployments/a%2Fb?api-version=v", (f"{AZURE}:443", "a/b", "v")),
        ("https://gw.example/team/openai/deployments/d/chat/completions", ("https://gw.example/team", "d", "")),
        (f"{AZURE}/openai/", (AZURE, "", "")),
        (f"{AZURE}/openai/v1/chat/completions?api-version=preview", (f"{AZURE}/openai/v1", "", "")),
        (f"{AZURE}/openai/v1/responses", (f"{AZURE}/openai/v1", "", "")),
        (" http://h:8000/v1/chat/completions/ ", ("http://h:8000/v1", "", "")),
        ("http://[::1]:8000/v1/chat/completions", ("http://[::1]:8000/v1", "", "")),
        ("http://h/v1/embeddings", ("http://h/v1", "", "")),
        ("http://h/v1/completions", ("http://h/v1", "", "")),
    ],
)
def test_what_was_copied_with_an_address_is_taken_from_it(copied: str, read: tuple[str, str, str]) -> None:
    assert read_address(copied) == read


@pytest.mark.parametrize(
    "address",
    ["http://h/v1", "http://h/v1/", "http://h", "http://h/a/b%20c/v1", "http://h/openai", "http://h/v1?key=x", "h", "",
     "http://[::1", f"{AZURE}/openai/deployments/", "http://h/x?api-version=1", "http://completions.example/v1"],
)  # fmt: skip
def test_other_addresses_stay_as_they_are(address: str) -> None:
    assert read_address(address) == (address, "", "")


def test_a_copied_address_needs_no_further_settings() -> None:
    copied = endpoint(base_url=f"{AZURE}/openai/deployments/d/chat/completions?api-version=2025-01-01-preview")
    assert (copied.kind, copied.base_url, copied.deployment) == ("azure", AZURE, "d")
    assert copied.api_version == "2025-01-01-preview"
    (found,) = from_environment(
        OPENAI_BASE_URL=f"{AZURE}/openai/deployments/d/chat/completions?api-version=v"
    ).endpoints
    assert (found.kind, found.base_url, found.deployment, found.api_version) == ("azure", AZURE, "d", "v")
    (found,) = from_environment(AZURE_OPENAI_ENDPOINT=f"{AZURE}/openai/deployments/d/").endpoints
    assert (found.base_url, found.deployment) == (AZURE, "d")
    assert endpoint(base_url=AZURE, deployment="d").kind == "azure"


def test_what_is_set_goes_before_what_an_address_says() -> None:
    address = f"{AZURE}/openai/deployments/d/chat/completions?api-version=v"
    assert endpoint(base_url=address, api_version="w", deployment="e").api_version == "w"


def test_the_v1_address_of_azure_takes_the_deployment_as_the_model() -> None:
    config = from_environment(
        AZURE_OPENAI_ENDPOINT=f"{AZURE}/openai/v1/", AZURE_OPENAI_DEPLOYMENT="d", OPENAI_MODEL="m"
    )
    assert config.model == "d"
    assert is_v1(config.endpoints[0].base_url)
    assert endpoint(base_url=f"{AZURE}/openai/v1").kind == "openai"
    said = refused(kind="azure", base_url=f"{AZURE}/openai/v1", deployment="d", api_key=KEY)
    assert "takes the deployment as the model: write model: d" in said


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("localhost:8000/v1", "; http:// or https:// is missing"),
        ("api.example.com/v1", "; http:// or https:// is missing"),
        ("10.0.0.1:8000", "; http:// or https:// is missing"),
        ("http://::1:8000/v1", "; an IPv6 address has brackets, as in http://[::1]:8000/v1"),
        ("http://fd00::7/v1", "; an IPv6 address has brackets"),
        (KEY, "is not an address such as https://host/v1"),
        ("https//h/v1", "is not an address such as https://host/v1"),
        ('"http://h/v1"', "is not an address such as https://host/v1"),
        ("http://h/v1?key=x", "should end before ?"),
        (AZURE, "is not a base URL of Azure's API; write https://RESOURCE.openai.azure.com/openai/v1"),
        ("https://r.services.ai.azure.com/models", "write https://RESOURCE.openai.azure.com/openai/v1"),
        ("https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview", "/openai/v1 with"),
        ("https://r.services.ai.azure.com/api/projects/p", "with the deployment as the model"),
    ],
)
def test_what_is_wrong_with_an_address_is_one_line_with_its_remedy(base_url: str, said: str) -> None:
    assert said in refused(base_url=base_url, api_key=KEY)


def test_other_usual_places_of_an_api() -> None:
    assert other_addresses("http://h/") == ["http://h/v1", "http://h/api/v1", "http://h/openai/v1"]
    assert other_addresses("http://h/v1") == ["http://h/api/v1", "http://h/openai/v1"]
    assert other_addresses("http://h/v1/v1/")[0] == "http://h/v1"


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("Ocp-Apim-Subscription-Key", "${SUB}", True),
        ("X-Auth", "Token ${SUB}", True),
        ("api_key", "0123456789abcdef0123456789abcdef", True),
        ("cf-aig-authorization", "Bearer sk0123456789abcdefgh", True),
        ("X-Title", "Birds of the garden", False),
        ("HTTP-Referer", "https://example.com/birds", False),
        ("X-Team", "vision", False),
        ("Accept", "application/json", False),
    ],
)
def test_a_header_is_a_secret_if_it_is_from_a_variable_or_looks_like_a_key(
    name: str, value: str, is_secret: bool
) -> None:
    given = {"endpoint": {"base_url": "http://h", "headers": {name: value}}, "model": "m"}
    (found,) = validate_config(given, {}, environ={"SUB": "abc-123"}).endpoints
    assert isinstance(found.headers[name], SecretStr) is is_secret
    if "${SUB}" in value:
        assert "abc-123" in found.secrets
    assert "abc-123" not in repr(found)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"headers": {"Content-Length": "5"}}, "is a header that Syphus sets itself; leave it out"),
        ({"headers": {"host": "h"}}, "is a header that Syphus sets itself"),
        ({"headers": {"Content-Type": "text/plain"}}, "is a header that Syphus sets itself"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "is a header that Syphus sets itself"),
        (
            {"headers": {"Authorization": "Bearer x"}, "api_key": KEY},
            "has Authorization in headers, which api_key sets",
        ),
        ({"headers": {"authorization": "x"}, "token": KEY}, "has authorization in headers, which token sets"),
        ({"headers": {"OpenAI-Project": "x"}, "project": "p"}, "has OpenAI-Project in headers, which project sets"),
        (
            {"kind": "azure", "deployment": "d", "headers": {"Api-Key": "x"}, "api_key": KEY},
            "has Api-Key in headers, which api_key sets",
        ),
        ({"headers": {"X Y": "5"}}, "is not the name of a header"),
        ({"headers": {"X:": "5"}}, "is not the name of a header"),
        ({"headers": {"X": "a\nb"}}, "characters that a header can't have"),
        ({"headers": {"X": "ä"}}, "characters that a header can't have"),
        ({"headers": {"X": " "}}, "is empty"),
        ({"headers": {"X": "${NOT_SET}"}}, "needs the environment variable NOT_SET, which is not set"),
        ({"headers": {"X": "1", "x": "2"}}, "has x twice"),
        ({"headers": "X: 1"}, "should be a"),
    ],
)
def test_what_is_wrong_with_a_header_is_one_line(settings: dict[str, object], said: str) -> None:
    assert said in refused({}, base_url="http://h/v1", **settings)


def test_headers_in_the_environment_are_secrets() -> None:
    (found,) = from_environment(OPENAI_CUSTOM_HEADERS="X-Team: vision\nOcp-Apim-Subscription-Key: abc:123").endpoints
    assert found.headers == {"X-Team": SecretStr("vision"), "Ocp-Apim-Subscription-Key": SecretStr("abc:123")}
    with pytest.raises(ConfigError, match=r"OPENAI_CUSTOM_HEADERS.*sets itself"):
        from_environment(OPENAI_CUSTOM_HEADERS="Host: h")
