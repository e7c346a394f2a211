"""Where the settings come from: environment variables old and new, the YAML file, options; and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.settings import Config, load_config
from syphus.errors import ConfigError

KEY = "sk-canary-0123456789abcdef"
OFFICIAL = "https://api.openai.com/v1"


def by_environment(environ: Mapping[str, str], **options: object) -> Config:
    return load_config(None, options, environ)


def by_file(folder: Path, text: str, environ: Mapping[str, str] | None = None, **options: object) -> Config:
    path = folder / "syphus.yaml"
    path.write_text(text, "utf-8")
    return load_config(path, options, environ or {})


def refused(environ: Mapping[str, str], **options: object) -> str:
    """The one line that a user gets to read."""
    with pytest.raises(ConfigError) as error:
        by_environment(environ, **options)
    return one_line(error)


def refused_file(folder: Path, text: str, environ: Mapping[str, str] | None = None, **options: object) -> str:
    with pytest.raises(ConfigError) as error:
        by_file(folder, text, environ, **options)
    return one_line(error).replace(str(folder), "")


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert KEY not in text
    assert "pydantic" not in text
    return text


def key(endpoint: EndpointConfig) -> str:
    return endpoint.api_key.get_secret_value() if endpoint.api_key else ""


def token(endpoint: EndpointConfig) -> str:
    return endpoint.token.get_secret_value() if endpoint.token else ""


# The environment


def test_a_key_of_openai_is_enough() -> None:
    config = by_environment({"OPENAI_API_KEY": KEY})
    (endpoint,) = config.endpoints
    assert (endpoint.kind, endpoint.base_url, key(endpoint)) == ("openai", OFFICIAL, KEY)
    assert config.model == "gpt-6-luna"
    assert (endpoint.organization, endpoint.project) == ("", "")


def test_the_example_of_the_original_documentation_works() -> None:
    config = by_environment(
        {
            "OPENAI_API_TYPE": "azure",
            "OPENAI_API_KEY": KEY,
            "OPENAI_API_BASE": "https://xxxx",
            "OPENAI_API_VERSION": "2023-03-15-preview",
            "OPENAI_API_ENGINE": "chatgpt0301",
        }
    )
    (endpoint,) = config.endpoints
    assert (endpoint.kind, endpoint.base_url, key(endpoint)) == ("azure", "https://xxxx", KEY)
    assert (endpoint.api_version, endpoint.deployment) == ("2023-03-15-preview", "chatgpt0301")
    assert config.model == "chatgpt0301"
    assert endpoint.host == "xxxx/chatgpt0301"


def test_azure_is_recognised_by_its_own_variables_of_today() -> None:
    config = by_environment(
        {
            "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com",
            "AZURE_OPENAI_API_KEY": KEY,
            "AZURE_OPENAI_DEPLOYMENT": "mini",
            "OPENAI_MODEL": "gpt-4o-mini",
            "OPENAI_API_KEY": "another",
            "OPENAI_BASE_URL": "https://another.example/v1",
        }
    )
    (endpoint,) = config.endpoints
    assert (endpoint.kind, endpoint.base_url, key(endpoint)) == ("azure", "https://mine.openai.azure.com", KEY)
    assert (endpoint.deployment, config.model) == ("mini", "gpt-4o-mini")
    assert endpoint.api_version == "2024-10-21"


@pytest.mark.parametrize("kind", ["open_ai", "openai", "local", "OpenAI", ""])
def test_a_compatible_server_needs_an_address_and_a_model_but_no_key(kind: str) -> None:
    environ = {"OPENAI_API_TYPE": kind, "OPENAI_API_BASE": "http://localhost:8000/v1", "OPENAI_MODEL": "qwen"}
    config = by_environment(environ)
    (endpoint,) = config.endpoints
    assert (endpoint.kind, endpoint.base_url, endpoint.api_key) == ("openai", "http://localhost:8000/v1", None)
    assert config.model == "qwen"


def test_a_type_of_openai_goes_before_the_variables_of_azure() -> None:
    config = by_environment({"OPENAI_API_TYPE": "open_ai", "OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "https://a"})
    assert (config.endpoints[0].kind, config.endpoints[0].base_url) == ("openai", OFFICIAL)


def test_a_deployment_left_over_from_azure_is_no_model_of_openai() -> None:
    assert by_environment({"OPENAI_API_KEY": KEY, "AZURE_OPENAI_DEPLOYMENT": "mine"}).model == "gpt-6-luna"


def test_the_old_engine_names_the_model_of_a_compatible_server() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": "http://h/v1", "OPENAI_API_ENGINE": "llama"}
    assert by_environment(environ).model == "llama"


def test_organization_and_project_are_read() -> None:
    config = by_environment({"OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj_1"})
    assert (config.endpoints[0].organization, config.endpoints[0].project) == ("org-1", "proj_1")
    older = by_environment({"OPENAI_API_KEY": KEY, "OPENAI_ORGANIZATION": "org-2"})
    assert older.endpoints[0].organization == "org-2"


AZURE = {"OPENAI_API_TYPE": "azure", "AZURE_OPENAI_ENDPOINT": "https://a.example", "OPENAI_API_ENGINE": "mini"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"AZURE_OPENAI_API_KEY": "key-azure"}, ("key-azure", "", ())),
        ({"OPENAI_API_KEY": "key-openai"}, ("key-openai", "", ())),
        ({"AZURE_OPENAI_API_KEY": "key-azure", "OPENAI_API_KEY": "key-openai"}, ("key-azure", "", ())),
        ({"AZURE_OPENAI_AD_TOKEN": "token", "AZURE_OPENAI_API_KEY": "key-azure"}, ("", "token", ())),
        ({"SYPHUS_TOKEN_COMMAND": "az 'a b' -c", "AZURE_OPENAI_AD_TOKEN": "token"}, ("", "", ("az", "a b", "-c"))),
        ({"OPENAI_API_TYPE": "azure_ad", "OPENAI_API_KEY": "token"}, ("", "token", ())),
        ({"OPENAI_API_TYPE": "azuread", "OPENAI_API_KEY": "x", "AZURE_OPENAI_AD_TOKEN": "token"}, ("", "token", ())),
        (
            {"OPENAI_API_TYPE": "azure_ad", "AZURE_OPENAI_API_KEY": "key-azure", "OPENAI_API_KEY": "token"},
            ("", "token", ()),
        ),
        ({"AZURE_OPENAI_API_KEY": "  key-azure\r\n", "AZURE_OPENAI_AD_TOKEN": " "}, ("key-azure", "", ())),
    ],
)
def test_of_several_credentials_one_counts(given: dict[str, str], expected: tuple[str, str, tuple[str, ...]]) -> None:
    (endpoint,) = by_environment({**AZURE, **given}).endpoints
    assert (key(endpoint), token(endpoint), endpoint.token_command) == expected


@pytest.mark.parametrize(
    ("given", "deployment", "model"),
    [
        ({"model": None}, "engine", "engine"),
        ({"model": "chosen"}, "chosen", "chosen"),
    ],
)
def test_the_option_for_the_model_names_the_deployment(given: dict[str, str], deployment: str, model: str) -> None:
    environ = {**AZURE, "OPENAI_API_ENGINE": "engine", "AZURE_OPENAI_DEPLOYMENT": "later", "OPENAI_API_KEY": KEY}
    config = by_environment(environ, **given)
    assert (config.endpoints[0].deployment, config.model) == (deployment, model)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "No endpoint is configured. Set OPENAI_API_KEY (and OPENAI_BASE_URL for another server), or try"),
        ({"OPENAI_API_KEY": " "}, "No endpoint is configured."),
        ({"OPENAI_API_BASE": "http://h/v1"}, "No model is named. Pass --model"),
        ({"OPENAI_API_TYPE": "azur", "OPENAI_API_KEY": KEY}, "OPENAI_API_TYPE must be open_ai, azure or azure_ad"),
        ({"OPENAI_API_TYPE": "azure", "OPENAI_API_KEY": KEY}, "neither AZURE_OPENAI_ENDPOINT nor OPENAI_API_BASE"),
        (AZURE, "Azure needs a key or a token. Set AZURE_OPENAI_API_KEY"),
        ({**AZURE, "OPENAI_API_TYPE": "azure_ad", "AZURE_OPENAI_API_KEY": KEY}, "Azure needs a key or a token."),
        ({**AZURE, "OPENAI_API_ENGINE": "", "OPENAI_API_KEY": KEY}, "No deployment is named. Set OPENAI_API_ENGINE"),
        ({**AZURE, "SYPHUS_TOKEN_COMMAND": "az 'x"}, "SYPHUS_TOKEN_COMMAND can't be read: No closing quotation."),
        ({"OPENAI_API_KEY": KEY + "\u2026"}, "OPENAI_API_KEY is empty or has characters that a key can't have"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "a\x07"}, "OPENAI_ORG_ID has control characters"),
        ({"OPENAI_BASE_URL": KEY, "OPENAI_MODEL": "m"}, "OPENAI_BASE_URL is not an address such as https://host/v1"),
        ({"OPENAI_API_BASE": "localhost:80/v1", "OPENAI_MODEL": "m"}, "OPENAI_API_BASE is not an address such as"),
        ({"OPENAI_API_BASE": f"https://u:{KEY}@h", "OPENAI_MODEL": "m"}, "OPENAI_API_BASE has a user name or pass"),
        (
            {**AZURE, "AZURE_OPENAI_ENDPOINT": "https://a/openai/deployments/d", "OPENAI_API_KEY": KEY},
            "AZURE_OPENAI_ENDPOINT has the deployment d, and OPENAI_API_ENGINE is mini. Set one of them.",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_said_by_the_name_of_the_variable(
    environ: dict[str, str], said: str
) -> None:
    assert said in refused(environ)


def test_what_is_wrong_with_an_option_is_said_by_its_name() -> None:
    assert refused({"OPENAI_API_KEY": KEY}, temperature=3.0) == "--temperature should be less than or equal to 2"
    assert refused({"OPENAI_API_KEY": KEY}, max_tokens=0) == "--max-tokens should be greater than 0"


# The file

FULL = """
endpoints:
  - base_url: https://one.example/v1
    api_key: ${ONE_KEY}
    requests_per_minute: 500
  - kind: azure
    base_url: https://two.openai.azure.com
    deployment: mini
    api_version: 2023-03-15-preview
    token_command: [az, account, get-access-token]
    tokens_per_minute: 90000.5
    verify_tls: false
