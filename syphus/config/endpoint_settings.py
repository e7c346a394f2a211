"""The settings of an endpoint, and the kinds of endpoints with their SDK clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from syphus.config.environment import OFFICIAL
from syphus.config.model_table import is_regional
from syphus.config.values import (
    Header,
    Headers,
    Plain,
    Secret,
    StrictModel,
    address_problem,
    is_v1,
    read_address,
    sent_as,
)

if TYPE_CHECKING:  # the SDK takes a while to import
    import httpx2
    import openai

_AZURE_VERSION = "2024-10-21"  # the newest generally available version for chat completions


class EndpointConfig(StrictModel):
    """One server: its address, credentials and limits."""

    kind: str = "openai"  #: one of `ENDPOINT_KINDS`
    name: Plain = ""  #: how people see it; its host by default
    base_url: Plain = OFFICIAL
    deployment: Plain = ""
    api_version: Plain = _AZURE_VERSION
    api_key: Secret | None = None
    token: Secret | None = None  #: an Entra token
    token_command: tuple[Plain, ...] = Field(default=(), strict=False)  #: prints an Entra token
    headers: Headers = Field(default_factory=dict)  #: further headers, such as a gateway's own key
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
