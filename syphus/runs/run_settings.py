"""What answers depend on, as the ledger keeps it, and how to say that it has changed."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from syphus.config.pricing import Prices, load_prices
from syphus.config.settings import Config, PricePerMillion
from syphus.errors import RunError
from syphus.ledger.sessions import get_meta, is_simulated_run, set_meta
from syphus.ledger.store import Store
from syphus.plugins.prompts import prompt_digest, turns_as_json
from syphus.types import PromptTemplate

_NOT_COMPARED = ("dataset", "prompt_text")
_IMAGE_SETTINGS = ("image_size", "image_detail", "max_images")


def run_settings(
    dataset: str, config: Config, prefix: PromptTemplate, simulated: bool, with_images: bool = False
) -> dict[str, object]:
    """The settings of a run, JSON values, the prompt in full."""
    return {
        "dataset": dataset,
        "model": config.model,
        **sampling_parameters(config),
        "prompt": prompt_digest(prefix),
        "simulated": simulated,
        "prompt_text": {"system_message": prefix.system_message, "in_context": turns_as_json(prefix)},
        **_image_settings(config, with_images),
    }


def _image_settings(config: Config, with_images: bool) -> dict[str, object]:
    """How images go out, where anybody has said so: most runs have none, and those of before knew nothing of them."""
    said = {name: getattr(config, name) for name in _IMAGE_SETTINGS if getattr(config, name) is not None}
    return {"with_images": True, **said} if with_images else said


def refuse_mixing(store: Store, simulated: bool) -> None:
    """Raises `RunError` where the run's answers, of whatever stage, are made up and new ones would not be, or so."""
    before = is_simulated_run(store)
    if before not in (None, simulated):
        kind = "made-up answers of the simulated endpoint" if before else "answers of a real model"
        raise RunError(f"{store.folder} holds {kind}, which are never mixed. Use another --dataset_version.")


def sampling_parameters(config: Config) -> dict[str, object]:
    """What goes out with every request besides model and messages; None leaves one out."""
    return {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "seed": config.seed,
        **config.extra_body,
    }


def changed_settings(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What answers made before would not have in common with new ones: "temperature 0.7, now 0.2"."""
    names = [name for name in {**before, **now} if name not in _NOT_COMPARED]
    return [
        f"{name} {_shown(before.get(name))}, now {_shown(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)


# FOLDED from prices.py:
# The prices that a run's cost is told with, kept with the run.

_META = "prices"


def store_prices(store: Store, own: Mapping[str, PricePerMillion]) -> None:
    """Notes the config's own prices with the run, so that its cost can be told without the config. Not committed."""
    if own:
        set_meta(store, _META, orjson.dumps({name: price.model_dump() for name, price in own.items()}).decode())


def stored_prices(store: Store) -> Prices:
    """The prices that a run's cost is told with."""
    kept = orjson.loads(str(get_meta(store, _META) or "{}"))
    return load_prices({name: PricePerMillion.model_validate(price) for name, price in kept.items()})
