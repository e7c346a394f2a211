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

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import orjson
from pydantic import (
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.environment import DEFAULT_MODEL, endpoint_from_environment
from syphus.config.model_table import (
    Effort,
    ModelTable,
    PricePerMillion,
    Verbosity,
    first_problem,
)
from syphus.config.values import (
    BatchConfig,
    Plain,
    StrictModel,
    is_v1,
)
from syphus.errors import ConfigError, NoEndpointError
from syphus.io.yaml_files import read_yaml
from syphus.text import did_you_mean

if TYPE_CHECKING:  # the SDK takes a while to import
    pass

_REQUEST_FIELDS = ("model", "messages", "temperature", "top_p", "max_tokens", "seed")
_UNSUPPORTED_FIELDS = ("n", "stream", "stream_options")


class EmbeddingsConfig(StrictModel):
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


class Config(StrictModel):
    """All settings of endpoints, sampling, images, limits and prices."""

    endpoints: tuple[EndpointConfig, ...] = Field(min_length=1, strict=False)
    model: Plain = Field(default=DEFAULT_MODEL, min_length=1)
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    top_p: float | None = Field(default=0.95, gt=0, le=1)
    max_tokens: int | None = Field(default=3200, gt=0, lt=2**31)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    reasoning_effort: Effort | None = None  #: as the user set it; `effort` has the default
    verbosity: Verbosity | None = None
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)  #: further fields of the request
    structured: Literal["auto", "always", "never"] = "auto"  #: whether to ask for pairs as JSON by a schema
    image_size: int | None = Field(default=None, ge=0)  #: longest side in pixels; 0 sends images as they are
    image_detail: Literal["low", "high", "auto", "original"] | None = None
    image_tokens: int | None = Field(default=None, gt=0)  #: tokens per image, if the usual estimates are wrong
    max_images: int | None = Field(default=None, gt=0)  #: if a row has more, this many evenly spaced ones are sent
    prices: dict[str, PricePerMillion] = Field(default_factory=dict)
    models: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)  #: corrections of `models.yaml`, by name
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
        ModelTable(models)
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
    """Return all settings of a config file, whose names are known, but not their values. Raises `ConfigError`."""
    if not isinstance(read := read_yaml(path), dict):
        raise ConfigError(f"{path}: a config must be a mapping of settings")
    for name in sorted(map(str, read.keys() - {*(known := ["endpoint", *Config.model_fields])})):
        where = f"; write it as endpoint: {{{name}: ...}}" if name in EndpointConfig.model_fields else None
        raise ConfigError(f"{path}: {name} is not a setting{where or did_you_mean(name, known)}")
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
        if place in overrides:
            place = f"--{place.replace('_', '-')}"
        elif variables is not None and place.startswith("endpoints.0"):
            place = variables.get(
                place.removeprefix("endpoints.0.").partition(".")[0], "The endpoint in the environment"
            )
        else:
            place = f"{where}: {place.replace('endpoints.0', 'endpoint', 1) if 'endpoint' in data else place}".rstrip()
        raise ConfigError(f"{place} {message}") from None
