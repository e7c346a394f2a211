"""Which key a request gets for the prompt cache: few keys, none above its rate, the first request of each alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from simulated_session import FakeServer, Prompt, simulate

from syphus.config.model_table import PromptCache
from syphus.endpoints.connections import Reply
from syphus.endpoints.prompt_cache import expected_cache_use
from syphus.exchange import SharedPrefix, Usage
from syphus.pipeline.prompt_caches import FIRST_PATIENCE, JUDGED_AFTER, WINDOW, KeyPool, PromptCaches
from syphus.simulator.prompt_cache import CacheSettings, SimulatedCache
from syphus.types import Message

RULES = PromptCache(kind="marked", minimum=1024, minutes=30, requests_per_minute=15)
AUTOMATIC = PromptCache(kind="prefix", minimum=1024, step=128, requests_per_minute=15)
PREFIX = SharedPrefix("0123", 2000, mark=3)
HIT, WRITE, MISS = Usage(2300, 100, 2000), Usage(2300, 100, 0, cache_write_tokens=2000), Usage(2300, 100)


def warm_pool(now: float = 0.0, keys: int = 1) -> KeyPool:
    pool = KeyPool(15, 1800)
    for number in range(keys):
        assert pool.take(15 * keys, math.inf, now) == number
    for number in range(keys):
        pool.end(number, answered=True, now=now)
    return pool


def test_the_first_request_goes_alone_and_the_others_once_it_is_answered() -> None:
    pool = KeyPool(15, 1800)
    assert pool.wait(10, math.inf, 0.0) == 0
    assert pool.take(10, math.inf, 0.0) == 0
    assert pool.wait(10, math.inf, 0.0) == FIRST_PATIENCE
    pool.end(0, answered=True, now=2.0)
    assert [pool.take(1, math.inf, 2.0) for _ in range(14)] == [0] * 14
    assert pool.size == 1


def test_many_that_wait_open_as_many_keys_as_they_need_at_once() -> None:
    pool = KeyPool(15, 1800)
    waiting, opened = 64, 0
    while pool.wait(waiting, math.inf, 0.0) == 0:
        assert pool.take(waiting, math.inf, 0.0) == opened
        waiting, opened = waiting - 1, opened + 1
    assert (opened, waiting) == (5, 59)  # five bring room for 70


def test_a_key_is_used_for_no_more_requests_a_minute_than_its_machine_takes() -> None:
    pool = warm_pool()
    assert [pool.take(1, 1, 0.0) for _ in range(14)] == [0] * 14
    assert pool.wait(1, 1, 0.0) == WINDOW
    assert pool.wait(1, math.inf, 0.0) == 0  # for a new key
    assert pool.wait(1, 1, WINDOW) == 0
    assert pool.take(1, 1, WINDOW) == 0


def test_the_next_key_is_opened_before_it_is_needed() -> None:
    pool = warm_pool()
    assert [pool.take(10, math.inf, 1.0) for _ in range(6)] == [0] * 5 + [1]
    assert pool.wait(10, math.inf, 1.0) == 0  # the first one still has places
    assert pool.take(10, math.inf, 1.0) == 0


def test_keys_fill_in_order() -> None:
    pool = warm_pool(keys=3)
    assert [pool.take(1, math.inf, 0.0) for _ in range(42)] == [0] * 14 + [1] * 14 + [2] * 14


def test_a_key_that_was_not_used_for_its_lifetime_begins_with_one_request_again() -> None:
    pool = warm_pool()
    assert pool.take(1, math.inf, 1790.0) == 0
    assert pool.is_warm(0)
    assert pool.wait(1, math.inf, 3591.0) == 0
    assert pool.take(5, math.inf, 3591.0) == 0
    assert not pool.is_warm(0)
    assert pool.wait(5, math.inf, 3591.5) > 0
    pool.end(0, answered=True, now=3592.0)
    assert [pool.take(1, math.inf, 3593.0) for _ in range(14)] == [0] * 14
    assert pool.size == 1


def test_a_first_request_that_fails_or_hangs_holds_nobody_up_for_long() -> None:
    pool = KeyPool(15, 1800)
    pool.take(10, math.inf, 0.0)
    pool.end(0, answered=False, now=1.0)
    assert pool.take(10, math.inf, 1.0) == 0
    assert pool.wait(10, math.inf, 2.0) == FIRST_PATIENCE - 1
    assert pool.wait(10, math.inf, 1.0 + FIRST_PATIENCE) == 0
    assert pool.take(10, math.inf, 1.0 + FIRST_PATIENCE) == 1
    pool.end(1, answered=True, now=1.2 + FIRST_PATIENCE)
    assert pool.take(1, math.inf, 32.0) == 1


def test_a_rate_limit_bounds_the_number_of_keys() -> None:
    caches = PromptCaches(RULES)
    taken = {caches.take(PREFIX, 500, 60.0, 0.0) for _ in range(5)}
    assert taken == {0, 1, 2, 3, 4}
    assert caches.wait(PREFIX, 500, 60.0, 0.0) > 0


def test_without_a_mark_or_rules_nobody_waits_and_no_key_is_used() -> None:
    for caches, prefix in (
        (PromptCaches(None), PREFIX),
        (PromptCaches(RULES), SharedPrefix()),
        (PromptCaches(RULES), None),
    ):
        for _ in range(3):
            assert caches.wait(prefix, 9, math.inf, 0.0) == 0
            assert caches.take(prefix, 9, math.inf, 0.0) == -1
            caches.end(prefix, -1, MISS, 1.0)
    assert PromptCaches(AUTOMATIC).body(b"{}", SharedPrefix("0123", 2000), -1) == b"{}"


def said(rules: PromptCache, prefix: SharedPrefix, usages: list[Usage], pause: float = 60.0) -> list[str]:
    """What is said about requests one after the other, with so many seconds between them."""
    lines: list[str] = []
    caches = PromptCaches(rules, lines.append)
    for number, usage in enumerate(usages):
        now = pause * number
        assert caches.wait(prefix, 1, math.inf, now) == 0
        key = caches.take(prefix, 1, math.inf, now)
        caches.end(prefix, key, usage, now + 1)
    return lines


@pytest.mark.parametrize("rules", [RULES, AUTOMATIC])
def test_hits_that_come_are_nothing_to_speak_of(rules: PromptCache) -> None:
    prefix = PREFIX if rules is RULES else SharedPrefix("0123", 2000)
    assert not said(rules, prefix, [WRITE] + [HIT] * 100)
    assert not said(rules, prefix, [WRITE] + [HIT, MISS, HIT] * 40)


@pytest.mark.parametrize(
    ("rules", "prefix", "usages", "cause"),
    [
        (RULES, PREFIX, [MISS] * 60, "ignores the marks"),
        (RULES, PREFIX, [WRITE] * 60, "changes the messages"),
        (RULES, SharedPrefix("0123", 1100, mark=3), [Usage(1400, 9)] * 60, "shorter than the minimum of 1,024"),
        (AUTOMATIC, SharedPrefix("0123", 2000), [MISS] * 60, "several machines"),
    ],
)
def test_hits_that_stay_away_are_said_once_with_the_likely_cause(
    rules: PromptCache, prefix: SharedPrefix, usages: list[Usage], cause: str
) -> None:
    (line,) = said(rules, prefix, usages)
    assert cause in line
    assert line.startswith(f"Of {JUDGED_AFTER} requests")


def test_a_server_that_forgets_too_soon_is_named_as_the_cause() -> None:
    (line,) = said(RULES, PREFIX, [WRITE] * 60, pause=900.0)
    assert "keeps them for less than 30 minutes" in line


def test_a_prefix_that_may_be_too_short_for_an_older_model_is_no_surprise() -> None:
    assert not said(AUTOMATIC, SharedPrefix("0123", 1100), [MISS] * 60)


def test_nobody_waits_for_a_cache_that_does_not_exist() -> None:
    caches = PromptCaches(RULES)
    for number in range(JUDGED_AFTER + 1):
        caches.end(PREFIX, caches.take(PREFIX, 1, math.inf, 60.0 * number), MISS, 60.0 * number + 1)
    assert [caches.wait(PREFIX, 500, math.inf, 9e9) for _ in range(3)] == [0, 0, 0]
    assert caches.take(PREFIX, 500, math.inf, 9e9) == 0


EXAMPLES = (
    Message(role="system", content="Write pairs about this. " * 332),
    Message(role="user", content="a cat"),
    Message(role="assistant", content="Question: What is there?\nAnswer: A cat."),
)


def shares(folder: Path, rules: PromptCache | None, rows: int, threads: int, latency: float) -> tuple[float, float]:
    """The shares of the input tokens that a session reads and writes."""
    server = FakeServer(latency=latency, cache=SimulatedCache(CacheSettings()))
    ended = simulate(folder, [server], rows, threads, prompt=Prompt(EXAMPLES, "gpt-6-luna", rules))
    assert ended.states == {"ok": rows}
    return server.read / server.tokens, server.written / server.tokens


def test_at_300_requests_a_minute_twenty_keys_read_almost_everything(tmp_path: Path) -> None:
    """16 threads, 3.2 s, and so 300 a minute for a minute; prefix of 2,015 tokens, own part of 16."""
    one_key = RULES.model_copy(update={"requests_per_minute": None})
    read, written = shares(tmp_path / "keys", RULES, 300, 16, 3.2)
    expected = expected_cache_use(2015, 300, 16, RULES, 300)
    assert read == pytest.approx(expected.share, abs=0.02)
    assert read > 0.9
    assert written < 0.075
    assert shares(tmp_path / "one key", one_key, 120, 16, 3.2)[0] < 0.2
    assert shares(tmp_path / "no marks", None, 40, 16, 3.2) == (0.0, 1.0)


def test_a_short_run_of_many_threads_writes_once_for_fifteen_requests(tmp_path: Path) -> None:
    read, written = shares(tmp_path, RULES, 150, 64, 2.0)
    assert read == pytest.approx(expected_cache_use(2015, 150, 16, RULES).share, abs=0.02)
    assert written < 0.075


def test_a_pause_longer_than_the_lifetime_costs_one_write_and_not_one_for_each_thread(tmp_path: Path) -> None:
    slow_down = Reply(429, {"retry-after": "2400"}, b'{"error": {"message": "Slow down."}}')
    server = FakeServer(cache=SimulatedCache(CacheSettings()), script=[None] * 20 + [slow_down] * 8)
    ended = simulate(tmp_path, [server], 40, prompt=Prompt(EXAMPLES, "gpt-6-luna", RULES), max_wait=3600.0)
    assert ended.seconds > 2400
    assert server.written / server.tokens == pytest.approx(4 / 40, abs=0.01)  # two keys, before and after


def test_nobody_waits_for_long_where_the_server_reports_no_usage() -> None:
    unreported = Usage(2300, 100, estimated=2400)
    assert not said(RULES, PREFIX, [unreported] * 60)
    caches = PromptCaches(RULES)
    for number in range(JUDGED_AFTER):
        caches.end(PREFIX, caches.take(PREFIX, 1, math.inf, 60.0 * number), unreported, 60.0 * number + 1)
    assert [caches.wait(PREFIX, 500, math.inf, 9e9), caches.take(PREFIX, 500, math.inf, 9e9)] == [0, 0]
