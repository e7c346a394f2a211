"""The bill: whether `--max-cost` holds in the worst case, and whether the reckoned cost is that of the bill.

    python benchmarks/bill.py [RUNS [ANSWERS]]

The first table simulates runs against a budget, without a network: the budget of Syphus decides what is sent, and a
provider of its own, with the published prices, writes the bill. Rows differ in size and in tokens a byte, dense and
long ones come last; prompts are written into the cache or not; tiers, a regional host, a dearer model, lost calls that
are billed, answers without usage, and kills with a restart are mixed. The second table compares single answers.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from common import table

from syphus.config.model_table import PricePerMillion
from syphus.config.pricing import Price, load_prices
from syphus.exchange import Completion, Request, Usage
from syphus.pipeline.budget import Billing, Budget
from syphus.simulator.stats import Tariff

#: Published prices (developers.openai.com/api/docs/pricing, looked up on 2026-11-30), apart from `syphus/config`.
LONG = {"long_above": 272_000, "long_input": 2.0, "long_output": 1.5}
TARIFFS = {
    "gpt-6-luna": Tariff(0.10, 0.50, 0.01, 0.125, **LONG),
    "gpt-6-sol": Tariff(2.0, 10.0, 0.20, 2.50, **LONG),
    "gpt-6-astra": Tariff(10.0, 50.0, 1.0, 12.50, **LONG),
    "gpt-6.1-terra": Tariff(1.0, 5.0, 0.05, 1.25, **LONG),
    "gpt-6.1-sol": Tariff(2.0, 10.0, 0.10, 2.50, **LONG),
    "gpt-6.2-astra": Tariff(8.0, 40.0, 0.40, 10.0, **LONG),
    "gpt-5.6-terra": Tariff(2.0, 12.0, 0.20, 2.50, **LONG),
    "gpt-4o-mini": Tariff(0.15, 0.60, 0.075, 0.0),
    "own-model": Tariff(3.0, 15.0, 0.3, 3.75),
}
OWN = {"own-model": PricePerMillion(input=3.0, output=15.0, cached_input=0.3)}
NO_TIERS = ("gpt-4o-mini", "own-model")
REGIONAL = 1.1  # models from March 2026 on
NEVER_REGIONAL = ("gpt-4o-mini", "own-model")
FRAME = 80  # tokens around the text that the provider counts


class Row(NamedTuple):
    """One request: bytes of text, and what the provider makes of it."""

    bytes: int
    bytes_per_token: float
    answer: float  # share of max_tokens
    cached: float  # shares of the prompt
    written: float


@dataclass
class Provider:
    """Bills requests, and says in the replies what was served."""

    model: str
    tiers: list[str]
    factor: float
    bill: Fraction = Fraction(0)
    served: int = 0

    def answer(self, row: Row, max_tokens: int) -> Completion:
        """Answer a request, and bill it."""
        tokens = min(row.bytes + FRAME, int(row.bytes / row.bytes_per_token) + FRAME)
        cached = int(tokens * row.cached)
        written = int((tokens - cached) * row.written)
        usage = Usage(tokens, max(1, int(max_tokens * row.answer)), cached, cache_write_tokens=written)
        tier = self.tiers[min(self.served, len(self.tiers) - 1)]
        self.served += 1
        self.bill += TARIFFS[self.model]._replace(factor=self.factor).dollars(usage, tier)
        return Completion("", "stop", self.model, usage, service_tier=tier, regional=self.factor > 1)


@dataclass
class Ended:
    """A simulated run: the bill and the budget in dollars, and why money is left."""

    bill: float
    max_cost: float
    stopped: bool  # by the budget
    rows: int = 0
    unused: float = 0.0  # dollars that are neither spent nor perhaps billed
    bound: float = 0.0  # dollars that the request could have cost that was not sent
    lines: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the bill is above the budget."""
        return self.bill > self.max_cost + 1e-9


