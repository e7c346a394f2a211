"""What a prompt cache will save, and what is sent so that it does."""

from __future__ import annotations

import pytest

from syphus.config.model_table import PromptCache
from syphus.endpoints.prompt_cache import CacheUse, expected_cache_use

MARKED = PromptCache(kind="marked", minimum=1024, minutes=30, requests_per_minute=15)
PREFIX = PromptCache(kind="prefix", minimum=1024, step=128, requests_per_minute=15)


@pytest.mark.parametrize(
    ("rules", "rate", "expected"),
    [
        (MARKED, 60, CacheUse(296 * 2000, 4 * 2000, 300 * 200)),  # a key for 15 requests a minute
        (MARKED, 3000, CacheUse(280 * 2000, 20 * 2000, 300 * 200)),  # but never a key without its 15 requests
        (MARKED, 10, CacheUse(299 * 2000, 2000, 300 * 200)),
        (PREFIX, 10, CacheUse(299 * 1920, 0, 300 * 200 + 299 * 80 + 2000)),  # in steps of 128
        (PREFIX, 60, CacheUse(75 * 1920, 0, 300 * 200 + 75 * 80 + 225 * 2000)),  # 15 in each of 5 minutes
        (None, 60, CacheUse(0, 0, 300 * 2200)),
    ],
)
def test_what_300_rows_read_and_write(rules: PromptCache | None, rate: float, expected: CacheUse) -> None:
    assert expected_cache_use(2000, 300, 200, rules, rate) == expected


@pytest.mark.parametrize("rules", [MARKED, PREFIX])
def test_a_prefix_under_the_minimum_is_neither_read_nor_written(rules: PromptCache) -> None:
    assert expected_cache_use(1023, 300, 200, rules, 60) == CacheUse(0, 0, 300 * 1223)
    assert expected_cache_use(2000, 0, 200, rules, 60) == CacheUse(0, 0, 0)
    assert expected_cache_use(2000, 1, 200, rules, 60).cached == 0
