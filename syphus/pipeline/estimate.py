"""How many tokens a request will take, before it is sent: a guess that learns from the usage that comes back."""

from __future__ import annotations

from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.types import Usage

_LEARN = 0.05  #: of the difference to each new answer
_UNLIMITED = 4096  #: tokens that an answer may have where no max_tokens is sent


class TokenEstimate:
    """Prompt tokens from the bytes of a request, completion tokens from those of earlier answers."""

    def __init__(self, max_tokens: int | None) -> None:
        self.max_tokens = _UNLIMITED if max_tokens is None else max_tokens  #: 0 where nothing is written
        self._learned = False
        self.bytes_per_token = float(BYTES_PER_TOKEN)
        self.completion = 0.0  #: tokens of an average answer; 0 before the first
        self.cached_share = 0.0  #: of the prompt tokens, out of the provider's prompt cache

    def prompt(self, size: int) -> float:
        """Prompt tokens of a request of `size` bytes."""
        return size / self.bytes_per_token

    def worst(self, size: int) -> float:
        """The most tokens that it can be charged: the prompt, and an answer as long as it may be."""
        return self.prompt(size) + self.max_tokens

    def learn(self, size: int, usage: Usage) -> None:
        """An answer to a request of `size` bytes reported its usage."""
        if usage.estimated or not usage.prompt_tokens:
            return
        step = _LEARN if self._learned else 1.0
        self._learned = True
        self.bytes_per_token += step * (size / usage.prompt_tokens - self.bytes_per_token)
        self.completion += step * (usage.completion_tokens - self.completion)
        self.cached_share += step * (usage.cached_tokens / usage.prompt_tokens - self.cached_share)
