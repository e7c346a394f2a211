"""Prices: the shipped list, and what the user's config adds or corrects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict

from syphus.config import Price as PricePerMillion
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.pipeline.budget import Price, Prices
from syphus.reading.yaml_files import read_yaml

_FILE = Path(__file__).with_name("prices.yaml")
_META = "prices"
_MILLION = 1_000_000


class _PriceList(BaseModel):
    model_config = ConfigDict(extra="forbid")

    as_of: str
    models: dict[str, PricePerMillion]


@cache
def _shipped() -> _PriceList:
    return _PriceList.model_validate(read_yaml(_FILE))


def price_date() -> str:
    """The month of the shipped list: "2026-06"."""
    return _shipped().as_of


def load_prices(own: Mapping[str, PricePerMillion]) -> Prices:
    """The shipped prices, under the config's own."""
    prices = {**_shipped().models, **own}
    return Prices({name: _a_token(price) for name, price in prices.items()})


def keep_prices(store: Store, own: Mapping[str, PricePerMillion]) -> None:
    """Notes the config's own prices with the run, so that its cost can be told without the config. Not committed."""
    if own:
        set_meta(store, _META, orjson.dumps({name: price.model_dump() for name, price in own.items()}).decode())


def kept_prices(store: Store) -> Prices:
    """The prices that a run's cost is told with."""
    kept = orjson.loads(str(get_meta(store, _META) or "{}"))
    return load_prices({name: PricePerMillion.model_validate(price) for name, price in kept.items()})


def _a_token(price: PricePerMillion) -> Price:
    cached = price.input if price.cached_input is None else price.cached_input
    return Price(price.input / _MILLION, cached / _MILLION, price.output / _MILLION)