def simulate(seed: int) -> Ended:
    """Return how one run ended. All its random choices come from the seed."""
    choose = random.Random(seed)
    asked = choose.choice(list(TARIFFS))
    dearer = choose.random() < 0.1
    served = "gpt-6-astra" if dearer else asked
    regional = choose.random() < 0.3 and served not in NEVER_REGIONAL and asked not in NEVER_REGIONAL
    provider = Provider(served, _tiers(choose, served), REGIONAL if regional else 1.0)
    lines: list[str] = []
    prices = load_prices(OWN)
    price = prices.find(asked)
    assert price is not None
    billing = Billing(prices, asked, None, regional, lines.append)
    max_tokens, threads = choose.choice([200, 800, 3200]), choose.choice([1, 4, 16, 64])
    rows = _rows(choose)
    worst = _expected(price, rows, max_tokens)
    max_cost = worst * choose.uniform(0.02, 1.0) + 1e-6
    if dearer:  # nothing shows it before the first answer, which may cost more than a smaller budget; one may be lost
        known = prices.find(served)
        assert known is not None
        max_cost += 2 * known.at_worst(None, regional).max_cost(max(row.bytes for row in rows) + FRAME, max_tokens)
    run = _Run(choose, provider, Budget(price, max_cost, None, 0.0, 0, billing), max_tokens, threads)
    run.dearer = dearer
    while rows and run.go_on(rows):  # killed, and started again with what the ledger knows
        run.restart(Budget(price, max_cost, None, run.budget.cost, run.budget.requests, billing))
    ended = run.ended(rows)
    ended.lines = lines
    return ended


def _expected(price: Price, rows: list[Row], max_tokens: int) -> float:
    """Return what the rows cost at the plain price, about."""
    return sum(price.max_cost(row.bytes / 4, max_tokens / 4) for row in rows)


def _tiers(choose: random.Random, model: str) -> list[str]:
    """Return the tier of each answer; the last one is that of all others."""
    if model in NO_TIERS:
        return ["default"]
    kind = choose.choice(["default", "priority", "moving"])
    if kind == "moving":  # a project is moved to the tier of its setting bit by bit
        return [choose.choice(["default", "default", "priority"]) for _ in range(choose.randint(1, 60))] + ["priority"]
    return [kind]


def _rows(choose: random.Random) -> list[Row]:
    """Return rows in the worst order: the ones with few bytes a token and long ones last."""
    count = choose.randint(20, 160) if choose.random() < 0.8 else choose.randint(600, 1500)
    size, long_share = choose.choice([800, 4000, 9000]), choose.choice([0.0, 0.0, 0.01])
    cache = choose.choice(["none", "written", "read", "mixed"])
    rows = []
    for _ in range(count):
        dense = choose.random() < 0.4
        length = int(size * choose.lognormvariate(0, 0.4))
        if choose.random() < long_share:
            length = choose.randint(280_000, 900_000)
        written = {"none": 0.0, "written": 1.0, "read": 0.0, "mixed": choose.random()}[cache]
        cached = {"none": 0.0, "written": 0.0, "read": 0.9, "mixed": choose.random()}[cache]
        per_token = choose.uniform(1.0, 2.0) if dense else choose.uniform(3.0, 4.5)
        rows.append(Row(length, per_token, choose.choice([0.1, 0.3, 1.0, choose.random()]), cached, written))
    if choose.random() < 0.7:
        rows.sort(key=lambda row: (row.bytes_per_token < 2.5, row.bytes))
    return rows[::-1]  # taken from the end


