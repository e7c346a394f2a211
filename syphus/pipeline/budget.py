"""Money and requests: what was spent, what calls in flight may still cost, and whether one more is affordable.

A call reserves its worst case before it leaves and settles when it is over, so the bill never passes the budget. Calls
that may have been billed without an answer keep their reservation: nobody gives that money back.
"""

from __future__ import annotations

from syphus.pricing import Price
from syphus.types import Usage


class Budget:
    """`max_cost` in dollars, `max_requests` over all sessions; None is no limit."""

    def __init__(
        self, price: Price | None, max_cost: float | None, max_requests: int | None, cost: float, requests: int
    ) -> None:
        self.price = price
        self.max_cost = max_cost
        self.max_requests = max_requests
        self.cost = cost  #: spent, over all sessions
        self.requests = requests
        self._reserved = 0.0

    def affords(self, prompt_tokens: float, max_tokens: float) -> bool:
        """Whether one more call fits, in the worst case."""
        if self.max_requests is not None and self.requests >= self.max_requests:
            return False
        if self.max_cost is None or self.price is None:
            return True
        return self.cost + self._reserved + self.price.worst(prompt_tokens, max_tokens) <= self.max_cost

    def reserve(self, prompt_tokens: float, max_tokens: float) -> float:
        """A call leaves; returns what it reserved, for `settle`."""
        self.requests += 1
        amount = self.price.worst(prompt_tokens, max_tokens) if self.price else 0.0
        self._reserved += amount
        return amount

    def withdraw(self, reserved: float) -> None:
        """A call that has reserved is not made."""
        self.requests -= 1
        self._reserved -= reserved

    def settle(self, reserved: float, usage: Usage | None, maybe_billed: bool) -> None:
        """A call is over: with an answer, with nothing, or perhaps billed without an answer."""
        self._reserved -= reserved
        if usage is not None and self.price is not None:
            self.cost += self.price.of(usage)
        elif maybe_billed:
            self.cost += reserved
