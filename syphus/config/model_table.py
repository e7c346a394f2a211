"""What is known of models: parameters, efforts, limits, images, caches, prices and the end of their service.

The facts stand in `models.yaml`, each with its source; a config adds to them or corrects them under `models:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from syphus.config.values import StrictModel
from syphus.io.yaml_files import read_yaml
from syphus.text import did_you_mean

#: Reasoning efforts from the least to the most.
EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Verbosity = Literal["low", "medium", "high"]

LONG_MINUTES = 720  #: the longer of the lifetimes that a mark for the prompt cache can ask for
_LONG_WRITE = 2.5  # of the price of input: $5 instead of $2.50 for gpt-6.2-sol (its page, looked up on 2026-12-01)

_FILE = Path(__file__).with_name("models.yaml")
_DATED = re.compile(r"-20\d\d-\d\d-\d\d$")
_MERGED = ("price", "cache")  # fields whose own fields are replaced one by one


class ModelTableError(ValueError):
    """A table of models that can't be used: `place` is as in "gpt-x.price", `problem` says what is wrong there."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place} {problem}")
        self.place = place
        self.problem = problem


def _as_date(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("should be a date such as 2027-01-14") from None


Efforts = Annotated[tuple[Effort, ...], Field(strict=False)]
Day = Annotated[date, BeforeValidator(_as_date)]


_MESSAGES = {  # by pydantic's type of error
    "extra_forbidden": "is not a setting",
    "missing": "is missing",
    "model_type": "should be a mapping of settings",
    "tuple_type": "should be a list",
    "too_short": "should have at least one entry",
}


def first_problem(error: ValidationError, kinds: Sequence[type[BaseModel]] = ()) -> tuple[str, str]:
    """Return the place of the first problem, such as "endpoints.0.base_url", and what is wrong there, without a value.

    The value could be a secret. A setting that does not exist may be one of `kinds` with a mistake in it.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ModelTableError):
        return ".".join([*map(str, first["loc"]), inner.place]), inner.problem
    message = _MESSAGES.get(first["type"]) or first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if first["type"] == "extra_forbidden":
        message += did_you_mean(str(first["loc"][-1]), [name for kind in kinds for name in kind.model_fields])
    return ".".join(str(part) for part in first["loc"] if part != "[key]"), message


class LongContext(StrictModel):
    """Factors of the whole request's price if it has more than `above` tokens of input."""

    above: int = Field(gt=0)
    input: float = Field(gt=0)  #: of all input: cached, written to the cache, or neither
    output: float = Field(gt=0)


class PricePerMillion(StrictModel):
    """Dollars per million tokens, and the factors of cheaper and dearer ways to ask.

    Without prices of their own, cached tokens cost as much as other input, and tokens that are written to the cache
    cost 1.25 times as much.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)
    batch: float | None = Field(default=None, gt=0)  #: factor of the batch API
    tiers: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)  #: factor by `service_tier`
    long_context: LongContext | None = None
    regional: float = Field(default=1.0, gt=0)  #: factor of regional hosts; see `is_regional`


class PromptCache(StrictModel):
    """How a server finds the beginning of a prompt again."""

    kind: Literal["prefix", "marked"]
    minimum: int = Field(gt=0)  #: tokens
    step: int = Field(default=1, gt=0)  #: tokens; for `prefix`
    marks: int = Field(default=0, ge=0)  #: maximum marks in a request; for `marked`
    minutes: int | None = Field(default=None, gt=0)  #: lifetime; for `marked`, which takes 30 and LONG_MINUTES
    requests_per_minute: int | None = Field(default=None, gt=0)  #: for one key; more of them miss the cache


class Tiles(StrictModel):
    """Tokens of an image, and of each of its tiles."""

    base: int = Field(ge=0)
    each: int = Field(ge=0)


class Patches(StrictModel):
    """Tokens per patch of an image, and the maximum of patches by detail; 0 is no maximum."""

    each: float = Field(gt=0)
    most: int = Field(ge=0)
    high: int | None = Field(default=None, ge=0)  #: for the details "high" and "low", if it is another maximum
    original: int | None = Field(default=None, ge=0)  #: for the detail "original"; None if the model has no such detail


class ImageCounting(StrictModel):
    """How a model counts the tokens of an image: by tiles or by patches."""

    tiles: Tiles | None = None
    patches: Patches | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.tiles is None) == (self.patches is None):
            raise ValueError("should have tiles or patches")
        return self

    @property
    def original(self) -> bool:
        """Whether the model knows the detail "original"."""
        return self.patches is not None and self.patches.original is not None

    @property
    def rule(self) -> Tiles | Patches:
        """The one that is given."""
        rule = self.patches or self.tiles
        assert rule is not None, "validated"
        return rule


class ModelFamily(StrictModel):
    """What is known of a model and its dated versions. None and empty fields are not known."""

    name: str
    source: str = ""
    context: int | None = Field(default=None, gt=0)  #: tokens of input and output together
    max_output: int | None = Field(default=None, gt=0)  #: tokens of an answer, with its reasoning
    efforts: Efforts = ()  #: reasoning efforts that it takes
    default_effort: Effort | None = None  #: the server's own
    only_with_effort: dict[str, Efforts] = Field(default_factory=dict)  #: by parameter; () is never
    verbosity: tuple[Verbosity, ...] = Field(default=(), strict=False)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    images: ImageCounting | None = None
    cache: PromptCache | None = None
    price: PricePerMillion | None = None
    shutdown: Day | None = None  #: the first day without it
    azure_shutdown: Day | None = None
    successor: str = ""

    @property
    def reasons(self) -> bool:
        """Whether the model can reason before it answers."""
        return bool(self.efforts)


#: As in a config file under `models:`, by name: fields of `ModelFamily`, and `like`.
ModelFacts = Mapping[str, Mapping[str, JsonValue]]


class _File(StrictModel):
    as_of: str
    regional_hosts: tuple[str, ...] = Field(strict=False)
    image_rules: dict[str, ImageCounting]
    models: dict[str, dict[str, JsonValue]]


class ModelTable:
    """The shipped facts about models, corrected by those of a config."""

    def __init__(self, corrections: ModelFacts | None = None) -> None:
        """Raise `ValueError` with one line if a correction has an unknown field, a wrong value or an unknown `like`."""
        self._facts: dict[str, Mapping[str, JsonValue]] = dict(_shipped().models)
        for name, facts in (corrections or {}).items():
            known = self._known(name)
            self._facts[name] = _merged({} if known is None else self._facts[known], facts)
        self._families: dict[str, ModelFamily] = {}
        self._corrections = dict(corrections or {})
        self._corrected = tuple(self._corrections)
        for name in self._corrected:
            self._family(name)

    def __iter__(self) -> Iterator[str]:
        """Return the names of the table."""
        return iter(self._facts)

    def find(self, name: str) -> ModelFamily | None:
        """Return what is known of a model by the name that a request or a reply has, or None.

        Dated versions that have no entry are those of the undated name, and gateways write openai/gpt-6-luna. A
        fine-tuned model is like its base, but has another price.
        """
        known = self._known(name)
        if known is None:
            base = name.rpartition("/")[2].split(":")
            family = self.find(base[1]) if base[0] == "ft" and len(base) > 1 else None
            return family and family.model_copy(update={"price": None})
        return self._family(known)

    def _known(self, name: str) -> str | None:
        """Return the entry of a model, whose name may have a date and the prefix of a gateway."""
        bare = name.rpartition("/")[2]
        return next((each for each in (name, undated(name), bare, undated(bare)) if each in self._facts), None)

    def image_counting(self, name: str) -> ImageCounting:
        """Return how a model counts images; for an unknown model, by the beginning of its name."""
        family = self.find(name)
        if family is not None and family.images is not None:
            return family.images
        like = self._facts[family.name].get("like") if family is not None else None
        if isinstance(like, str) and family is not None and family.name not in _shipped().models:
            return self.image_counting(like)
        rules, bare = _shipped().image_rules, name.rpartition("/")[2].lower()
        return rules[max((start for start in rules if bare.startswith(start)), key=len)]

    def prices(self) -> dict[str, PricePerMillion]:
        """Return the price of each model that has one."""
        families = map(self._family, self._facts)
        return {family.name: family.price for family in families if family.price is not None}

    def corrected_prices(self, given: Mapping[str, PricePerMillion]) -> dict[str, PricePerMillion]:
        """Return the price of each model that the corrections name and that has one, and those that are `given`.

        If a prompt is kept in the cache for 12 hours, writing it costs more, unless it has a price of its own.
        """
        prices = {name: price for name in self._corrected if (price := self._family(name).price) is not None}
        prices |= given
        for name, price in prices.items():
            cache = family.cache if (family := self.find(name)) is not None else None
            if cache is not None and cache.minutes == LONG_MINUTES and not self._has_own_write(name, given):
                prices[name] = price.model_copy(update={"cache_write": price.input * _LONG_WRITE})
        return prices

    def _has_own_write(self, name: str, given: Mapping[str, PricePerMillion]) -> bool:
        price = self._corrections.get(name, {}).get("price")
        is_corrected = isinstance(price, dict) and price.get("cache_write") is not None
        return is_corrected or (name in given and given[name].cache_write is not None)

    def _family(self, name: str) -> ModelFamily:
        if name not in self._families:
            try:
                self._families[name] = ModelFamily.model_validate({**self._resolved(name), "name": name})
            except ValidationError as error:
                place, problem = first_problem(error)
                raise ModelTableError(f"{name}.{place}", problem) from None
        return self._families[name]

    def _resolved(self, name: str, seen: tuple[str, ...] = ()) -> dict[str, JsonValue]:
        facts = dict(self._facts[name])
        other = facts.pop("like", None)
        if other is None:
            return facts
        if not isinstance(other, str) or other not in self._facts:
            raise ModelTableError(f"{name}.like", f"names {other}, which is not in the table of models")
        if other in (name, *seen):
            raise ModelTableError(f"{name}.like", "names a model that is like it")
        return _merged(self._resolved(other, (*seen, name)), facts)


def _merged(facts: Mapping[str, JsonValue], changes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return facts with changes; prices and cache rules are changed field by field."""
    merged = {**facts, **changes}
    for field in _MERGED:
        before, now = facts.get(field), changes.get(field)
        if isinstance(before, dict) and isinstance(now, dict):
            kind = field == "cache" and now.get("kind", before.get("kind")) != before.get("kind")
            merged[field] = now if kind else {**before, **now}
    return merged


@cache
def _shipped() -> _File:
    return TypeAdapter(_File).validate_python(read_yaml(_FILE))


@cache
def shipped_models() -> ModelTable:
    """Return the shipped table."""
    return ModelTable()


def find_model(name: str, corrections: ModelFacts | None = None) -> ModelFamily | None:
    """Return what is known of a model, or None. `corrections` are those of a config. Raises what `ModelTable` does."""
    return (ModelTable(corrections) if corrections else shipped_models()).find(name)


def table_date() -> str:
    """Return the day on which the shipped facts were looked up, such as "2026-11-30"."""
    return _shipped().as_of


def is_regional(host: str) -> bool:
    """Return whether requests to a host are processed in one region, which costs the factor `regional`."""
    return host.partition(":")[0].endswith(_shipped().regional_hosts)


def undated(name: str) -> str:
    """Return the name of a model without the date of its version."""
    return _DATED.sub("", name)
