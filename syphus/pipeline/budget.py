"""The budget of a run in dollars and requests, and the estimate of the tokens that a request takes.

A request reserves its worst case before it is sent and settles when it ends, so the cost never exceeds the budget. A
request that may have been billed without an answer stays charged in full: the provider does not refund it.

The price of a model is in `syphus.config.pricing`.
"""

from __future__ import annotations

from syphus.config.pricing import Price
from syphus.types import BYTES_PER_TOKEN, Usage

_LEARNING_RATE = 0.05  #: weight of each new answer in the moving average
_UNLIMITED_ANSWER = 4096  #: tokens that an answer is expected to have at most if no max_tokens is sent


class Budget:
    """What a run may spend and has spent, over all its sessions.

    `max_cost` and `cost` are in dollars; None means no limit. Without a `price` nothing costs anything.
    """

    def __init__(
        self, price: Price | None, max_cost: float | None, max_requests: int | None, cost: float, requests: int
    ) -> None:
        self.price = price
        self.max_cost = max_cost
        self.max_requests = max_requests
        self.cost = cost  #: dollars spent
        self.requests = requests  #: requests sent
        self._reserved = 0.0  # dollars, for requests in flight

    def can_afford(self, prompt_tokens: float, max_tokens: float, requests: int = 1) -> bool:
        """Return whether so many more requests fit into the budget even in the worst case."""
        if self.max_requests is not None and self.requests + requests > self.max_requests:
            return False
        if self.max_cost is None or self.price is None:
            return True
        worst_cost = requests * self.price.max_cost(prompt_tokens, max_tokens)
        return self.cost + self._reserved + worst_cost <= self.max_cost

    def reserve(self, prompt_tokens: float, max_tokens: float) -> float:
        """Charge a request that is about to be sent; return the dollars reserved, for `settle` or `cancel`."""
        self.requests += 1
        amount = self.price.max_cost(prompt_tokens, max_tokens) if self.price else 0.0
        self._reserved += amount
        return amount

    def cancel(self, reserved: float) -> None:
        """Undo `reserve` for a request that was not sent."""
        self.requests -= 1
        self._reserved -= reserved

    def settle(self, reserved: float, usage: Usage | None, maybe_billed: bool) -> None:
        """Replace the reservation of a request that has ended by its real cost.

        `usage` is that of its answer, or None; `maybe_billed` says that it may have been billed without an answer.
        """
        self._reserved -= reserved
        if usage is not None and self.price is not None:
            self.cost += self.price.cost(usage)
        elif maybe_billed:
            self.cost += reserved


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
