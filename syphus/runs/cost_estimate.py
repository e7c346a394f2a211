"""Reckons what rows cost: the tokens of `token_forecast`, with images, prompt caches, prices and limits.

`quote`, `compare` and the lines before a run use this one estimate.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from syphus.config.model_table import ModelFamily, ModelTable
from syphus.config.pricing import Price, load_prices
from syphus.config.sampling import default_effort
from syphus.config.settings import Config
from syphus.endpoints.image_tokens import ImageRules
from syphus.endpoints.prompt_cache import cache_rules, expected_cache_use
from syphus.errors import ConfigError
from syphus.exchange import BYTES_PER_TOKEN, Usage
from syphus.ledger.sessions import get_meta
from syphus.ledger.store import Store
from syphus.pipeline.prompt_caches import cache_keys_name, count_warm_keys
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.prepare import RunContext
from syphus.runs.run_settings import requested_tier
from syphus.runs.token_forecast import NO_ERROR, Range, Rows, RowSize, TokenModel, Tokens

_CLASSES = 64  # of rows by size, which are priced one by one
_STEP = 100  # tokens, for the price of one more token
_OTHER_MODEL = Tokens(0.1, 0.25)  # relative standard deviations: another tokenizer, another manner
_REASONING = 0.6  # the same for the answers of a model that reasons, if nothing shows how much
_MESSAGE_BYTES = 30  # of a message besides its text, in JSON


class AskedModel(NamedTuple):
    """A model that a quote is for: its price, how it counts images, and what else is known about it."""

    name: str
    price: Price | None
    rules: ImageRules
    family: ModelFamily | None
    tier: str = ""  #: service tier that is asked for
    is_regional: bool = False
    reasons: bool = False  #: whether it reasons before it answers, with the effort of the run

    def cost(self, tokens: Tokens, requests: float, shares: tuple[float, float], is_batch: bool = False) -> float:
        """Return the dollars for the tokens of `requests`; 0 without a price.

        Of the prompt tokens, `shares` are read from the prompt cache and written to it.
        """
        if self.price is None:
            return 0.0
        cached, written = (round(tokens.prompt * share) for share in shares)
        usage = Usage(round(tokens.prompt), round(tokens.answer), cached, cache_write_tokens=written)
        tier = "" if is_batch else self.tier
        cost = self.price.cost(usage, tier, self.is_regional, round(tokens.prompt / requests))
        return cost * self.price.batch if is_batch else cost


def asked_models(context: RunContext, others: Sequence[str] = ()) -> tuple[AskedModel, ...]:
    """Return the model of the run and others. Raises `ConfigError` for one of the others without a price."""
    config, rules = context.config, context.image_rules
    prices, table = load_prices(config.prices), ModelTable(config.models)
    tier = requested_tier(config) or ""
    is_regional = any(endpoint.is_regional for endpoint in config.endpoints)
    family = table.find(config.model)
    reasons = family is not None and _reasons(family, config.effort)
    found = [AskedModel(config.model, context.price, rules, family, tier, is_regional, reasons)]
    for name in dict.fromkeys(others):
        price = prices.find(name)
        if price is None:
            raise ConfigError(
                f"--models {name}: no price is known for it. Check the name, or give a price under `prices:` in a "
                "--config file."
            )
        counting = table.image_counting(name)
        other_rules = replace(rules, model=name, tokens_per_image=None, counting=counting)
        other = table.find(name)
        reasons = other is not None and _reasons(other, config.reasoning_effort or default_effort(other))
        found.append(AskedModel(name, price, other_rules, other, tier, is_regional, reasons))
    return tuple(found)


def _reasons(family: ModelFamily, effort: str | None) -> bool:
    return bool(family.efforts) and (effort or family.default_effort) != "none"


class QuoteLine(NamedTuple):
    """What the rest of a run takes in one way of asking. `dollars` is None if the price is unknown."""

    name: str
    model: str
    prompt_tokens: Range
    cached_share: float  #: of the prompt tokens, from the prompt cache
    answer_tokens: Range
    dollars: Range | None
    minutes: Range | None  #: None if nothing is known about the speed of the model

    def as_json(self) -> dict[str, object]:
        """Return the line as JSON values."""
        values = self._asdict()
        return {name: value._asdict() if isinstance(value, Range) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a run may ask: requests in flight, and limits per minute, None where none is known."""

    threads: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    @classmethod
    def of(cls, context: RunContext, stated: Mapping[str, float] | None = None) -> Speed:
        """Return the speed that the options and the config allow; the limits of several endpoints add up.

        `stated` are limits that the servers stated in an earlier session.
        """
        endpoints, known = context.config.endpoints, stated or {}
        requests = [endpoint.requests_per_minute for endpoint in endpoints]
        tokens = [endpoint.tokens_per_minute for endpoint in endpoints]
        return cls(
            context.options.num_threads,
            _lower(_sum_of_all(requests), known.get("requests")),
            _lower(_sum_of_all(tokens), known.get("tokens")),
        )


