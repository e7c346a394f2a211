"""The prices that a run's cost is told with, kept with the run."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from syphus.config import PricePerMillion
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.pricing import Prices, load_prices

_META = "prices"


def keep_prices(store: Store, own: Mapping[str, PricePerMillion]) -> None:
    """Notes the config's own prices with the run, so that its cost can be told without the config. Not committed."""
    if own:
        set_meta(store, _META, orjson.dumps({name: price.model_dump() for name, price in own.items()}).decode())


def kept_prices(store: Store) -> Prices:
    """The prices that a run's cost is told with."""
    kept = orjson.loads(str(get_meta(store, _META) or "{}"))
    return load_prices({name: PricePerMillion.model_validate(price) for name, price in kept.items()})
