"""The budget of a run in dollars and requests, and the estimate of the tokens that a request takes.

A request reserves its worst case before it is sent and settles when it ends, so the bill never exceeds the budget. The
worst case is a bound and no estimate: a token is at least one byte of text, an answer has at most the tokens that the
request allows, all of the prompt may be written into the cache, and the server may use the dearest tier that it may
choose. A request that may have been billed without an answer stays charged in full, apart from what is spent: the
provider does not refund it.

The price of a model is in `syphus.config.pricing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from syphus.config.pricing import FREE, Price, Prices
from syphus.exchange import BYTES_PER_TOKEN, Completion, Request, Usage
from syphus.ledger.summary import Spending
from syphus.model_names import is_simulated
from syphus.pipeline.sharing import SharedMoney

_LEARNING_RATE = 0.05  #: weight of each new answer in the moving average
_UNLIMITED_ANSWER = 4096  #: tokens that an answer is expected to have at most if no max_tokens is sent
_ROUNDING = 1e-9  # dollars by which sums of prices may be off
_ROOM = 1.25  # reservations are noted with so much room, so that few commits are needed


@dataclass(frozen=True, slots=True)
class Billing:
    """What the price of a run's requests depends on.

    `say` shows a line to the user.
    """

    prices: Prices
    model: str  #: its configured name
    tier: str | None = None  #: that the requests ask for
    regional: bool = False  #: whether any endpoint processes data in one region
    say: Callable[[str], None] = lambda _: None


class Budget:
    """What a run may spend and has spent, over all its sessions.

    `max_cost` and `cost` are in dollars; None means no limit. Without a `price` nothing costs anything. Without a
    `billing`, every answer has this price, and there is one tier.
    """

    def __init__(
        self,
        price: Price | None,
        max_cost: float | None,
        max_requests: int | None,
        cost: float,
        requests: int,
        billing: Billing | None = None,
    ) -> None:
        self.price = price
        self.max_cost = max_cost
        self.max_requests = max_requests
        self.cost = cost  #: dollars spent, by the answers that came
        self.maybe_billed = 0.0  #: dollars that requests may have cost beyond that
        self.reserved = 0.0  #: dollars, for requests in flight
        self.requests = requests  #: requests sent
        self.noted = 0.0  #: dollars that the ledger knows to be reserved at most
        self.why_unbounded = ""  #: why the cost can't be bounded, which matters only with a `max_cost`
        self.billing = billing or Billing(Prices({}), "")
        self._by_answer: dict[tuple[str, str], Price] = {}  # by the server's name of the model, and tier
        self._worst: list[Price] = []
        self._factor = 1.0
        self._writes_cache = False
        self._has_seen = False
        self.shared: SharedMoney | None = None  #: if other runs share a budget
        self.is_simulated = False  #: whether the simulated endpoint has answered
        self._lost_blindly = 0.0  # dollars that may have been billed before the first answer showed the model
        if price is not None:
            self._expect(price, self.billing.tier)

    @property
    def problem(self) -> str:
        """Why the budget in dollars can't be kept any more, or ""."""
        return self.why_unbounded if self.max_cost is not None else ""

    def change_limits(self, max_cost: float | None, max_requests: int | None) -> None:
        """Replace the limits while requests are in flight; what is spent and reserved stays charged.

        A limit below that lets nothing more be sent. What is reserved must be noted again under a new limit.
        """
        if (self.max_cost is None) != (max_cost is None):
            self.noted = 0.0
        self.max_cost, self.max_requests = max_cost, max_requests

    def bound(self, request: Request, max_tokens: int) -> float:
        """Return the maximum cost of a request in dollars; its answer has at most `max_tokens`."""
        tokens = request.max_prompt_tokens or len(request.body)
        if len(self._worst) == 1:
            return self._worst[0].max_cost(tokens, max_tokens) * self._factor
        return max((price.max_cost(tokens, max_tokens) for price in self._worst), default=0.0) * self._factor

    @property
    def is_blind(self) -> bool:
        """Whether no answer has shown yet which model and tier the server bills, although a limit must hold."""
        return self.max_cost is not None and self.price is not None and not self._by_answer and not self._has_seen

    def can_afford(self, bound: float, requests: int = 1) -> bool:
        """Return whether `requests` more fit into the budget even if each costs `bound` dollars."""
        if self.max_requests is not None and self.requests + requests > self.max_requests:
            return False
        return self.max_cost is None or self.committed + requests * bound <= self.max_cost + _ROUNDING

    @property
    def committed(self) -> float:
        """Dollars that are spent, may have been billed, or are reserved."""
        return self.cost + self.maybe_billed + self.reserved

    def reserve(self, bound: float) -> float:
        """Charge a request that is about to be sent; return the dollars reserved, for `settle` or `cancel`."""
        self.requests += 1
        self.reserved += bound
        return bound

    def cancel(self, reserved: float) -> None:
        """Undo `reserve` for a request that was not sent."""
        self.requests -= 1
        self.reserved -= reserved

    def settle(self, reserved: float, completion: Completion | None, maybe_billed: bool) -> float:
        """Replace the reservation of a request that has ended by its cost.

        `maybe_billed` says that it may have been billed without an answer. Return the dollars that it may have cost
        beyond what is now spent.
        """
        self.reserved -= reserved
        if completion is None:
            unknown = reserved if maybe_billed else 0.0
            self._lost_blindly += unknown if self.is_blind else 0.0
        else:
            cost = self._charge(completion, reserved)
            unknown = max(0.0, reserved - cost) if completion.usage.estimated else 0.0
            unknown += self._reprice_lost()
        self.maybe_billed += unknown
        return unknown

    def is_noted(self, bound: float) -> bool:
        """Return whether the reservation that the ledger has noted also covers one more request."""
        return self.max_cost is None or self.reserved + bound <= self.noted

    def reservation_to_note(self) -> float | None:
        """Return the dollars that the ledger should know to be reserved at most, before the next request is sent.

        None if it knows enough. After a crash they count as perhaps billed.
        """
        if self.max_cost is None or self.reserved <= self.noted:
            return None
        return min(self.reserved * _ROOM, max(self.reserved, self.max_cost - self.cost - self.maybe_billed))

    def _charge(self, completion: Completion, reserved: float) -> float:
        if self.price is None:
            self.is_simulated = is_simulated(completion.model)
            return 0.0
        worst, name, usage = self._worst, (completion.model, completion.service_tier), completion.usage
        price = self._by_answer.get(name)
        if price is None:
            price = self._by_answer[name] = self._meet(*name)
        if usage.cache_write_tokens and not self._writes_cache:
            self._writes_cache = True
            self._expect(price.with_cache_writes(), completion.service_tier or self.billing.tier)
        cost = price.cost(usage, completion.service_tier, completion.regional, usage.prompt_tokens)
        self.cost += cost
        is_explained = self._worst is not worst  # by a price that is expected from now on
        if cost > reserved + _ROUNDING and self.max_cost is not None and not is_explained:
            self._raise(cost, reserved, usage)
        return cost

    def _reprice_lost(self) -> float:
        """Return how much more the requests that were lost before the first answer may have cost at its price."""
        lost, self._lost_blindly = self._lost_blindly, 0.0
        if not lost or self.price is None:
            return 0.0
        before = self.price.at_worst(self.billing.tier, self.billing.regional)
        rates = [
            now / then
            for price in self._worst
            for now, then in ((price.input, before.input), (price.output, before.output))
            if then
        ]
        return lost * (max(rates, default=1.0) - 1)

    def _meet(self, model: str, tier: str) -> Price:
        """Return the price of the first answer of a model and a tier, and expect such answers from now on."""
        billing = self.billing
        assert self.price is not None
        self.is_simulated = self.is_simulated or is_simulated(model)
        found = billing.prices.find_for(model, "")
        price = billing.prices.find_for(model, billing.model) or self.price
        if model and found is None and self._is_assumed(model):
            self.why_unbounded = (
                f"The server answers as {model}, whose price is not known, so --max-cost can't be kept. "
                "Add it under `prices:` in a --config file, or use --max-requests."
            )
        if not price.knows_tier(tier):
            factor = price.tier_factor(tier)
            billing.say(
                f"The server names the service tier {tier!r}, whose price is not known: the most expensive known "
                f"one counts, at {factor:g} times the price. Set it under `prices:`, as `tiers:` of {model}."
            )
        dearer = self._expect(price, tier if price.tier_factor(tier) > 1 else billing.tier)
        if dearer and self.max_cost is not None:
            served = f"as {model}" + (f" in the tier {tier}" if tier else "")
            billing.say(f"The server answers {served}, which may cost more than {billing.model}: more is reserved.")
        return price

    def expect_tier(self, tier: str | None) -> None:
        """Reserve enough for requests that ask for another tier, None for the standard one, from now on."""
        if self.price is not None:
            self._expect(self.price, tier)

    def expect_again(self, model: str, tier: str) -> None:
        """Reserve enough for answers of a model and a tier that have come in earlier sessions."""
        self.is_simulated = self.is_simulated or is_simulated(model)
        price = self.billing.prices.find(model)
        if price is not None and self.price is not None:
            self._has_seen = True
            self._expect(price, tier if price.tier_factor(tier) > 1 else self.billing.tier)

    def _is_assumed(self, model: str) -> bool:
        """Return whether only the name of the requested model says what an answer costs, and the server denies it."""
        billing = self.billing
        return bool(billing.model) and model != billing.model and billing.prices.find_own(billing.model) is None

    def _expect(self, price: Price, tier: str | None) -> bool:
        """Reserve enough for answers of this price from now on; return whether that is more than before."""
        worst = price.at_worst(tier, self.billing.regional)
        if any(_covers(other, worst) for other in self._worst):
            return False
        self._worst = [*(other for other in self._worst if not _covers(worst, other)), worst]
        return True

    def _raise(self, cost: float, reserved: float, usage: Usage) -> None:
        """Reserve more from now on: the server charges more than its rules allow."""
        before, self._factor = self._factor, self._factor * max(1.0, cost / reserved) if reserved else self._factor
        if self._factor > before:
            self.billing.say(
                f"An answer of {usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens cost ${cost:.4f}, although "
                f"its request allows ${reserved:.4f}: more is reserved from now on."
            )


