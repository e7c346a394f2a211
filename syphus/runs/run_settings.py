"""The settings that answers depend on, and the prices of a run, as the ledger stores them."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from syphus.config.model_table import PricePerMillion
from syphus.config.pricing import Prices, load_prices
from syphus.config.sampling import resolve_sampling
from syphus.config.settings import Config
from syphus.errors import RunError
from syphus.ledger.sessions import get_meta, is_simulated_run, set_meta
from syphus.ledger.store import Store
from syphus.plugins.prompts import PromptTemplate, prompt_digest, turns_as_json

_NOT_COMPARED = ("dataset", "prompt_text")
GENERATE = "generate"  #: the name of the main stage in ledgers
STRUCTURED = "structured"  #: in the settings of runs that ask for JSON
_IMAGE_SETTINGS = ("image_size", "image_detail", "max_images")


def run_settings(
    dataset: str, config: Config, template: PromptTemplate, simulated: bool, with_images: bool = False
) -> dict[str, object]:
    """Return the settings of a run as JSON values, with the whole prompt."""
    return {
        "dataset": dataset,
        "model": config.model,
        **sampling_settings(config),
        "prompt": prompt_digest(template),
        "simulated": simulated,
        "prompt_text": {"system_message": template.system_message, "in_context": turns_as_json(template)},
        **_image_settings(config, with_images),
    }


def _image_settings(config: Config, with_images: bool) -> dict[str, object]:
    """Return the image settings that the user gave. Other runs store none, like those of before images."""
    given = {name: getattr(config, name) for name in _IMAGE_SETTINGS if getattr(config, name) is not None}
    return {"with_images": True, **given} if with_images else given


def refuse_mixing(store: Store, simulated: bool) -> None:
    """Raise `RunError` if a run would mix simulated answers with those of a real model, in any stage."""
    before = is_simulated_run(store)
    if before not in (None, simulated):
        kind = "made-up answers of the simulated endpoint" if before else "answers of a real model"
        raise RunError(
            f"{store.folder} holds {kind}. Real and made-up answers are never mixed: use another --dataset_version."
        )


def sampling_settings(config: Config) -> dict[str, object]:
    """Return the settings of the sampling. Those of newer versions are in it if they are set, as in older runs."""
    fields = resolve_sampling(config).fields
    newer: dict[str, object] = {name: fields[name] for name in ("reasoning_effort", "verbosity") if name in fields}
    return {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "seed": config.seed,
        **newer,
        **config.extra_body,
    }


def requested_tier(config: Config) -> str | None:
    """Return the service tier that every request asks for, or None if it asks for none."""
    tier = config.extra_body.get("service_tier")
    return None if tier is None else str(tier)


def changed_settings(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return how new answers would differ from earlier ones: "temperature 0.7, now 0.2"."""
    names = [name for name in {**before, **now} if name not in _NOT_COMPARED]
    return [
        f"{name} {_format(before.get(name))}, now {_format(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _format(value: object) -> str:
    return "unset" if value is None else str(value)


_META = "prices"  # meta: the config's own prices as JSON


def store_prices(store: Store, prices: Mapping[str, PricePerMillion]) -> None:
    """Store the config's own prices with the run, so that reports need no config. Does not commit."""
    if prices:
        set_meta(
            store,
            _META,
            orjson.dumps({name: price.model_dump(exclude_unset=True) for name, price in prices.items()}).decode(),
        )


def stored_prices(store: Store) -> Prices:
    """Return the prices for a run's cost: those stored with it, and the built-in ones."""
    stored = orjson.loads(str(get_meta(store, _META) or "{}"))
    return load_prices({name: PricePerMillion.model_validate(price) for name, price in stored.items()})


_LIMITS_META = "limits"  # meta: what the servers last stated, as JSON


def store_limits(store: Store, limits: Mapping[str, float]) -> None:
    """Store the limits per minute that the servers state, by "requests" and "tokens". Does not commit."""
    if limits:
        set_meta(store, _LIMITS_META, orjson.dumps(limits, option=orjson.OPT_SORT_KEYS).decode())


def stored_limits(store: Store) -> dict[str, float]:
    """Return the limits per minute that the servers last stated, by "requests" and "tokens"."""
    return dict(orjson.loads(str(get_meta(store, _LIMITS_META) or "{}")))