def _sum_of_all(limits: Sequence[float | None]) -> float | None:
    return sum(limit or 0.0 for limit in limits) if all(limits) else None


def _lower(one: float | None, other: float | None) -> float | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


@dataclass(frozen=True, slots=True)
class CostEstimator:
    """Prices the rest of a run in several ways. `compare` uses the same one.

    `template` is what every request begins with. A learnt `tokens` is of the first of the `models`.
    """

    tokens: TokenModel
    models: Sequence[AskedModel]
    template: PromptTemplate
    speed: Speed
    warm_keys: int = 0  #: of the prompt cache of the first model
    has_own_cache_fields: bool = False  #: what these bring is not known

    def line(
        self,
        name: str,
        sizes: Sequence[RowSize],
        count: float,
        number: int = 0,
        cached: bool = True,
        is_batch: bool = False,
    ) -> QuoteLine:
        """Return what `count` rows take of the model with this number; `sizes` are those of all or of some of them.

        With `cached`, the prompt cache of the model is used as far as it has one. A batch has no known time.
        """
        model, rows = self.models[number], self._rows(sizes, count, number)
        error = _OTHER_MODEL if number else NO_ERROR
        if model.reasons and (number or not self.tokens.is_learnt):
            error = error._replace(answer=_REASONING)
        total = self.tokens.total(rows)
        minutes = None
        if not is_batch and (not number or self.speed.requests_per_minute):
            minutes = self.tokens.minutes(
                rows, self.speed.threads, self.speed.requests_per_minute, self.speed.tokens_per_minute
            )
        share = self._cache_shares(model, rows, minutes, 0 if number else self.warm_keys) if cached else (0.0, 0.0)
        dollars = self._dollars(model, rows, share, error, is_batch)
        return QuoteLine(
            name,
            model.name,
            self.tokens.range_of(total.prompt, rows, Tokens(1, 0), error),
            share[0],
            self.tokens.range_of(total.answer, rows, Tokens(0, 1), error),
            dollars,
            minutes,
        )

    def _rows(self, sizes: Sequence[RowSize], count: float, number: int) -> Rows:
        """Return the rows; the images of the examples cost what they cost with this model."""
        if not number:
            return Rows(sizes, count)
        more = example_image_tokens(self.template, self.models[number].rules)
        more -= example_image_tokens(self.template, self.models[0].rules)
        return Rows([size._replace(image_tokens=size.image_tokens + more) for size in sizes], count)

    def _cache_shares(
        self, model: AskedModel, rows: Rows, minutes: Range | None, warm_keys: int
    ) -> tuple[float, float]:
        """Return which shares of the prompt tokens are read from the prompt cache and written to it."""
        requests, total = self.tokens.requests(rows), self.tokens.total(rows)
        if not rows.count or not total.prompt:
            return 0.0, 0.0
        images = example_image_tokens(self.template, model.rules)
        text = total.prompt / requests - rows.mean_image_tokens - images
        of_images = BYTES_PER_TOKEN * example_image_tokens(self.template, self.models[0].rules)
        share = min(1.0, template_bytes(self.template) / max(1.0, rows.mean_bytes - of_images))
        prefix = images + max(0.0, text) * share
        rules = model.family.cache if model.family is not None and not self.has_own_cache_fields else None
        rate = requests / minutes.middle if minutes is not None and minutes.middle else None
        use = expected_cache_use(prefix, round(requests), total.prompt / requests - prefix, rules, rate, warm_keys)
        return use.cached / (sum(use) or 1), use.written / (sum(use) or 1)

    def _dollars(
        self, model: AskedModel, rows: Rows, shares: tuple[float, float], error: Tokens, is_batch: bool
    ) -> Range | None:
        """Return the cost of the rows. Each size is priced by itself, as long prompts can have another price."""
        if model.price is None:
            return None
        if not rows.count:
            return Range(0.0, 0.0, 0.0)
        each = rows.count / len(rows.sizes)
        requests = self.tokens.requests(rows) / rows.count
        middle = sum(
            each * len(sizes) * model.cost(self.tokens.row_tokens(sizes[len(sizes) // 2]), requests, shares, is_batch)
            for sizes in _by_size(rows.sizes)
        )
        total = self.tokens.total(rows)
        mean = Tokens(total.prompt / rows.count, total.answer / rows.count)
        more_prompt, more_answer = (
            mean._replace(prompt=mean.prompt + _STEP),
            mean._replace(answer=mean.answer + _STEP),
        )
        base, *dearer = (model.cost(one, requests, shares, is_batch) for one in (mean, more_prompt, more_answer))
        weights = Tokens(*((cost - base) / _STEP for cost in dearer))
        return self.tokens.range_of(middle, rows, weights, error)


def _by_size(sizes: Sequence[RowSize]) -> Iterator[Sequence[RowSize]]:
    """Yield the sizes in ascending order, in classes of about equal numbers."""
    ordered, classes = sorted(sizes), min(_CLASSES, len(sizes))
    for number in range(classes):
        yield ordered[number * len(ordered) // classes : (number + 1) * len(ordered) // classes]


def warm_keys(store: Store, config: Config, prefix: str) -> int:
    """Return how many keys of the prompt cache a run finds that begins now, at all endpoints."""
    rules = cache_rules(config)
    names = [cache_keys_name(config, endpoint) for endpoint in config.endpoints]
    kept = [str(get_meta(store, name) or "{}") for name in names] if rules is not None else []
    return sum(count_warm_keys(text, prefix, rules, time.time()) for text in kept if rules is not None)


def template_bytes(template: PromptTemplate) -> int:
    """Return the bytes of a prompt template, with which every request begins."""
    texts = [template.system_message, *(message["content"] for message in template.in_context)]
    return sum(len(text.encode()) + _MESSAGE_BYTES for text in texts)


def example_image_tokens(template: PromptTemplate, rules: ImageRules) -> int:
    """Return the tokens of the images of the in-context examples."""
    shown = [image for message in template.in_context for image in message.get("images", ())]
    return sum(rules.tokens(*rules.size(image.width, image.height)) for image in shown)


def example_answer_tokens(template: PromptTemplate, items: int = 1) -> float | None:
    """Return the estimated tokens of an answer to `items`, by the in-context examples; None without any."""
    shown = [len(m["content"].encode()) for m in template.in_context if m["role"] == "assistant"]
    return items * sum(shown) / len(shown) / BYTES_PER_TOKEN if shown else None


def estimated_line(
    context: RunContext, requests: float, prompt_tokens: float, answer_tokens: float, margin: float = 0.0
) -> QuoteLine:
    """Return what requests of a known size take, with the same relative `margin` up and down for all of it."""
    price, speed = context.price, Speed.of(context)
    dollars = None if price is None else price.cost(Usage(round(prompt_tokens), round(answer_tokens)))
    limit = speed.requests_per_minute
    prompt, answer = _with_margin(prompt_tokens, margin), _with_margin(answer_tokens, margin)
    minutes = None if limit is None else _with_margin(requests / limit, margin)
    cost = None if dollars is None else _with_margin(dollars, margin)
    return QuoteLine("", context.config.model, prompt, 0.0, answer, cost, minutes)


def _with_margin(value: float, margin: float) -> Range:
    return Range(value, value * (1 - margin), value * (1 + margin))