def _covers(price: Price, other: Price) -> bool:
    """Return whether no request can cost more at the second of two worst prices than at the first."""
    return (
        price.input >= other.input
        and price.output >= other.output
        and (other.long_context is None or price.long_context == other.long_context)
    )


def add_earlier(budget: Budget, spending: Spending, unfinished: tuple[float, int], max_tokens: int) -> None:
    """Add to a new budget what earlier sessions may have cost beyond their answers.

    Models and tiers that have answered before are expected again. `unfinished` are the dollars that were reserved when
    sessions were killed, and the calls of such sessions that noted none. What older versions noted in tokens alone
    counts at the highest price of the run's models: the ledger does not know which model it was. `max_tokens` is the
    most that an answer may have.
    """
    for bill in spending.bills:
        budget.expect_again(bill.model, bill.service_tier)
    reserved, calls = unfinished
    price = _highest_price(budget, spending)
    requests, tokens = spending.unpriced
    completion = min(tokens, requests * max_tokens)
    answers = sum(use.answers for use in spending.models)
    prompt = spending.usage.prompt_tokens / answers if answers else 0.0
    estimated = price.max_cost(tokens - completion, completion) + price.max_cost(calls * prompt, calls * max_tokens)
    budget.maybe_billed += spending.unknown_cost + reserved + estimated


