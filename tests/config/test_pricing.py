"""What a usage costs, and that nothing costs 0 only because its price is not known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import run_rows, server
from wire import completion, in_thread, reply, serving

from syphus.config.model_table import PricePerMillion, shipped_models
from syphus.config.pricing import load_prices, price_date
from syphus.types import Usage

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
