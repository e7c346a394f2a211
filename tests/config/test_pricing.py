"""What a usage costs, and that nothing costs 0 only because its price is not known."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from bill import answers
from genai_prices import calc_price
from harness import run_rows, server
from wire import completion, in_thread, reply, serving

from syphus.config.model_table import ModelTable, PricePerMillion, shipped_models
from syphus.config.pricing import load_prices, price_date
from syphus.exchange import Usage

MINI = PricePerMillion(input=0.15, cached_input=0.075, output=0.60)
OWN = {"mine": PricePerMillion(input=1.0, output=3.0), "mine-2026-01-31": PricePerMillion(input=9.0, output=9.0)}


@pytest.mark.parametrize(
    ("model", "input_price"),
    [
        ("gpt-4o-mini", 0.15),
        ("gpt-4o-mini-2024-07-18", 0.15),
        ("gpt-4o", 2.5),
        ("gpt-4o-2024-08-06", 2.5),
        ("mine", 1.0),
        ("mine-2025-12-24", 1.0),
        ("mine-2026-01-31", 9.0),
    ],
)
def test_a_dated_model_costs_what_the_undated_one_costs(model: str, input_price: float) -> None:
    price = load_prices(OWN).find(model)
    assert price is not None
    assert price.input == pytest.approx(input_price / 1e6)


@pytest.mark.parametrize(
    "model",
    ["", "gpt-4", "gpt-4o-mini-audio", "gpt-4o-mini-20b", "gpt-4o-mini-2024", "ft:gpt-4o-mini-2024-07-18:me", "GPT-4o"],
)
def test_a_model_that_only_looks_alike_has_no_price(model: str) -> None:
    assert load_prices(OWN).find(model) is None


def test_a_price_of_ones_own_goes_before_the_shipped_one() -> None:
    price = load_prices({"gpt-4o": PricePerMillion(input=7.0, output=8.0)}).find("gpt-4o-2024-08-06")
    assert price is not None
    assert (price.input, price.cached_input, price.output) == pytest.approx((7e-6, 7e-6, 8e-6))


def test_cached_tokens_cost_their_own_price_and_are_not_counted_twice() -> None:
    price = load_prices({"m": MINI}).find("m")
    assert price is not None
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000, reasoning_tokens=300_000)
    assert price.cost(usage) == pytest.approx(0.6 * 0.15 + 0.4 * 0.075 + 0.5 * 0.60)


def test_without_a_price_for_cached_tokens_they_cost_the_full_one() -> None:
    price = load_prices(OWN).find("mine")
    assert price is not None
    assert price.cost(Usage(prompt_tokens=1000, cached_tokens=1000)) == pytest.approx(0.001)


def test_the_worst_case_takes_no_cache_for_granted() -> None:
    price = load_prices({"m": MINI}).find("m")
    assert price is not None
    assert price.max_cost(1_000_000, 1_000_000) == pytest.approx(0.75)


def test_made_up_answers_are_free() -> None:
    price = load_prices({}).find("simulated-gpt-4o")
    assert price is not None
    assert price.cost(Usage(1000, 1000)) == 0.0


def test_the_shipped_list_is_dated_and_every_price_in_it_is_plausible() -> None:
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])-\d\d", price_date())
    for name in shipped_models().prices():
        price = load_prices({}).find(name)
        assert price is not None, name
        assert 0 < price.cached_input <= price.input < 1e-3, name
        assert price.output == 0 if "embedding" in name else price.input < price.output < 1e-3, name


# As a run tells it


@pytest.mark.parametrize(
    ("answering", "prices", "cost"),
    [
        ("gpt-4o-mini-2024-07-18", {}, 3 * (100 * 0.15 + 20 * 0.60) / 1e6),
        ("own-2026-01-01", {"own": {"input": 2, "output": 10}}, 3 * (100 * 2 + 20 * 10) / 1e6),
        ("nobody-knows", {}, None),
        ("", {}, None),
    ],
)
def test_a_run_costs_what_the_answering_model_costs_or_it_is_not_known(
    tmp_path: Path, answering: str, prices: dict[str, object], cost: float | None
) -> None:
    with in_thread(lambda: serving(lambda _: reply(completion(model=answering)))) as wire:
        ran = run_rows(tmp_path, f"{wire.url}/v1", 3, config={"prices": prices})
    assert ran.exit_code == 0
    assert ran.report.cost == (cost if cost is None else pytest.approx(cost))


def test_a_limit_on_the_cost_needs_a_price(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 3, config={"model": "nobody-knows"}, max_cost=1.0)
        assert (ran.exit_code, simulated.stats.requests) == (2, 0)
    assert "--max-cost needs the price of nobody-knows, which is not known" in str(ran.error)


# Everything that a price depends on


def known_models() -> list[str]:
    """The models whose price both Syphus and an independent package know."""
    found = []
    for name in shipped_models().prices():
        with contextlib.suppress(LookupError):
            calc_price(genai_prices.Usage(input_tokens=1), name, provider_id="openai")
            found.append(name)
    return found


def test_a_thousand_answers_cost_what_an_independent_package_says() -> None:
    choose, prices, models = random.Random(1), load_prices({}), known_models()
    assert len(models) > 20
    for _ in range(1000):
        name = choose.choice(models)
        price = prices.find(name)
        assert price is not None
        known = {"priority"} if name == "gpt-5.4" else {"priority", "flex"}  # that one's flex prices are rounded there
        tier = choose.choice(["default", *sorted(known & price.tiers.keys())])
        sizes = [90, 2000, 150_000, 272_000, 272_001, 600_000]
        if tier != "default" and price.cache_write is None:
            sizes = sizes[:4]  # a model before 5.6 serves long prompts in the standard tier alone
        tokens = choose.choice(sizes)
        cached = int(tokens * choose.choice([0.0, 0.4, 0.9]))
        written = int((tokens - cached) * choose.choice([0.0, 0.5, 1.0])) if price.cache_write else 0
        usage = Usage(tokens, choose.randint(0, 4000) if price.output else 0, cached, cache_write_tokens=written)
        given = {"input_tokens": tokens, "cache_read_tokens": cached, "output_tokens": usage.completion_tokens}
        if written:
            given["cache_write_tokens"] = written
        theirs = calc_price(
            genai_prices.Usage(**given), name, provider_id="openai", price_context={"service_tier": tier}
        )
        assert price.cost(usage, tier, prompt_size=tokens) == pytest.approx(float(theirs.total_price), rel=0.01), name


def test_a_thousand_answers_cost_what_the_published_prices_say() -> None:
    for cost, bill in answers(1000):
        assert cost == pytest.approx(bill, rel=1e-9)


def test_a_price_of_ones_own_keeps_the_ratios_of_the_shipped_one() -> None:
    own = PricePerMillion(input=1.0, cached_input=0.5, output=5.0)
    price = load_prices({"gpt-6-luna": own}).find("gpt-6-luna-2026-08-01")
    assert price is not None
    assert price.cost(Usage(1000, cache_write_tokens=1000)) == pytest.approx(1250e-6)
    assert price.cost(Usage(1000, 100), "priority", regional=True) == pytest.approx(2 * 1.1 * 1500e-6)
    long = price.cost(Usage(300_000, 100), prompt_size=300_000)
    assert long == pytest.approx(2 * 0.3 + 1.5 * 500e-6)
    other = load_prices({"gpt-6-luna": own.model_copy(update={"tiers": {"priority": 4.0}})}).find("gpt-6-luna")
    assert other is not None


def test_an_unknown_tier_costs_as_much_as_the_dearest_known_one() -> None:
    price = load_prices({}).find("gpt-6-luna")
    assert price is not None
    usage = Usage(1000, 100)
    assert price.cost(usage, "warp") == pytest.approx(3 * price.cost(usage))
    assert not price.knows_tier("warp")
    assert all(price.cost(usage, tier) == price.cost(usage) for tier in ("", "default", "standard", "auto"))


@pytest.mark.parametrize(
    ("price", "line"),
    [
        ({"input": "cheap", "output": 1}, "prices.m.input"),
        ({"input": 1}, "prices.m.output"),
        ({"input": 1, "output": -1}, "prices.m.output"),
        ({"input": 1, "output": 1, "tiers": {"priority": "2x"}}, "prices.m.tiers.priority"),
        (
            {"input": 1, "output": 1, "long_context": {"above": 0, "input": 2, "output": 1}},
            "prices.m.long_context.above",
        ),
        ({"input": 1, "output": 1, "cheap": 1}, "prices.m.cheap"),
    ],
)
def test_a_price_that_is_no_number_is_one_line_before_anything_is_sent(
    tmp_path: Path, price: dict[str, object], line: str
) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 3, config={"prices": {"m": price}})
        assert (ran.exit_code, simulated.stats.requests) == (2, 0)
    assert line in str(ran.error)
    assert "\n" not in str(ran.error)


@pytest.mark.parametrize(
    ("models", "own", "write"),
    [
        ({"gpt-6.2-sol": {"cache": {"minutes": 720}}}, {}, 5.0),
        ({"gpt-6.2-sol": {}}, {}, 2.5),
        ({"mine": {"like": "gpt-6.2-sol", "cache": {"minutes": 720}}}, {}, 5.0),
        ({"gpt-6.2-sol": {"cache": {"minutes": 720}}}, {"gpt-6.2-sol": PricePerMillion(input=1.0, output=5.0)}, 2.5),
        (
            {"gpt-6.2-sol": {"cache": {"minutes": 720}}},
            {"gpt-6.2-sol": PricePerMillion(input=1.0, output=5.0, cache_write=9.0)},
            9.0,
        ),
        ({"gpt-6.2-sol": {"cache": {"minutes": 720}, "price": {"cache_write": 7.0}}}, {}, 7.0),
    ],
)
def test_a_prompt_that_is_kept_for_twelve_hours_costs_more_to_write(
    models: dict[str, Any], own: dict[str, PricePerMillion], write: float
) -> None:
    prices = load_prices(ModelTable(models).corrected_prices(own))
    price = prices.find("mine" if "mine" in models else "gpt-6.2-sol")
    assert price is not None
    assert price.cost(Usage(1_000_000, 0, 0, cache_write_tokens=1_000_000)) == pytest.approx(write)