model: gpt-4o-mini
temperature: 1
top_p: null
max_tokens: 500
seed: 7
extra_body: {reasoning_effort: low, stop: ["${END}"]}
prices:
  mine: {input: 1, output: 2.5}
timeout: 20
"""


def test_a_file_can_say_everything(tmp_path: Path) -> None:
    config = by_file(tmp_path, FULL, {"ONE_KEY": f" {KEY}\n"})
    one, two = config.endpoints
    assert (one.base_url, key(one), one.requests_per_minute) == ("https://one.example/v1", KEY, 500)
    assert (two.kind, two.deployment, two.api_version) == ("azure", "mini", "2023-03-15-preview")
    assert (two.token_command, two.tokens_per_minute, two.verify_tls) == (
        ("az", "account", "get-access-token"),
        90000.5,
        False,
    )
    assert (config.temperature, config.top_p, config.max_tokens, config.seed) == (1.0, None, 500, 7)
    assert config.extra_body == {"reasoning_effort": "low", "stop": ["${END}"]}
    price = config.prices["mine"]
    assert (price.input, price.output, price.cached_input) == (1, 2.5, None)
    assert config.timeout == 20
    assert KEY not in repr(config)
    assert KEY not in config.model_dump_json()


def test_options_go_before_the_file_and_the_file_before_the_environment(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://env.example/v1", "OPENAI_MODEL": "env"}
    own = by_file(tmp_path, "{endpoint: {base_url: https://file.example/v1}, model: file, temperature: 0.1}", environ)
    assert (own.endpoints[0].base_url, own.endpoints[0].api_key) == ("https://file.example/v1", None)
    assert (own.model, own.temperature) == ("file", 0.1)
    optional = by_file(tmp_path, "{model: file, temperature: 0.1, top_p: 0.5}", environ, model="own", temperature=0.2)
    assert (optional.endpoints[0].base_url, key(optional.endpoints[0])) == ("https://env.example/v1", KEY)
    assert (optional.model, optional.temperature, optional.top_p) == ("own", 0.2, 0.5)
    assert by_file(tmp_path, "{temperature: 0.1}", environ).model == "env"


def test_a_file_that_names_the_model_leaves_the_deployment_to_the_environment(tmp_path: Path) -> None:
    config = by_file(tmp_path, "{model: gpt-4o-mini}", {**AZURE, "OPENAI_API_KEY": KEY})
    assert (config.endpoints[0].deployment, config.model) == ("mini", "gpt-4o-mini")


def test_a_variable_is_looked_up_in_the_environment_of_the_run_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "from-the-process")
    text = "{endpoint: {base_url: http://h/v1, api_key: 'k-${MY_KEY}-${OTHER}'}, model: m}"
    config = by_file(tmp_path, text, {"MY_KEY": "mine", "OTHER": "too"})
    assert key(config.endpoints[0]) == "k-mine-too"
    said = refused_file(tmp_path, text, {"OTHER": "too"})
    assert said == "/syphus.yaml: endpoint.api_key needs the environment variable MY_KEY, which is not set"


def test_a_key_in_the_environment_is_taken_as_it_stands() -> None:
    assert key(by_environment({"OPENAI_API_KEY": "a${HOME}b"}).endpoints[0]) == "a${HOME}b"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("base_url", "'https://${HOST}/v1'"),
        ("deployment", "'${HOST}'"),
        ("api_version", "'${HOST}'"),
        ("organization", "'x-${HOST}'"),
        ("project", "'${HOST}'"),
        ("token_command", "[get, '${HOST}']"),
    ],
)
def test_a_variable_in_any_other_setting_is_an_error(tmp_path: Path, setting: str, value: str) -> None:
    base = {"kind": "azure", "base_url": "https://h", "deployment": "d", "api_key": "k"}
    if setting == "token_command":
        del base["api_key"]
    fields = ", ".join(f"{name}: {text}" for name, text in {**base, setting: value}.items())
    said = refused_file(tmp_path, f"endpoint: {{{fields}}}\nmodel: m", {"HOST": "h"})
    assert f"endpoint.{setting}" in said
    assert "has ${HOST}, which is replaced in api_key, token and headers only" in said


def test_a_variable_in_the_name_of_the_model_is_an_error(tmp_path: Path) -> None:
    said = refused_file(tmp_path, "{endpoint: {base_url: http://h}, model: '${M}'}", {"M": "m"})
    assert said == "/syphus.yaml: model has ${M}, which is replaced in api_key, token and headers only"


E = "endpoint: {base_url: http://h/v1}\n"
M = "model: m\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", ": a config must be a mapping of settings"),
        ("", ": a config must be a mapping of settings"),
        (E, "No model is named. Pass --model, put `model:` into the config, or set OPENAI_MODEL."),
        (E + "model: ''", "No model is named."),
        ("base_url: http://h\n" + M, ": base_url is not a setting; write it as endpoint: {base_url: ...}"),
        (E + M + "temprature: 0.7", ": temprature is not a setting"),
        (E + M + "temperature: '0.7'", ": temperature should be a valid number"),
        (E + M + "temperature: true", ": temperature should be a valid number"),
        (E + M + "temperature: 2.1", ": temperature should be less than or equal to 2"),
        (E + M + "top_p: 0", ": top_p should be greater than 0"),
        (E + M + "max_tokens: 100.5", ": max_tokens should be a valid integer"),
        (E + M + "max_tokens: '100'", ": max_tokens should be a valid integer"),
        (E + M + "max_attempts: 0", ": max_attempts should be greater than 0"),
        (E + M + "timeout: .inf", ": timeout should be a valid number"),
        (E + M + "model: n", 'duplicate key "model"'),
        (E + M + "extra_body: {messages: []}", ": extra_body has messages, which is set outside of extra_body"),
        (E + M + "extra_body: {temperature: 1}", ": extra_body has temperature, which is set outside of extra_body"),
        (E + M + "extra_body: {stream: true}", ": extra_body has stream, but each request must get one answer"),
        (E + M + "extra_body: {n: 3}", ": extra_body has n, but each request must get one answer"),
        (E + M + "prices: {m: {input: 1}}", ": prices.m.output is missing"),
        (E + M + "prices: {m: {input: -1, output: 1}}", ": prices.m.input should be greater than or equal to 0"),
        (E + M + "prices: {m: {input: 1, output: 1, per: 1}}", ": prices.m.per is not a setting"),
        (E + M + "endpoints: [{base_url: http://h}]", ": endpoint and endpoints are both given; use one of them"),
        ("endpoints: []\n" + M, ": endpoints should have at least one entry"),
        ("endpoints: {base_url: http://h}\n" + M, ": endpoints should be a list"),
        ("endpoint: http://h\n" + M, ": endpoint should be a mapping of settings"),
        ("endpoint:\n" + M, ": endpoint should be a mapping of settings"),
        ("endpoint: {url: http://h}\n" + M, ": endpoint.url is not a setting"),
        ("endpoints: [{base_url: http://h}, {url: http://h}]\n" + M, ": endpoints.1.url is not a setting"),
        ("endpoint: {kind: Azure, base_url: http://h}\n" + M, ": endpoint.kind should be 'openai' or 'azure'"),
        ("endpoint: {kind: openai}\n" + M, ": endpoint needs an api_key, a token or a token_command"),
        (
            "endpoint: {kind: azure, base_url: http://h, deployment: d}\n" + M,
            ": endpoint needs an api_key, a token or a token_command",
        ),
        ("endpoint: {kind: azure, base_url: http://h, api_key: k}\n" + M, ": endpoint needs a deployment"),
        ("endpoint: {base_url: http://h, api_key: 123456}\n" + M, ": endpoint.api_key should be a valid string"),
        ("endpoint: {base_url: http://h, api_key: ''}\n" + M, ": endpoint.api_key is empty or has characters"),
        (
            f"endpoint: {{base_url: http://h, api_key: {KEY}, token: {KEY}2}}\n" + M,
            ": endpoint has several of api_key, token and token_command; use one of them",
        ),
        (f"endpoint: {{base_url: http://h, api_key: [{KEY}]}}\n" + M, ": endpoint.api_key should be a valid string"),
        (f"endpoint: {{base_url: http://h, key: {KEY}}}\n" + M, ": endpoint.key is not a setting"),
        (
            f"endpoint: {{base_url: http://h, api_key: '{KEY} {KEY}'}}\n" + M,
            ": endpoint.api_key is empty or has characters",
        ),
        (f"endpoint: {{base_url: {KEY}}}\n" + M, ": endpoint.base_url is not an address such as https://host/v1"),
        (f"endpoint: {{base_url: 'ftp://u:{KEY}@h'}}\n" + M, ": endpoint.base_url is not an address such as"),
        (f"endpoint: {{base_url: 'http://u:{KEY}@h'}}\n" + M, ": endpoint.base_url has a user name or password"),
        ("endpoint: {base_url: 'http://h:99999'}\n" + M, ": endpoint.base_url is not an address such as"),
        ("endpoint: {base_url: 'http://[::1'}\n" + M, ": endpoint.base_url is not an address such as"),
        ("endpoint: {base_url: 'http://h/v1?key=x'}\n" + M, ": endpoint.base_url should end before ?"),
        (
            "endpoint: {kind: azure, base_url: http://h/openai/v1, deployment: d, api_key: k}\n" + M,
            ": an address that ends in /openai/v1 takes the deployment as the model: write model: d",
        ),
        ("endpoint: {base_url: http://h, token_command: az login}\n" + M, ": endpoint.token_command should be a list"),
        ("endpoint: {base_url: http://h, requests_per_minute: 0}\n" + M, ".requests_per_minute should be greater"),
        ("endpoint: {base_url: http://h, verify_tls: 'no'}\n" + M, ": endpoint.verify_tls should be a valid boolean"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_file_and_setting(tmp_path: Path, text: str, said: str) -> None:
    shown = refused_file(tmp_path, text)
    assert said in shown
    assert "No model is named" in said or shown.startswith("/syphus.yaml:")


def test_an_option_that_is_wrong_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    said = refused_file(tmp_path, E + M + "temperature: 0.5", temperature=9.0)
    assert said == "--temperature should be less than or equal to 2"


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "nowhere.yaml", {}, {})
    assert "nowhere.yaml" in one_line(error)
