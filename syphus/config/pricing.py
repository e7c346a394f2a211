"""The price of a model, from the shipped list or the user's config, and the cost of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from syphus.config.model_table import PricePerMillion, shipped_models, table_date
from syphus.model_names import is_free
from syphus.types import BilledUsage, Usage

_MILLION = 1_000_000
_DATE = re.compile(r"-20\d\d-\d\d-\d\d$")


class Price(NamedTuple):
    """Dollars per token."""

    input: float
    cached_input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return the cost of a usage in dollars."""
        uncached = usage.prompt_tokens - usage.cached_tokens
        return uncached * self.input + usage.cached_tokens * self.cached_input + usage.completion_tokens * self.output

    def max_cost(self, prompt_tokens: float, max_tokens: float) -> float:
        """Return the maximum cost of a request in dollars."""
        return prompt_tokens * self.input + max_tokens * self.output


class Prices:
    """Prices by model.

    Servers name dated versions ("gpt-4o-mini-2024-07-18"). A dated version has the price of the undated one unless it
    has its own.
    """

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices

    def find(self, model: str) -> Price | None:
        """Return the price of a model, or None if it is unknown."""
        if is_free(model):
            return Price(0.0, 0.0, 0.0)
        return self._prices.get(model) or self._prices.get(_DATE.sub("", model))

    def cost(self, bills: Iterable[BilledUsage]) -> float | None:
        """Return the total cost of what is billed in dollars, or None if a price is unknown.

        The price of the configured name applies if the server's name has none.
        """
        priced = [(self.find(bill.model) or self.find(bill.configured_model), bill.usage) for bill in bills]
        if any(price is None for price, _ in priced):
            return None
        return round(sum(price.cost(usage) for price, usage in priced if price is not None), 6)


def price_date() -> str:
    """Return the day of the shipped prices, such as "2026-11-30"."""
    return table_date()


def load_prices(config_prices: Mapping[str, PricePerMillion]) -> Prices:
    """Return the shipped prices, overridden by those of the config."""
    prices = {**shipped_models().prices(), **config_prices}
    return Prices({name: _per_token(price) for name, price in prices.items()})


def _per_token(price: PricePerMillion) -> Price:
    cached = price.input if price.cached_input is None else price.cached_input
    return Price(price.input / _MILLION, cached / _MILLION, price.output / _MILLION)
