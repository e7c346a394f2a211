"""The budget in dollars: what a run spends is what the provider bills, and no bill is above the limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bill import REGIONAL, TARIFFS, simulate
from harness import KEY, Ran, run_rows, server
from processes import Watch, command, start
from wire import completion, in_thread, reply, serving

from syphus.ledger.sessions import unfinished_cost
from syphus.ledger.store import FILE, open_for_reading
from syphus.simulator import Simulation
from syphus.types import State

LUNA, ASTRA = TARIFFS["gpt-6-luna"], TARIFFS["gpt-6-astra"]
TEXTS = [f"the blue car number {n} has moved to the left of the pole near the old bench" for n in range(12)]


def billing(model: str = "gpt-6-luna", factor: float = 1.0, **settings: Any) -> dict[str, Any]:
    """Settings of a simulated endpoint that answers as `model` and bills it."""
    tariff = TARIFFS[model]._replace(factor=factor)._asdict()
    return {"served_models": (model,), "tariffs": {model: tariff}, "sloppiness": 0.0, **settings}


def ask(
    tmp_path: Path,
    url: str,
    max_cost: float | None = None,
    regional: bool = False,
    texts: Sequence[str] = TEXTS,
    **settings: Any,
) -> Ran:
    endpoint = {"base_url": url, "api_key": KEY, "regional": regional}
    config = {"model": "gpt-6-luna", "max_tokens": 400, "endpoints": [endpoint], **settings}
    return run_rows(tmp_path, url, texts, config=config, max_cost=max_cost)


def test_no_bill_of_many_simulated_runs_is_above_the_budget_and_little_is_left() -> None:
    ended = [simulate(seed) for seed in range(120)]
    assert [seed for seed, each in enumerate(ended) if each.passed] == []
    stopped = [each for each in ended if each.stopped]
    assert len(stopped) > 60
    assert all(each.unused < each.bound + 1e-9 for each in stopped)


@pytest.mark.parametrize("factor", [1.0, REGIONAL])
def test_the_cost_of_a_run_is_its_bill(tmp_path: Path, factor: float) -> None:
    tiers = ("default", "priority", "flex", "ultrafast", "fast")
    long = [f"{text}. " * 60 for text in TEXTS]  # long enough for the cache, which knows another name of the model
    with server(**billing(factor=factor, served_tiers=tiers, prompt_cache="marked")) as simulated:
        ran = ask(tmp_path, simulated.url, regional=factor > 1, texts=long, model="my-luna")
        bill, written = float(simulated.stats.dollars), simulated.stats.tokens_cache_written
    assert (ran.exit_code, written > 0) == (0, True)
    assert bill > 0
    assert ran.report.cost == pytest.approx(bill, rel=0.01, abs=1e-6)
    assert ran.report.spending.usage.cache_write_tokens == written


@pytest.mark.parametrize(
    "settings",
    [
        {"bytes_per_token": 1.0},
        {"served_tiers": ("priority",), "bytes_per_token": 2.0},
        {"prompt_cache": "marked", "bytes_per_token": 1.0},
        {"faults": {"reset_mid_body": 0.3}, "bytes_per_token": 1.5, "seed": 3},
        {"faults": {"no_usage": 0.5}, "served_tiers": ("priority",), "seed": 3},
        {"model": "gpt-6-sol", "bytes_per_token": 1.0},
    ],
)
def test_the_bill_of_a_run_with_a_limit_is_never_above_it(tmp_path: Path, settings: dict[str, Any]) -> None:
    with server(**billing(**settings)) as simulated:
        ran = ask(tmp_path, simulated.url, max_cost=0.006)
        again = ask(tmp_path, simulated.url, max_cost=0.006)
        assert 0 < simulated.stats.dollars <= 0.006
    assert {ran.exit_code, again.exit_code} <= {0, 1, 4}  # 1: the attempts of a row may run out, where so many fail


def test_a_dearer_model_is_noticed_at_its_first_answer_and_more_is_reserved(tmp_path: Path) -> None:
    with server(**billing("gpt-6-astra")) as simulated:
        ran = ask(tmp_path, simulated.url, max_cost=0.05)
        assert 0 < simulated.stats.dollars <= 0.05
        bill = float(simulated.stats.dollars)
    assert ran.exit_code == 4
    assert ran.report.cost == pytest.approx(bill, abs=1e-6)
    assert [line for line in ran.lines if "answers as gpt-6-astra" in line and "may cost more than gpt-6-luna" in line]


def test_a_model_without_a_price_stops_a_run_with_a_limit_before_the_second_request(tmp_path: Path) -> None:
    with server(served_models=("who-knows",)) as simulated:
        ran = ask(tmp_path, simulated.url, max_cost=1.0)
        assert simulated.stats.requests == 1
        assert (ran.exit_code, ran.states) == (4, {State.OK: 1, State.PENDING: 11})
        assert "answers as who-knows, whose price is not known" in str(ran.error)
        prices = {"who-knows": {"input": 1, "output": 2}}
        assert ask(tmp_path, simulated.url, max_cost=1.0, prices=prices).exit_code == 0


def test_a_server_that_writes_more_than_it_may_is_noticed_at_its_first_answer(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 1200}  # three times what was allowed
    with in_thread(lambda: serving(lambda _: reply(completion(model="gpt-6-luna", usage=usage)))) as wire:
        ran = ask(tmp_path, f"{wire.url}/v1", max_cost=0.0035)
        assert len(wire.seen) > 1
    assert ran.exit_code == 4
    assert ran.report.cost is not None
    assert 0 < ran.report.cost <= 0.0035
    assert len([line for line in ran.lines if "100 + 1,200 tokens" in line]) == 1


def test_an_unknown_tier_is_said_once_and_counted_as_the_dearest(tmp_path: Path) -> None:
    with server(**billing(served_tiers=("warp",))) as simulated:
        ran = ask(tmp_path, simulated.url)
        bill = float(simulated.stats.dollars)
    assert ran.report.cost == pytest.approx(3 * bill, abs=1e-6)
    assert len([line for line in ran.lines if "tier 'warp'" in line]) == 1


def test_what_was_reserved_when_a_run_was_killed_counts_as_perhaps_billed(tmp_path: Path) -> None:
    with server(**billing()) as simulated:
        ran = ask(tmp_path, simulated.url, max_cost=0.004)
        assert ran.exit_code == 0
        with sqlite3.connect(ran.folder / FILE) as ledger:
            ledger.execute("UPDATE session SET ended = NULL, reserved = 0.0035")
            ledger.execute("UPDATE query SET state = 'pending', opened = used, attempts = 0, seq = NULL")
        ledger.close()
        store = open_for_reading(ran.folder)
        assert unfinished_cost(store) == (0.0035, 0)
        store.close()
        before = simulated.stats.requests
        again = ask(tmp_path, simulated.url, max_cost=0.004)
        assert (again.exit_code, simulated.stats.requests) == (4, before)


def test_kills_do_not_let_the_bill_pass_the_budget(tmp_path: Path) -> None:
    config = {"model": "gpt-6-luna", "max_tokens": 400}
    with server(**billing(latency=0.05, bytes_per_token=1.0)) as simulated:
        watch = Watch(simulated)
        for number in (9, 14, 6):
            with start(command(tmp_path, simulated.url, 60, "--max-cost", "0.02", config=config), tmp_path) as process:
                watch.at("request", number, process.kill)
                process.communicate(timeout=60)
        assert run_rows(tmp_path, simulated.url, 60, config=config, max_cost=0.02, num_threads=8).exit_code in (0, 4)
        assert 0 < watch.dollars <= 0.02


def test_money_that_may_have_been_spent_is_shown_beside_the_cost(tmp_path: Path) -> None:
    with server(**billing(poison={"number 3": "reset_mid_body"})) as simulated:
        ran = ask(tmp_path, simulated.url, max_attempts=2)
        answered = float(simulated.stats.dollars_answered)
    spending = ran.report.spending
    assert ran.report.cost == pytest.approx(answered, abs=1e-6)
    assert (spending.maybe_billed, spending.unknown_cost > 0) == (2, True)


def test_a_bill_by_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="tariffs: m has price"):
        Simulation(tariffs={"m": {"price": 1.0}})
