"""Where the settings come from: the environment that users know, or a YAML file, checked before anything is sent.

    endpoint:                      # or `endpoints:` with a list of these
      kind: azure                  # openai (also any compatible server) or azure
      base_url: https://my-resource.openai.azure.com
      deployment: gpt-4o-mini
      api_version: "2024-10-21"
      api_key: ${AZURE_OPENAI_API_KEY}
      requests_per_minute: 500
    model: gpt-4o-mini
    temperature: 0.7
    prices:
      gpt-4o-mini: {input: 0.15, cached_input: 0.075, output: 0.60}   # dollars a million tokens

Unknown keys are errors, and `${VAR}` is read in the two secrets only: a config that somebody sends you can't fetch
other variables of yours. Keys never come from the command line, where every process list would show them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    model_validator,
)

from syphus.errors import ConfigError
from syphus.reading.yaml_files import read_yaml

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OFFICIAL = "https://api.openai.com/v1"
_USUAL_MODEL = "gpt-4o-mini"  # where only a key of OpenAI's is given
_AZURE_VERSION = "2024-10-21"  # the newest that Azure calls generally available for chat completions


def _from_environment(secret: SecretStr) -> SecretStr:
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise ValueError(f"the environment variable {match[1]} is not set")
        return found

    return SecretStr(_VARIABLE.sub(value, secret.get_secret_value()))


Secret = Annotated[SecretStr, AfterValidator(_from_environment)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EndpointConfig(_Checked):
    """One server: where it is, how it is entered, what it allows."""

    kind: Literal["openai", "azure"] = "openai"
    base_url: str = _OFFICIAL
    deployment: str = ""
    api_version: str = _AZURE_VERSION
    api_key: Secret | None = None
    token: Secret | None = None  #: an Entra token
    token_command: tuple[str, ...] = Field(default=(), strict=False)  #: prints an Entra token
    organization: str = ""
    project: str = ""
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    verify_tls: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Self:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url {self.base_url!r} is no http(s) address")
        if parts.username or parts.password:
            raise ValueError("base_url holds a user name or password; use api_key")
        if self.kind == "azure" and not self.deployment:
            raise ValueError("an azure endpoint needs a deployment (OPENAI_API_ENGINE, or --model)")
        if self.kind == "azure" and not (self.api_key or self.token or self.token_command):
            raise ValueError("an azure endpoint needs an api_key, a token or a token_command")
        return self

    @property
    def host(self) -> str:
        """Host and port, as people know the endpoint; several Azure deployments share one, so theirs is added."""
        host = urlsplit(self.base_url).netloc
        return f"{host}/{self.deployment}" if self.deployment else host


class Price(_Checked):
    """Dollars a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)


class Config(_Checked):
    """Everything that a run can be told about its endpoint and its sampling."""

    endpoints: tuple[EndpointConfig, ...] = Field(min_length=1, strict=False)
    model: str = Field(min_length=1)
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    top_p: float | None = Field(default=0.95, gt=0, le=1)
    max_tokens: int | None = Field(default=3200, gt=0)
    seed: int | None = None
    extra_body: dict[str, JsonValue] = {}  #: further fields of the request, such as `reasoning_effort`
    prices: dict[str, Price] = {}
    timeout: float = Field(default=180.0, gt=0)  #: seconds that one attempt may take in all
    first_wait: float = Field(default=0.5, gt=0)  #: seconds before the second attempt; doubles with each further one
    max_wait: float = Field(default=600.0, gt=0)  #: seconds; a server that asks for more stops the run
    max_outage: float = Field(default=900.0, gt=0)  #: seconds without a single answer that stop the run
    plugin_timeout: float = Field(default=10.0, gt=0)  #: seconds that a plugin's hook may take for one row
    max_attempts: int = Field(default=6, gt=0)  #: attempts of one row at errors that may be its own fault

    @model_validator(mode="before")
    @classmethod
    def _one_endpoint(cls, data: object) -> object:
        if isinstance(data, dict) and "endpoint" in data and "endpoints" not in data:
            data = {**data, "endpoints": [data["endpoint"]]}
            del data["endpoint"]
        return data


