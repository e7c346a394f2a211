"""Reads the endpoint from environment variables: the current ones, and those of the original Syphus.

    OPENAI_API_TYPE                                        open_ai (or local), azure, azure_ad; if unset, detected
    OPENAI_API_KEY, AZURE_OPENAI_API_KEY                   the key; with azure_ad OPENAI_API_KEY is a token
    AZURE_OPENAI_AD_TOKEN, SYPHUS_TOKEN_COMMAND            an Entra token, or the command that prints one
    OPENAI_BASE_URL, OPENAI_API_BASE, AZURE_OPENAI_ENDPOINT
    OPENAI_API_VERSION, AZURE_OPENAI_API_VERSION
    OPENAI_API_ENGINE, AZURE_OPENAI_DEPLOYMENT             the deployment
    OPENAI_MODEL                                           the model
    OPENAI_ORG_ID, OPENAI_ORGANIZATION, OPENAI_PROJECT_ID
    OPENAI_CUSTOM_HEADERS                                  further headers, `Name: value` on each line

A token command has precedence over a token, and a token over a key, as in the official SDK. Empty variables count as
unset.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import SecretStr

from syphus.config.values import is_v1, read_address
from syphus.errors import ConfigError, NoEndpointError

OFFICIAL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-6-luna"  #: if only a key of OpenAI is set; the cheapest whose service has no end yet

_OPENAI = ("", "open_ai", "openai", "local")
_ENTRA = ("azure_ad", "azuread")


class EnvironmentEndpoint(NamedTuple):
    """An endpoint from environment variables."""

    endpoint: dict[str, object]  #: as in the config file
    model: str  #: "" if none is named
    is_official: bool  #: whether it is OpenAI's own, which has a default model
    variables: dict[str, str]  #: the variable of each setting


def endpoint_from_environment(environ: Mapping[str, str], option: str, model: str) -> EnvironmentEndpoint:
    """Return the endpoint in `environ`. `option` is --model, which has precedence; `model` is the config file's.

    Raises `NoEndpointError` if there is no endpoint, and `ConfigError` if its settings are incomplete.
    """
    variables = _Variables(environ)
    kind = environ.get("OPENAI_API_TYPE", "").strip().lower()
    if kind not in (*_OPENAI, "azure", *_ENTRA):
        raise ConfigError("OPENAI_API_TYPE must be open_ai, azure or azure_ad.")
    address = environ.get("OPENAI_BASE_URL", "").strip() or environ.get("OPENAI_API_BASE", "")
    is_azure = environ.get("AZURE_OPENAI_ENDPOINT") or read_address(address).deployment
    if kind.startswith("azure") or (not kind and is_azure):
        return _azure(variables, kind, option, model)
    found = variables.settings(
        base_url=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        organization=("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
        project=("OPENAI_PROJECT_ID",),
    )
    found |= variables.credential({"api_key": ("OPENAI_API_KEY",)})
    found |= variables.headers()
    if not found.keys() & {"base_url", "api_key", "token_command"}:
        raise NoEndpointError(
            "No endpoint is configured. Set OPENAI_API_KEY (and OPENAI_BASE_URL for another server), "
            "or try the whole pipeline with --offline."
        )
    is_official = found.get("base_url", OFFICIAL) == OFFICIAL
    named = variables.settings(model=("OPENAI_MODEL", "OPENAI_API_ENGINE")).get("model", "")
    return EnvironmentEndpoint({"kind": "openai", **found}, str(named), is_official, variables.used)


def _azure(variables: _Variables, kind: str, option: str, model: str) -> EnvironmentEndpoint:
    found = variables.settings(
        base_url=("AZURE_OPENAI_ENDPOINT", "OPENAI_API_BASE", "OPENAI_BASE_URL"),
        api_version=("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION"),
        deployment=("OPENAI_API_ENGINE", "AZURE_OPENAI_DEPLOYMENT"),
    )
    if not found.get("base_url"):
        raise ConfigError("OPENAI_API_TYPE is azure, but neither AZURE_OPENAI_ENDPOINT nor OPENAI_API_BASE is set.")
    address = read_address(str(found["base_url"]))
    named, in_address = str(found.get("deployment") or ""), address.deployment
    if named and in_address and named != in_address and not option:
        raise ConfigError(
            f"{variables.used['base_url']} has the deployment {in_address}, and {variables.used['deployment']} is "
            f"{named}. Set one of them."
        )
    found["base_url"] = address.base_url
    if address.api_version:
        found.setdefault("api_version", address.api_version)
    found["deployment"] = option or named or in_address or model
    if not found["deployment"]:
        raise ConfigError("No deployment is named. Set OPENAI_API_ENGINE or AZURE_OPENAI_DEPLOYMENT, or pass --model.")
    key: dict[str, tuple[str, ...]] = {"api_key": ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")}
    token: dict[str, tuple[str, ...]] = {"token": ("AZURE_OPENAI_AD_TOKEN",)}
    if kind in _ENTRA:
        token, key = {"token": ("AZURE_OPENAI_AD_TOKEN", "OPENAI_API_KEY")}, {}
    credential = variables.credential(token | key)
    credential |= variables.headers()
    if not credential:
        raise ConfigError(
            "Azure needs a key or a token. Set AZURE_OPENAI_API_KEY (or OPENAI_API_KEY), "
            "AZURE_OPENAI_AD_TOKEN, or SYPHUS_TOKEN_COMMAND."
        )
    model = str(variables.settings(model=("OPENAI_MODEL",)).get("model", found["deployment"]))
    if is_v1(address.base_url):
        model = str(found["deployment"])
    return EnvironmentEndpoint({"kind": "azure", **found, **credential}, model, False, variables.used)


class _Variables:
    """Looks up variables, and remembers the one that each setting came from."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str] = {}

    def settings(self, **names: tuple[str, ...]) -> dict[str, object]:
        """Return the settings whose variables are set; the first variable of a setting wins."""
        found: dict[str, object] = {}
        for setting, variables in names.items():
            for variable in variables:
                value = self._environ.get(variable, "").strip()
                if value:
                    found[setting], self.used[setting] = value, variable
                    break
        return found

    def headers(self) -> dict[str, object]:
        """Return further headers, all of them as secrets, if they are set in the form that the official SDK reads."""
        lines = self._environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
        found = [line.partition(":") for line in lines if line.strip()]
        if not found:
            return {}
        self.used["headers"] = "OPENAI_CUSTOM_HEADERS"
        return {"headers": {name.strip(): SecretStr(value.strip()) for name, _, value in found}}

    def credential(self, names: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
        """Return the first credential that is set; a token command has precedence."""
        command = self._environ.get("SYPHUS_TOKEN_COMMAND", "")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"SYPHUS_TOKEN_COMMAND can't be read: {error}.") from error
        if words:
            return {"token_command": words}
        return dict(list(self.settings(**names).items())[:1])
