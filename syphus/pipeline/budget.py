"""Money and requests: what was spent, what calls in flight may still cost, and whether one more is affordable.

A call reserves its worst case before it leaves and settles when it is over, so the bill never passes the budget. Calls
that may have been billed without an answer keep their reservation: nobody gives that money back.
"""

from __future__ import annotations

from syphus.config.pricing import Price
from syphus.types import BYTES_PER_TOKEN, Usage


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

    def can_afford(self, prompt_tokens: float, max_tokens: float) -> bool:
        """Whether one more call fits, in the worst case."""
        if self.max_requests is not None and self.requests >= self.max_requests:
            return False
        if self.max_cost is None or self.price is None:
            return True
        return self.cost + self._reserved + self.price.max_cost(prompt_tokens, max_tokens) <= self.max_cost

    def reserve(self, prompt_tokens: float, max_tokens: float) -> float:
        """A call leaves; returns what it reserved, for `settle`."""
        self.requests += 1
        amount = self.price.max_cost(prompt_tokens, max_tokens) if self.price else 0.0
        self._reserved += amount
        return amount

    def cancel(self, reserved: float) -> None:
        """A call that has reserved is not made."""
        self.requests -= 1
        self._reserved -= reserved

    def settle(self, reserved: float, usage: Usage | None, maybe_billed: bool) -> None:
        """A call is over: with an answer, with nothing, or perhaps billed without an answer."""
        self._reserved -= reserved
        if usage is not None and self.price is not None:
            self.cost += self.price.cost(usage)
        elif maybe_billed:
            self.cost += reserved


# FOLDED from estimate.py:
# How many tokens a request will take, before it is sent: a guess that learns from the usage that comes back.

_LEARN = 0.05  #: of the difference to each new answer
_UNLIMITED = 4096  #: tokens that an answer may have where no max_tokens is sent


class TokenEstimate:
    """Prompt tokens from the bytes of a request, completion tokens from those of earlier answers."""

    def __init__(self, max_tokens: int | None) -> None:
        self.max_tokens = _UNLIMITED if max_tokens is None else max_tokens  #: 0 where nothing is written
        self._learned = False
        self.bytes_per_token = float(BYTES_PER_TOKEN)
        self.completion_tokens = 0.0  #: tokens of an average answer; 0 before the first
        self.cached_share = 0.0  #: of the prompt tokens, out of the provider's prompt cache

    def prompt_tokens(self, size: int) -> float:
        """Prompt tokens of a request of `size` bytes."""
        return size / self.bytes_per_token

    def worst_case(self, size: int) -> float:
        """The most tokens that it can be charged: the prompt, and an answer as long as it may be."""
        return self.prompt_tokens(size) + self.max_tokens

    def learn(self, size: int, usage: Usage) -> None:
        """An answer to a request of `size` bytes reported its usage."""
        if usage.estimated or not usage.prompt_tokens:
            return
        step = _LEARN if self._learned else 1.0
        self._learned = True
        self.bytes_per_token += step * (size / usage.prompt_tokens - self.bytes_per_token)
        self.completion_tokens += step * (usage.completion_tokens - self.completion_tokens)
        self.cached_share += step * (usage.cached_tokens / usage.prompt_tokens - self.cached_share)
