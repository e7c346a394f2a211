"""Enforce limits on requests and tokens per minute, and report them in the headers and errors of the providers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from syphus.simulator.replies import SimulatedReply, azure_error, openai_error

_LIMIT_NAMES = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "concurrency": "concurrent requests",
}


def reset_duration(seconds: float) -> str:
    """Format a duration like OpenAI's reset headers: `120ms`, `1s`, `6m0s`, `1h0m0s`."""
    milliseconds = math.ceil(max(0.0, seconds) * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def format_seconds(seconds: float) -> str:
    """Format seconds for a Retry-After header. Fractions are kept, since clients accept them."""
    return f"{seconds:g}"


def retry_headers(wait: float) -> dict[str, str]:
    """Return the headers that say when to retry: in whole seconds, rounded up, and in milliseconds."""
    return {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}


def limit_error(model: str, kind: str, wait: float | None, headers: Mapping[str, str] | None = None) -> SimulatedReply:
    """Return OpenAI's 429 for `kind`: requests, tokens or concurrency. The message states `wait`, unless it is None."""
    when = "later" if wait is None else f"in {reset_duration(wait)}"
    text = (
        f"Rate limit reached for {model} in organization org-simulated on {_LIMIT_NAMES[kind]}. Please try again "
        f"{when}. Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return openai_error(
        429, text, "tokens" if kind == "tokens" else "requests", code="rate_limit_exceeded", headers=headers
    )


def limit_error_azure(kind: str, api_version: str, wait: float) -> SimulatedReply:
    """Return Azure's 429 for `kind`: token, call or concurrency."""
    text = (
        f"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version {api_version} have "
        f"exceeded {kind} rate "
        f"limit of your current OpenAI S0 pricing tier. Please retry after {math.ceil(wait)} seconds. Please go here: "
        "https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
    )
    return azure_error(429, "429", text, retry_headers(wait))


@dataclass(slots=True)
class LimitBucket:
    """The token bucket of one limit.

    It holds `per_minute * burst_seconds / 60` and refills evenly. Its level may drop below zero when the real usage of
    an admitted request is charged.
    """

    per_minute: float
    burst_seconds: float
    level: float = 0.0
    refilled_at: float = 0.0

    @property
    def capacity(self) -> float:
        """How much it can hold; at least 1, so that a request can pass."""
        return max(1.0, self.per_minute * self.burst_seconds / 60)

    def refill(self, now: float) -> None:
        """Add what has accrued until `now`."""
        self.level = min(self.capacity, self.level + (now - self.refilled_at) * self.per_minute / 60)
        self.refilled_at = now

    def wait(self, amount: float) -> float:
        """Return the seconds until `amount` is available. More than the capacity passes when the bucket is full."""
        return max(0.0, (min(amount, self.capacity) - self.level) * 60 / self.per_minute)

    def headers(self, kind: str) -> dict[str, str]:
        """Return the headers for limit, remaining and reset, as OpenAI sends them."""
        return {
            f"x-ratelimit-limit-{kind}": f"{self.per_minute:.0f}",
            f"x-ratelimit-remaining-{kind}": f"{max(0.0, math.floor(self.level)):.0f}",
            f"x-ratelimit-reset-{kind}": reset_duration(self.wait(self.capacity)),
        }


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """The limit that a request exceeds, and how many seconds to wait."""

    kind: str
    wait: float

    def reply(self, model: str, api_version: str | None) -> SimulatedReply:
        """Return the 429: that of Azure if there is an `api_version`, otherwise that of OpenAI."""
        if api_version is None:
            return limit_error(model, self.kind, self.wait, retry_headers(self.wait))
        return limit_error_azure(
            {"tokens": "token", "requests": "call"}.get(self.kind, self.kind), api_version, self.wait
        )


class RateLimits:
    """Limits on requests and tokens per minute; 0 is no limit. Both start full at `now` (monotonic seconds)."""

    def __init__(self, rpm: float, tpm: float, burst_seconds: float, now: float) -> None:
        self._buckets = {
            kind: LimitBucket(limit, burst_seconds, math.inf, now)
            for kind, limit in (("requests", rpm), ("tokens", tpm))
            if limit
        }
        self.refill(now)

    def refill(self, now: float) -> None:
        """Add what has accrued until `now`."""
        for bucket in self._buckets.values():
            bucket.refill(now)

    def admit(self, tokens: int, now: float) -> LimitExceeded | None:
        """Charge a request of `tokens` and return None, or return the limit that it exceeds, without charging it."""
        self.refill(now)
        amounts = {"requests": 1, "tokens": tokens}
        for kind, bucket in self._buckets.items():
            if wait := bucket.wait(amounts[kind]):
                return LimitExceeded(kind, wait)
        for kind, bucket in self._buckets.items():
            bucket.level -= amounts[kind]
        return None

    def settle(self, tokens: int) -> None:
        """Charge more `tokens` for a request that was admitted."""
        if bucket := self._buckets.get("tokens"):
            bucket.level -= tokens

    def headers(self) -> dict[str, str]:
        """Return the x-ratelimit headers of all limits."""
        headers: dict[str, str] = {}
        for kind, bucket in self._buckets.items():
            headers |= bucket.headers(kind)
        return headers
