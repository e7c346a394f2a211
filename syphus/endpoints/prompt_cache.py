"""Prompt caches: the mark at the end of the shared prefix, the fields that go with it, and what a cache will save.

Every request of a stage begins with the same messages. Servers keep the state of such a prefix and charge less for
reading it. Models differ in how they find it: older ones find the beginning of a prompt by themselves and write it for
free, newer ones read and write only what ends at a mark, and charge for writing (see `CacheKind`).

Sources, looked up on 2026-11-30: developers.openai.com/api/docs/guides/prompt-caching, and the types of the official
SDK 3.57 (`completion_create_params.PromptCacheOptions`, `chat_completion_content_part_text_param`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

USUAL_RATE = 1_000.0  #: requests per minute that are assumed if no limit is known


class CacheKind(StrEnum):
    """How a model finds a prefix in its cache."""

    PREFIX = "prefix"  #: by itself, as much as is the same, in steps; writing is free
    MARKED = "marked"  #: only up to a mark; writing costs more than reading without a cache


@dataclass(frozen=True, slots=True)
class CacheRules:
    """The prompt cache of a model."""

    kind: CacheKind
    minimum: int = 1024  #: tokens of the shortest prefix that is cached
    step: int = 128  #: tokens; a prefix that is found by itself is cached in such steps
    minutes: float = 30.0  #: after its last use, a prefix is kept at least as long
    requests_per_minute: float = 15.0  #: more than that for one prefix and key go to machines without it


class CacheUse(NamedTuple):
    """Input tokens: read from the cache, written to it, and neither of the two."""

    cached: int
    written: int
    uncached: int

    @property
    def share(self) -> float:
        """The share of all input tokens that is read from the cache."""
        return self.cached / (sum(self) or 1)


def expected_cache_use(
    prefix_tokens: float,
    rows: int,
    own_tokens: float,
    rules: CacheRules | None,
    requests_per_minute: float | None = None,
) -> CacheUse:
    """Return what `rows` requests will read from the prompt cache, write to it, and neither.

    Each request has `prefix_tokens` that all of them share, and `own_tokens` after these, on average. `rules` are those
    of the model, None if it has no cache or an unknown one. `requests_per_minute` is the rate that the run will reach,
    None if it is unknown: then USUAL_RATE.

    A marked prefix is written once for each key, and a new key is used for the requests above the rate of one key. A
    prefix that is found by itself has no key: the requests above that rate miss the cache.
    """
    total = rows * (prefix_tokens + own_tokens)
    if rules is None or rows < 1 or prefix_tokens < rules.minimum:
        return CacheUse(0, 0, round(total))
    rate = requests_per_minute or USUAL_RATE
    in_a_minute = min(float(rows), rate)
    if rules.kind is CacheKind.MARKED:
        keys = min(rows, math.ceil(in_a_minute / rules.requests_per_minute))
        cached, written = (rows - keys) * prefix_tokens, keys * prefix_tokens
    else:
        found = rows - 1 if in_a_minute <= rules.requests_per_minute else rules.requests_per_minute * rows / in_a_minute
        cached, written = max(0.0, min(rows - 1, found)) * (prefix_tokens // rules.step * rules.step), 0.0
    return CacheUse(round(cached), round(written), round(total - cached - written))
