"""Prices: the shipped list, and what the user's config adds or corrects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from syphus.config.settings import PricePerMillion
from syphus.io.yaml_files import read_yaml
from syphus.types import LOCAL, Usage, is_simulated

_FILE = Path(__file__).with_name("prices.yaml")
_MILLION = 1_000_000
_DATE = re.compile(r"-20\d\d-\d\d-\d\d$")


class Price(NamedTuple):
    """Dollars a token."""

    input: float
    cached_input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Dollars for a usage."""
        fresh = usage.prompt_tokens - usage.cached_tokens
        return fresh * self.input + usage.cached_tokens * self.cached_input + usage.completion_tokens * self.output

    def max_cost(self, prompt_tokens: float, max_tokens: float) -> float:
        """Dollars that a call can cost at the most."""
        return prompt_tokens * self.input + max_tokens * self.output


class Prices:
    """Prices by model. A server names a dated version ("gpt-4o-mini-2024-07-18"), which costs as much as the undated
    one unless it has a price of its own.
    """

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices

    def find(self, model: str) -> Price | None:
        """The price of a model, or None where it is not known."""
        if is_simulated(model) or model.startswith(LOCAL):
            return Price(0.0, 0.0, 0.0)
        return self._prices.get(model) or self._prices.get(_DATE.sub("", model))

    def cost(self, uses: Iterable[tuple[str, str, Usage]]) -> float | None:
        """Dollars for some uses of models; None where a price is not known.

        A use is the model's name as the server gave it, the name that was asked for, whose price holds where the
        server's has none, and the tokens.
        """
        priced = [(self.find(model) or self.find(asked), usage) for model, asked, usage in uses]
        if any(price is None for price, _ in priced):
            return None
        return round(sum(price.cost(usage) for price, usage in priced if price is not None), 6)


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


def _a_token(price: PricePerMillion) -> Price:
    cached = price.input if price.cached_input is None else price.cached_input
    return Price(price.input / _MILLION, cached / _MILLION, price.output / _MILLION)
