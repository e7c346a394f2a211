"""The price of a model, from the shipped table or the user's config, and the cost of a run.

What an answer costs depends on its own size and on how it was served: tokens that are read from the prompt cache or
written into it have prices of their own, a service tier and a regional host multiply the price, and above a limit the
whole request costs more (https://developers.openai.com/api/docs/pricing, looked up on 2026-11-30).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from syphus.config.model_table import LongContext, PricePerMillion, shipped_models, table_date, undated
from syphus.exchange import BilledUsage, Usage
from syphus.model_names import is_free

BATCH_TIER = "batch"  #: what the ledger has as the service tier of answers from a batch
_MILLION = 1_000_000
_USUAL_CACHE_WRITE = 1.25  # of the price of input, at OpenAI and Anthropic, where a price names no other
_USUAL_TIERS = {"fast": 2.0, "priority": 2.0, "ultrafast": 3.0}  # where a price names no other factors
_STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "on_demand", "scale"})  # billed at the price itself
_BY_PROJECT = ("priority", "fast")  # tiers that a project's setting may give to requests that ask for none


class Price(NamedTuple):
    """Dollars per token, and the factors of cheaper and dearer ways to ask.

    Without a `cache_write`, tokens that are written into the cache cost 1.25 times the input. `tiers` are the factors
    by service tier. `batch` is the factor of the batch API, `regional` that of hosts that process data in one region.
    """

    input: float
    cached_input: float
    output: float
    cache_write: float | None = None
    tiers: Mapping[str, float] = {}
    long_context: LongContext | None = None
    batch: float = 1.0
    regional: float = 1.0

    def cost(self, usage: Usage, tier: str = "", regional: bool = False, prompt_size: int = 0) -> float:
        """Return the cost of a usage in dollars.

        `tier` is the service tier as served. `prompt_size` are the prompt tokens of each request if there are so many
        that they may change the price.
        """
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        write = self.input * _USUAL_CACHE_WRITE if self.cache_write is None else self.cache_write
        prompt = (usage.prompt_tokens - cached - written) * self.input + cached * self.cached_input + written * write
        answer = usage.completion_tokens * self.output
        if self.long_context is not None and prompt_size > self.long_context.above:
            prompt, answer = prompt * self.long_context.input, answer * self.long_context.output
        factor = 1.0 if tier in _STANDARD_TIERS else self.tier_factor(tier)
        return (prompt + answer) * (factor * self.regional if regional else factor)

    def max_cost(self, prompt_tokens: float, max_tokens: float) -> float:
        """Return the maximum cost of a request in dollars, without what only `at_worst` includes."""
        prompt, answer = prompt_tokens * self.input, max_tokens * self.output
        if self.long_context is not None and prompt_tokens > self.long_context.above:
            return prompt * max(1.0, self.long_context.input) + answer * max(1.0, self.long_context.output)
        return prompt + answer

    def tier_factor(self, tier: str) -> float:
        """Return the factor of a service tier; for an unknown one the largest of the known ones."""
        if tier in _STANDARD_TIERS:
            return 1.0
        if tier == BATCH_TIER:
            return self.batch
        factor = self.tiers.get(tier, _USUAL_TIERS.get(tier))
        return max(1.0, *(self.tiers or _USUAL_TIERS).values()) if factor is None else factor

    def knows_tier(self, tier: str) -> bool:
        """Return whether the factor of a service tier is known."""
        return tier in _STANDARD_TIERS or tier in self.tiers or tier in _USUAL_TIERS or tier == BATCH_TIER

    def at_worst(self, requested_tier: str | None, regional: bool) -> Price:
        """Return the price that requests have in the worst case, whose `max_cost` none of them exceeds.

        All of the prompt may be written into the cache if that has a price. A server that is asked for no tier, or for
        "auto", may use one that the project's setting names (https://developers.openai.com/api/docs/guides/
        priority-processing, looked up on 2026-11-30); one that is asked for a tier may use the standard one instead.
        """
        if requested_tier in (None, "auto"):
            factor = max(1.0, *(self.tiers.get(tier, 1.0) for tier in _BY_PROJECT))
        elif requested_tier == BATCH_TIER:
            factor = self.batch
        else:
            factor = max(1.0, self.tier_factor(str(requested_tier)))
        factor *= max(1.0, self.regional) if regional else 1.0
        dearest = max(self.input, self.cached_input, self.cache_write or 0.0) * factor
        return Price(dearest, dearest, self.output * factor, dearest, long_context=self.long_context)

    def with_cache_writes(self) -> Price:
        """Return the price with one for tokens that are written into the cache, which is 1.25 times the input."""
        return self._replace(cache_write=self.input * _USUAL_CACHE_WRITE) if self.cache_write is None else self


FREE = Price(0.0, 0.0, 0.0)


class Prices:
    """Prices by model: `own` ones from the user's config, and `known` ones for all other models.

    A dated version ("gpt-4o-mini-2024-07-18") has the price of the undated one unless it has its own, and gateways
    write "openai/gpt-4o-mini".
    """

    def __init__(self, known: Mapping[str, Price], own: Mapping[str, Price] | None = None) -> None:
        self._known = known
        self._own = own or {}

    def find(self, model: str) -> Price | None:
        """Return the price of a model, or None if it is unknown."""
        if is_free(model):
            return FREE
        return self.find_own(model) or _lookup(self._known, model)

    def find_for(self, model: str, configured_model: str) -> Price | None:
        """Return the price of answers of a model, by the server's name for it and its name in the settings, or None.

        Made-up answers are free unless the user gives a price to the model that they stand for, as in a rehearsal.
        """
        own = self.find_own(configured_model) if is_free(model) else None
        return own or self.find(model) or self.find(configured_model)

    def find_own(self, model: str) -> Price | None:
        """Return the price that the user gives to a model, or None."""
        return _lookup(self._own, model)

    def cost(self, bills: Iterable[BilledUsage]) -> float | None:
        """Return the total cost of what is billed in dollars, or None if a price is unknown.

        The price of the configured name applies if the server's name has none.
        """
        total = 0.0
        for bill in bills:
            price = self.find_for(bill.model, bill.configured_model)
            if price is None:
                return None
            total += price.cost(bill.usage, bill.service_tier, bill.regional, bill.prompt_size)
        return round(total, 6)


def _lookup(prices: Mapping[str, Price], model: str) -> Price | None:
    if model in prices:
        return prices[model]
    bare = model.rpartition("/")[2]
    names = (undated(model), bare, undated(bare))
    return next((prices[name] for name in names if name in prices), None)


def price_date() -> str:
    """Return the day of the shipped prices, such as "2026-11-30"."""
    return table_date()


def load_prices(config_prices: Mapping[str, PricePerMillion]) -> Prices:
    """Return the shipped prices, overridden by those of the config.

    What a price of the config leaves out has the same ratio to it as in the shipped table, if the model is there.
    """
    shipped = shipped_models().prices()
    own = {
        name: _own_price(price, shipped.get(name) or shipped.get(undated(name)))
        for name, price in config_prices.items()
    }
    return Prices({name: _per_token(price) for name, price in shipped.items()}, own)


def _own_price(price: PricePerMillion, shipped: PricePerMillion | None) -> Price:
    if shipped is None:
        return _per_token(price)
    given = price.model_dump(exclude_unset=True)
    factors = shipped.model_dump(include={"batch", "tiers", "long_context", "regional"}, exclude_unset=True)
    merged = PricePerMillion.model_validate({**factors, **given})
    if merged.cache_write is None and shipped.cache_write is not None and shipped.input:
        merged = merged.model_copy(update={"cache_write": merged.input * shipped.cache_write / shipped.input})
    return _per_token(merged)


def _per_token(price: PricePerMillion) -> Price:
    cached = price.input if price.cached_input is None else price.cached_input
    return Price(
        price.input / _MILLION,
        cached / _MILLION,
        price.output / _MILLION,
        None if price.cache_write is None else price.cache_write / _MILLION,
        price.tiers,
        price.long_context,
        1.0 if price.batch is None else price.batch,
        price.regional,
    )