def load_config(path: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str]) -> Config:
    """The configuration from a YAML file, or else from the environment; `overrides` are the options of the command.

    Raises `ConfigError` with one line.
    """
    data: dict[str, object] = {}
    if path is not None:
        read = read_yaml(path)
        if not isinstance(read, dict):
            raise ConfigError(f"{path}: a config is a mapping of settings")
        data = dict(read)
    given = {name: value for name, value in overrides.items() if value is not None}
    if not data.keys() & {"endpoint", "endpoints"}:
        endpoint = endpoint_from(environ, str(given.get("model") or data.get("model") or ""))
        data["endpoints"] = [endpoint]
        usual = _USUAL_MODEL if endpoint["base_url"] == _OFFICIAL else ""
        named = _first(environ, "OPENAI_MODEL", "OPENAI_API_ENGINE", "AZURE_OPENAI_DEPLOYMENT")
        data.setdefault("model", named or usual)
    elif "model" not in data and "model" not in given:
        raise ConfigError(f"{path}: no model is named; add `model:` or pass --model")
    return make_config(data, given, path)


def make_config(data: Mapping[str, object], given: Mapping[str, object], path: Path | None = None) -> Config:
    """The checked configuration: `data` from the file at `path`, or made up, under the options that were `given`.

    Raises `ConfigError` with one line.
    """
    try:
        return Config.model_validate({**data, **given})
    except ValidationError as error:
        raise ConfigError(_one_line(error, given, path)) from None


def endpoint_from(environ: Mapping[str, str], model: str = "") -> dict[str, object]:
    """The endpoint that the environment variables describe: today's names and those of the first Syphus.

    Raises `ConfigError` where there is none.
    """
    kind = environ.get("OPENAI_API_TYPE", "").lower()
    if kind.startswith("azure") or (not kind and environ.get("AZURE_OPENAI_ENDPOINT")):
        return _azure_from(environ, model, kind)
    base_url = _first(environ, "OPENAI_BASE_URL", "OPENAI_API_BASE")
    key = environ.get("OPENAI_API_KEY", "")
    if not key and not base_url:
        raise ConfigError(
            "No endpoint is configured. Set OPENAI_API_KEY (and OPENAI_BASE_URL for another server), "
            "or try the whole pipeline with --offline."
        )
    found = {
        "kind": "openai",
        "base_url": base_url or _OFFICIAL,
        "api_key": key or "none",  # a server of one's own often wants no key, but the SDK does
        "organization": _first(environ, "OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
        "project": environ.get("OPENAI_PROJECT_ID", ""),
    }
    return dict(found)


def _azure_from(environ: Mapping[str, str], model: str, kind: str) -> dict[str, object]:
    base_url = _first(environ, "AZURE_OPENAI_ENDPOINT", "OPENAI_API_BASE", "OPENAI_BASE_URL")
    if not base_url:
        raise ConfigError("OPENAI_API_TYPE says azure, but neither AZURE_OPENAI_ENDPOINT nor OPENAI_API_BASE is set.")
    found: dict[str, object] = {
        "kind": "azure",
        "base_url": base_url,
        "deployment": _first(environ, "OPENAI_API_ENGINE", "AZURE_OPENAI_DEPLOYMENT") or model,
        "api_version": _first(environ, "OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION") or _AZURE_VERSION,
    }
    command = environ.get("SYPHUS_TOKEN_COMMAND", "").split()
    token = environ.get("AZURE_OPENAI_AD_TOKEN", "")
    key = _first(environ, "AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")
    if kind in ("azure_ad", "azuread"):  # the old SDK's names: its OPENAI_API_KEY then held the token
        token, key = token or key, ""
    if command:
        found["token_command"] = command
    elif token:
        found["token"] = token
    elif key:
        found["api_key"] = key
    return found


def _first(environ: Mapping[str, str], *names: str) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _one_line(error: ValidationError, given: Mapping[str, object], path: Path | None) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if place == "model" and not path:
        return "No model is named. Pass --model, or set OPENAI_MODEL (OPENAI_API_ENGINE for Azure)."
    message = {"extra_forbidden": "is not a setting", "missing": "is missing"}.get(first["type"], message)
    if place in given:
        return f"--{place.replace('_', '-')} {message}"
    return f"{path or 'settings'}: {place} {message}" if place else f"{path or 'settings'}: {message}"