def _highest_price(budget: Budget, spending: Spending) -> Price:
    prices = budget.billing.prices
    asked = [budget.price, *(prices.find(use.configured_model) for use in spending.models)]
    return max((price for price in asked if price), key=lambda price: price.max_cost(1, 1), default=FREE)


class TokenEstimate:
    """Estimates the tokens of a request before it is sent, and learns from the usage that servers report.

    Prompt tokens are estimated from the bytes of the request. `max_tokens` is the most that an answer may have: None if
    the user sets no limit, 0 for requests that generate no text.
    """

    def __init__(self, max_tokens: int | None) -> None:
        self.max_tokens = _UNLIMITED_ANSWER if max_tokens is None else max_tokens
        self._has_learned = False
        self.bytes_per_token = float(BYTES_PER_TOKEN)

    def prompt_tokens(self, size: int) -> float:
        """Return the prompt tokens of a request of `size` bytes."""
        return size / self.bytes_per_token

    def learn(self, size: int, usage: Usage) -> None:
        """Learn from the usage that was reported for a request of `size` bytes."""
        if usage.estimated or not usage.prompt_tokens:
            return
        step = _LEARNING_RATE if self._has_learned else 1.0
        self._has_learned = True
        self.bytes_per_token += step * (size / usage.prompt_tokens - self.bytes_per_token)
