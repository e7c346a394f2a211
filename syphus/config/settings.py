"""Reads the settings from a YAML file or the environment, and validates them before anything is sent.

    endpoint:                      # or `endpoints:` with a list of these
      kind: azure                  # openai (also any compatible server) or azure
      base_url: https://my-resource.openai.azure.com
      deployment: gpt-6-luna
      api_version: "2024-10-21"
      api_key: ${AZURE_OPENAI_API_KEY}
    model: gpt-6-luna
    temperature: 0.7
    embeddings: {model: text-embedding-3-small, dimensions: 512}   # may have an `endpoint:` of its own
    prices:
      my-model: {input: 0.15, cached_input: 0.075, output: 0.60}   # dollars per million tokens

Unknown keys are errors. `${VAR}` is replaced in `api_key`, `token` and `headers`, so that no key must be stored in a
file. Elsewhere in an endpoint it is an error, because it would be sent literally. Keys are never taken from the command
line, which every process list shows. Trust a config file like a program: it says where a key is sent, and may name one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self
from urllib.parse import quote, urlsplit

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from syphus.config.environment import DEFAULT_MODEL, OFFICIAL, endpoint_from_environment
from syphus.config.model_table import Effort, ModelTable, PricePerMillion, Verbosity, first_problem, is_regional
from syphus.config.values import (
    BatchConfig,
    Header,
    Headers,
    Plain,
    Secret,
    address_problem,
    is_v1,
    read_address,
    sent_as,
)
from syphus.errors import ConfigError, NoEndpointError
from syphus.io.yaml_files import read_yaml
from syphus.text import did_you_mean

if TYPE_CHECKING:  # the SDK takes a while to import
    import httpx2
    import openai

_AZURE_VERSION = "2024-10-21"  # the newest generally available version for chat completions
_REQUEST_FIELDS = ("model", "messages", "temperature", "top_p", "max_tokens", "seed")
_UNSUPPORTED_FIELDS = ("n", "stream", "stream_options")


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EndpointConfig(_Checked):
    """One server: its address, credentials and limits."""

    kind: str = "openai"  #: one of `ENDPOINT_KINDS`
    name: Plain = ""  #: how people see it; its host by default
    base_url: Plain = OFFICIAL
    deployment: Plain = ""
    api_version: Plain = _AZURE_VERSION
    api_key: Secret | None = None
    token: Secret | None = None  #: an Entra token
    token_command: tuple[Plain, ...] = Field(default=(), strict=False)  #: prints an Entra token
    headers: Headers = {}  #: further headers, such as a gateway's own key
    organization: Header = ""
    project: Header = ""
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    verify_tls: bool = True
    regional: bool | None = None  #: whether it processes data in one region, which may cost more; None: by its host

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, kind: object) -> object:
        if not isinstance(kind, str) or kind not in ENDPOINT_KINDS:
            raise ValueError(f"should be {' or '.join(map(repr, ENDPOINT_KINDS))}")
        return kind

    @model_validator(mode="before")
    @classmethod
    def _as_copied(cls, given: object) -> object:
        """Take the deployment and the version from an address that has them."""
        if not isinstance(given, dict) or not isinstance(given.get("base_url"), str):
            return given
        base_url, deployment, api_version = read_address(given["base_url"])
        if (deployment or given.get("deployment")) and not is_v1(base_url):
            given = {"kind": "azure", **given}
        if given.get("kind") != "azure":
            return given if deployment else {**given, "base_url": base_url}
        found = {"deployment": deployment, "api_version": api_version}
        return {**{name: value for name, value in found.items() if value}, **given, "base_url": base_url}

    @field_validator("base_url")
    @classmethod
    def _address(cls, text: str, info: ValidationInfo) -> str:
        if problem := address_problem(text, info.data.get("kind", "openai")):
            raise ValueError(problem)
        return text

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len([each for each in (self.api_key, self.token, self.token_command) if each]) > 1:
            raise ValueError("has several of api_key, token and token_command; use one of them")
        for name in self.headers:
            if setting := sent_as(name.lower(), dict(self)):
                raise ValueError(f"has {name} in headers, which {setting} sets; leave one of them out")
        if problem := ENDPOINT_KINDS[self.kind].problem(self):
            raise ValueError(problem)
        return self

    @property
    def has_credentials(self) -> bool:
        """Whether requests are signed with a key or a token."""
        return bool(self.api_key or self.token or self.token_command)

    @property
    def host(self) -> str:
        """Its name for display: by default host and port, on Azure with the deployment, as several share a host."""
        if self.name:
            return self.name
        host = urlsplit(self.base_url).netloc
        return f"{host}/{self.deployment}" if self.deployment else host

    @property
    def is_regional(self) -> bool:
        """Whether it processes data in one region."""
        return is_regional(urlsplit(self.base_url).netloc) if self.regional is None else self.regional

    @property
    def secrets(self) -> list[str]:
        """The key or token and the secret headers, so that they can be redacted."""
        given = [secret for secret in (self.api_key, self.token, *self.headers.values()) if secret is not None]
        texts = [secret.get_secret_value() for secret in given if isinstance(secret, SecretStr)]
        return [*texts, *(text.split()[-1] for text in texts if " " in text)]  # "Bearer KEY"


class Credentials(NamedTuple):
    """What requests to an endpoint are signed with. At most one is set."""

    key: str | None
    token: str | None
    token_source: Callable[[], Awaitable[str]] | None  #: returns a token that is valid now


class EndpointKind(NamedTuple):
    """A kind of servers. To add one, write its two functions and a row of `ENDPOINT_KINDS`.

    `problem` returns what the settings of such an endpoint lack, or "". `client` returns the SDK's client, which
    addresses and signs requests; it imports the SDK, since that takes a while. `deployments` says that each model
    has a deployment of its own.
    """

    problem: Callable[[EndpointConfig], str]
    client: Callable[[EndpointConfig, Credentials, httpx2.AsyncClient], openai.AsyncOpenAI]
    deployments: bool = False


_NO_CREDENTIALS = "needs an api_key, a token or a token_command"
NO_KEY = "none"  #: for local servers without a key; without any, the SDK would take one from the environment


def _openai_problem(config: EndpointConfig) -> str:
    return _NO_CREDENTIALS if config.base_url == OFFICIAL and not (config.has_credentials or config.headers) else ""


def _openai_client(
    config: EndpointConfig, credentials: Credentials, http_client: httpx2.AsyncClient
) -> openai.AsyncOpenAI:
    from openai import AsyncOpenAI

    key = credentials.key or credentials.token or credentials.token_source or NO_KEY
    return AsyncOpenAI(base_url=config.base_url, api_key=key, max_retries=0, http_client=http_client)


def _azure_problem(config: EndpointConfig) -> str:
    if not (config.has_credentials or config.headers):
        return _NO_CREDENTIALS
    return "" if config.deployment or is_v1(config.base_url) else "needs a deployment, because its kind is azure"


def _azure_client(
    config: EndpointConfig, credentials: Credentials, http_client: httpx2.AsyncClient
) -> openai.AsyncOpenAI:
    from openai import AsyncAzureOpenAI

    if is_v1(config.base_url):
        return _openai_client(config, credentials, http_client)
    no_key = None if config.has_credentials else NO_KEY
    return AsyncAzureOpenAI(
        azure_endpoint=config.base_url,
        azure_deployment=quote(config.deployment, safe=""),
        api_version=config.api_version,
        api_key=credentials.key or no_key,
        azure_ad_token=credentials.token,
        azure_ad_token_provider=credentials.token_source,
        max_retries=0,
        http_client=http_client,
    )


#: By the name that a config has as `kind`.
ENDPOINT_KINDS: dict[str, EndpointKind] = {
    "openai": EndpointKind(_openai_problem, _openai_client),
    "azure": EndpointKind(_azure_problem, _azure_client, deployments=True),
}


class EmbeddingsConfig(_Checked):
    """The source of text vectors; anything that is not set is as for the main job."""

    model: Plain = ""
    endpoints: tuple[EndpointConfig, ...] = Field(default=(), strict=False)
    dimensions: int | None = Field(default=None, gt=0, lt=2**16)
    batch: int = Field(default=64, gt=0, le=2048)  #: maximum texts per request
    local: Plain = ""  #: a sentence-transformers model that runs in this process, instead of an endpoint

    @model_validator(mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        if not isinstance(given, dict) or "endpoint" not in given:
            return given
        if "endpoints" in given:
            raise ValueError("has endpoint and endpoints; use one of them")
        return {**{k: v for k, v in given.items() if k != "endpoint"}, "endpoints": [given["endpoint"]]}


class Config(_Checked):
    """All settings of endpoints, sampling, images, limits and prices."""

    endpoints: tuple[EndpointConfig, ...] = Field(min_length=1, strict=False)
    model: Plain = Field(default=DEFAULT_MODEL, min_length=1)
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    top_p: float | None = Field(default=0.95, gt=0, le=1)
    max_tokens: int | None = Field(default=3200, gt=0, lt=2**31)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    reasoning_effort: Effort | None = None  #: as the user set it; `effort` has the default
    verbosity: Verbosity | None = None
    extra_body: dict[str, JsonValue] = {}  #: further fields of the request, such as `presence_penalty`
    structured: Literal["auto", "always", "never"] = "auto"  #: whether to ask for pairs as JSON by a schema
    image_size: int | None = Field(default=None, ge=0)  #: longest side in pixels; 0 sends images as they are
    image_detail: Literal["low", "high", "auto", "original"] | None = None
    image_tokens: int | None = Field(default=None, gt=0)  #: tokens per image, if the usual estimates are wrong
    max_images: int | None = Field(default=None, gt=0)  #: if a row has more, this many evenly spaced ones are sent
    prices: dict[str, PricePerMillion] = {}
    models: dict[str, dict[str, JsonValue]] = {}  #: corrections of `models.yaml`, by name
    embeddings: EmbeddingsConfig | None = None  #: text vectors for relations
    batch: BatchConfig | None = None  #: how requests are put into batches; None is the same as {}
    notify: Plain = ""  #: a command that is run when the work ends or stops
    ask_above: float = Field(default=50.0, ge=0)  #: dollars, above which a person is asked before they are spent
    timeout: float = Field(default=180.0, gt=0)  #: seconds for one attempt, at most; usually it is given up earlier
    hedging: bool = True  #: a second request for one of the last rows if its first takes long
    first_wait: float = Field(default=0.5, gt=0)  #: seconds before the second attempt; doubles with each attempt
    max_wait: float = Field(default=600.0, gt=0)  #: seconds; if a server asks for a longer wait, the run stops
    max_outage: float = Field(default=900.0, gt=0)  #: seconds without any answer until the run stops
    plugin_timeout: float = Field(default=10.0, ge=0.1)  #: seconds for a plugin's hook per row
    max_attempts: int = Field(default=6, gt=0)  #: attempts per row after errors that the row may cause

    _default_effort: Effort | None = PrivateAttr(default=None)

    @property
    def effort(self) -> Effort | None:
        """The reasoning effort that the user set, or that of the model or the run; None if none is sent."""
        return self.reasoning_effort or self._default_effort

    def with_default_effort(self, effort: Effort | None) -> Config:
        """Return a config whose effort is this one if the user leaves it open."""
        config = self.model_copy()
        config._default_effort = None if "reasoning_effort" in {*self.model_fields_set, *self.extra_body} else effort
        return config

    @field_validator("models")
    @classmethod
    def _known_fields(cls, models: dict[str, dict[str, JsonValue]]) -> dict[str, dict[str, JsonValue]]:
        try:
            ModelTable(models)
        except ValueError as error:
            raise ValueError(f".{error}") from None
        return models

    @field_validator("extra_body")
    @classmethod
    def _only_further(cls, fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            is_json = orjson.loads(orjson.dumps(fields)) == fields  # NaN comes back as null
        except (orjson.JSONEncodeError, RecursionError):
            is_json = False
        if not is_json:
            raise ValueError("has values that strict JSON can't hold: NaN, an infinity, a huge number or broken text")
        for name in fields:
            if name in _REQUEST_FIELDS:
                raise ValueError(f"has {name}, which is set outside of extra_body")
            if name in _UNSUPPORTED_FIELDS:
                raise ValueError(f"has {name}, but each request must get one answer, in one piece")
        return fields

    @model_validator(mode="after")
    def _deployment_is_model(self) -> Self:
        for endpoint in self.endpoints:
            if is_v1(endpoint.base_url) and endpoint.deployment not in ("", self.model):
                raise ValueError(
                    f"an address that ends in /openai/v1 takes the deployment as the model: write model: "
                    f"{endpoint.deployment} (and what it is under models:)"
                )
        return self

    @model_validator(mode="after")
    def _set_once(self) -> Self:
        for name in ("reasoning_effort", "verbosity"):
            if name in self.extra_body and getattr(self, name) is not None:
                raise ValueError(f"{name} is set twice: as a setting, and in extra_body")
        return self


def load_config(
    path: Path | None,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    find_model: Callable[[Config], str] = lambda _: "",
) -> Config:
    """Return the configuration from a YAML file or the environment; `overrides` are the options of the command.

    The options come first, then the file. Without a model, `find_model` is asked. Raises `ConfigError` with one line.
    """
    data = read_settings(path) if path is not None else {}
    for name in sorted(data.keys() - {*(known := ["endpoint", *Config.model_fields])}):
        where = f"; write it as endpoint: {{{name}: ...}}" if name in EndpointConfig.model_fields else None
        raise ConfigError(f"{path}: {name} is not a setting{where or did_you_mean(name, known)}")
    given = {name: value for name, value in overrides.items() if value is not None}
    described = None
    if not data.keys() & {"endpoint", "endpoints"}:
        described = endpoint_from_environment(environ, str(given.get("model") or ""), str(data.get("model") or ""))
        data = {**({"model": described.model} if described.model else {}), **data, "endpoints": [described.endpoint]}
    has_default = described is not None and described.is_official and "model" not in data
    sources = (path, described.variables) if described is not None else (path, None, environ)
    if not (given.get("model") or data.get("model") or has_default):
        given["model"] = find_model(validate_config(data, {**given, "model": "?"}, *sources))
        if not given["model"]:
            raise NoEndpointError("No model is named. Pass --model, put `model:` into the config, or set OPENAI_MODEL.")
    return validate_config(data, given, *sources)


def read_settings(path: Path) -> dict[str, object]:
    """Return all settings of a config file without validation. Raises `ConfigError`."""
    if not isinstance(read := read_yaml(path), dict):
        raise ConfigError(f"{path}: a config must be a mapping of settings")
    return dict(read)


def validate_config(
    data: Mapping[str, object],
    overrides: Mapping[str, object],
    path: Path | None = None,
    variables: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return the validated configuration: `data`, usually from the file at `path`, with `overrides`.

    `variables` has the environment variable of each setting, for messages; `environ` is where `${VAR}` is looked up, if
    anywhere. Raises `ConfigError` with one line, which never shows a value, because it could be a secret.
    """
    where = f"{path or 'settings'}"
    if "endpoint" in data:
        if "endpoints" in data:
            raise ConfigError(f"{where}: endpoint and endpoints are both given; use one of them")
        data = {**data, "endpoints": [data["endpoint"]]}
    try:
        settings = {name: value for name, value in {**data, **overrides}.items() if name != "endpoint"}
        return Config.model_validate(settings, context=environ)
    except ValidationError as error:
        place, message = first_problem(error, (Config, EndpointConfig, EmbeddingsConfig, BatchConfig, PricePerMillion))
        if message.startswith("."):  # a place within the place
            inner, _, message = message.partition(" ")
            place += inner
        if place in overrides:
            place = f"--{place.replace('_', '-')}"
        elif variables is not None and place.startswith("endpoints.0"):
            place = variables.get(
                place.removeprefix("endpoints.0.").partition(".")[0], "The endpoint in the environment"
            )
        else:
            place = f"{where}: {place.replace('endpoints.0', 'endpoint', 1) if 'endpoint' in data else place}".rstrip()
        raise ConfigError(f"{place} {message}") from None