class _Run:
    """Sends rows as the loop does: the first alone, then as many as the budget and the threads allow."""

    def __init__(
        self, choose: random.Random, provider: Provider, budget: Budget, max_tokens: int, threads: int
    ) -> None:
        self.choose = choose
        self.provider = provider
        self.budget = budget
        self.max_tokens = max_tokens
        self.threads = threads
        self.in_flight: list[tuple[float, Completion | None]] = []
        self.stopped = False
        self.bound = 0.0
        self.lost = choose.choice([0.0, 0.0, 0.03])
        self.kill_at = choose.randint(5, 60) if choose.random() < 0.15 else 0
        self.answered = False
        self.seen: set[str] = set()
        self.dearer = False

    def go_on(self, rows: list[Row]) -> bool:
        """Run until all is done, the budget is spent, or the process is killed: return True then."""
        while rows or self.in_flight:
            while rows and len(self.in_flight) < (self.threads if self.answered else 1):
                row = rows[-1]
                bound = self.budget.bound(Request(b"", b"", max_prompt_tokens=row.bytes + FRAME), self.max_tokens)
                if self.budget.problem or not self.budget.can_afford(bound):
                    if not self.in_flight:
                        self.stopped, self.bound = True, bound
                        return False
                    break
                rows.pop()
                self._send(row, bound)
                if self.kill_at and self.provider.served >= self.kill_at:
                    self.kill_at = 0
                    return True
            self._receive()
        return False

    def restart(self, budget: Budget) -> None:
        """Go on with a new budget: what was in flight may have been billed, up to what the ledger has noted."""
        for tier in self.seen:
            budget.expect_again(self.provider.model, tier)
        budget.maybe_billed = self.budget.maybe_billed + max(self.budget.noted, self.budget.reserved)
        self.budget, self.in_flight, self.answered = budget, [], False

    def ended(self, rows: list[Row]) -> Ended:
        budget = self.budget
        assert budget.max_cost is not None
        unused = budget.max_cost - budget.committed if rows else 0.0
        return Ended(float(self.provider.bill), budget.max_cost, self.stopped, self.provider.served, unused, self.bound)

    def _send(self, row: Row, bound: float) -> None:
        reserved = self.budget.reserve(bound)
        if dollars := self.budget.reservation_to_note():
            self.budget.noted = dollars
        before = self.provider.bill
        completion: Completion | None = self.provider.answer(row, self.max_tokens)
        if self.choose.random() < self.lost and (self.answered or not self.dearer or self.provider.served == 1):
            if self.choose.random() < 0.5:
                self.provider.bill = before  # lost before anything was made
            completion = None
        elif self.choose.random() < self.lost and completion is not None:  # an answer without usage
            guess = Usage(row.bytes // 4, 20, estimated=row.bytes // 4 + 20)
            completion = Completion("", "stop", completion.model, guess, service_tier=completion.service_tier)
        self.in_flight.append((reserved, completion))

    def _receive(self) -> None:
        reserved, completion = self.in_flight.pop(self.choose.randrange(len(self.in_flight)))
        self.budget.settle(reserved, completion, maybe_billed=completion is None)
        if completion is not None:
            self.answered = True
            self.seen.add(completion.service_tier)


def answers(count: int, seed: int = 0) -> Iterator[tuple[float, float]]:
    """Yield the cost that Syphus reckons and the bill of answers over all rules of the prices."""
    choose, prices = random.Random(seed), load_prices(OWN)
    for _ in range(count):
        model = choose.choice(list(TARIFFS))
        regional = choose.random() < 0.3 and model not in NEVER_REGIONAL
        tier = (
            "default" if model in NO_TIERS else choose.choice(["", "default", "priority", "fast", "flex", "ultrafast"])
        )
        if model.startswith(("gpt-5", "gpt-6.2")) and tier in ("flex", "ultrafast"):
            tier = "priority"
        tokens = choose.choice([50, 900, 2500, 271_999, 272_000, 272_001, 600_000])
        cached = int(tokens * choose.choice([0, 0.5, 0.9]))
        written = 0 if model == "gpt-4o-mini" else int((tokens - cached) * choose.choice([0, 0.5, 1]))
        usage = Usage(tokens, choose.randint(1, 4000), cached, cache_write_tokens=written)
        price = prices.find(model)
        assert price is not None
        bill = TARIFFS[model]._replace(factor=REGIONAL if regional else 1.0).dollars(usage, tier)
        yield price.cost(usage, tier, regional, tokens), float(bill)


def main(runs: int, count: int) -> None:
    began = time.process_time()
    ended = [simulate(seed) for seed in range(runs)]
    stopped = [each for each in ended if each.stopped]
    shares = [each.unused / each.max_cost for each in stopped]
    long = [each.unused / each.max_cost for each in stopped if each.rows >= 500] or [0.0]
    rows = [
        ("runs with --max-cost", f"{runs:,}"),
        ("bill above the budget", f"{sum(each.passed for each in ended)}"),
        ("stopped by the budget", f"{len(stopped):,}"),
        ("unused share of the budget, median", f"{statistics.median(shares):.1%}"),
        ("the same after 500 requests and more", f"{statistics.median(long):.1%}"),
        ("unused is less than one request could cost", f"{sum(each.unused < each.bound + 1e-9 for each in stopped):,}"),
        ("CPU a run", f"{(time.process_time() - began) / runs * 1000:.1f} ms"),
    ]
    errors = [abs(cost - bill) / bill for cost, bill in answers(count)]
    table([*rows, ("answers over all rules", f"{count:,}"), ("largest error of their cost", f"{max(errors):.4%}")])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
