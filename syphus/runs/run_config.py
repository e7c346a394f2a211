"""The settings of a run: those of its config file and of the environment, with the options that replace them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.model_table import ModelTable
from syphus.config.options import Options
from syphus.config.sampling import check_fields, for_new_run
from syphus.config.secrets import VARIABLE
from syphus.config.settings import Config, load_config, read_settings, validate_config
from syphus.errors import ConfigError
from syphus.io.yaml_files import read_yaml
from syphus.runs.model_life import only_model

_SIMULATED_MODEL = "chat"
_UNUSED_KEY = "none"  # of an endpoint that is sent nothing
#: Options that replace the settings of the same names, if they are given.
_OVERRIDES = (
    *("model", "temperature", "top_p", "max_tokens", "reasoning_effort", "verbosity", "structured", "image_size"),
    *("image_detail", "max_images", "ask_above", "timeout", "max_attempts"),
)


def run_config(
    options: Options, environ: Mapping[str, str], find_model: Callable[[Config], str] | None = only_model
) -> Config:
    """Return the settings, with the options that override them. Raises `ConfigError`."""
    overrides: dict[str, object] = {name: getattr(options, name) for name in _OVERRIDES}
    overrides["hedging"] = False if options.no_hedging else None
    if options.offline:
        if options.config is not None:
            _check_config(options.config)
        values = {name: value for name, value in overrides.items() if value is not None}
        return _config_without_endpoint(_SIMULATED_MODEL, values)
    config = load_config(options.config, overrides, environ, *([find_model] if find_model else []))
    limits = {
        name: value
        for name in ("requests_per_minute", "tokens_per_minute")
        if (value := getattr(options, name)) is not None
    }
    table = ModelTable(config.models)
    takes_original = not table.find(config.model) or table.image_counting(config.model).original
    if config.image_detail == "original" and not takes_original:
        raise ConfigError(f"--image-detail original: {config.model} does not know it; use high.")
    check_fields(config)
    endpoints = tuple(endpoint.model_copy(update=limits) for endpoint in config.endpoints)
    prices = table.corrected_prices(config.prices)
    return for_new_run(config.model_copy(update={"endpoints": endpoints, "prices": prices}))


def _check_config(path: Path) -> None:
    """Raise `ConfigError` for a config that can't be used; its variables may be unset, and its endpoint missing.

    `--offline` uses none of it, but its mistakes would come up when the real run begins.
    """
    settings = read_settings(path)
    if not settings.keys() & {"endpoint", "endpoints"}:
        settings["endpoints"] = [{"base_url": "http://127.0.0.1"}]
    validate_config(settings, {}, path)


def config_of_own_pairs(options: Options, environ: Mapping[str, str]) -> Config:
    """Return the settings for a dataset that brings its pairs, so that it needs no endpoint."""
    values = {"embeddings": read_settings(options.config).get("embeddings")} if options.config else {}
    return _config_without_endpoint("none", values, environ)


def _config_without_endpoint(
    model: str, values: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> Config:
    """Return a configuration that needs no endpoint from the user."""
    endpoint = EndpointConfig(base_url="http://127.0.0.1")
    return validate_config({"model": model, "endpoints": (endpoint,)}, values, environ=environ)


def with_unused_keys(path: Path | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with a value for each key that is missing in it: OpenAI's, and those of a config file."""
    named = ["OPENAI_API_KEY", *(VARIABLE.findall(str(read_yaml(path))) if path is not None else ())]
    return {**environ, **{name: _UNUSED_KEY for name in named if not environ.get(name, "").strip()}}
