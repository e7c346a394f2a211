"""The limits that are really enforced: requests and tokens a minute, and how a provider tells of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from syphus.simulator.replies import SimulatedReply, azure_error, openai_error

_LONG = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)", "concurrency": "concurrent requests"}


def reset_duration(seconds: float) -> str:
    """A time as OpenAI's reset headers write it: `120ms`, `1s`, `6m0s`, `1h0m0s`."""
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
    """Seconds for a Retry-After header; a fraction stays one, since clients read it."""
    return f"{seconds:g}"


def retry_headers(wait: float) -> dict[str, str]:
    """The headers that say when to come back: whole seconds, rounded up, and milliseconds."""
    return {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}


def limit_error(model: str, kind: str, wait: float | None, headers: Mapping[str, str] | None = None) -> SimulatedReply:
    """The 429 of OpenAI on `kind`: requests, tokens or concurrency. The message tells the `wait`, unless it is None."""
    when = "later" if wait is None else f"in {reset_duration(wait)}"
    text = (
        f"Rate limit reached for {model} in organization org-simulated on {_LONG[kind]}. Please try again "
        f"{when}. Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return openai_error(
        429, text, "tokens" if kind == "tokens" else "requests", code="rate_limit_exceeded", headers=headers
    )


def limit_error_azure(kind: str, api_version: str, wait: float) -> SimulatedReply:
    """The 429 of Azure on `kind`: token, call or concurrency."""
    text = (
        f"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version {api_version} have "
        f"exceeded {kind} rate "
        f"limit of your current OpenAI S0 pricing tier. Please retry after {math.ceil(wait)} seconds. Please go here: "
        "https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
    )
    return azure_error(429, "429", text, retry_headers(wait))


@dataclass(slots=True)
class LimitBucket:
    """One limit a minute. It holds `per_minute * burst_seconds / 60`, refills evenly, and may go below zero when it
    settles up.
    """

    per_minute: float
    burst_seconds: float
    level: float = 0.0
    refilled_at: float = 0.0

    @property
    def capacity(self) -> float:
        """The most that it holds; at least one, so that a request passes at all."""
        return max(1.0, self.per_minute * self.burst_seconds / 60)

    def refill(self, now: float) -> None:
        """Add what has flowed in until `now`."""
        self.level = min(self.capacity, self.level + (now - self.refilled_at) * self.per_minute / 60)
        self.refilled_at = now

    def wait(self, amount: float) -> float:
        """Seconds until `amount` is there; what is larger than the bucket passes when it is full."""
        return max(0.0, (min(amount, self.capacity) - self.level) * 60 / self.per_minute)

    def headers(self, kind: str) -> dict[str, str]:
        """limit, remaining and reset of this bucket, as OpenAI sends them."""
        return {
            f"x-ratelimit-limit-{kind}": f"{self.per_minute:.0f}",
            f"x-ratelimit-remaining-{kind}": f"{max(0.0, math.floor(self.level)):.0f}",
            f"x-ratelimit-reset-{kind}": reset_duration(self.wait(self.capacity)),
        }


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """Why a request is over a limit, and how many seconds it should wait."""

    kind: str
    wait: float

    def reply(self, model: str, api_version: str | None) -> SimulatedReply:
        """The 429; Azure's where there is an `api_version`."""
        if api_version is None:
            return limit_error(model, self.kind, self.wait, retry_headers(self.wait))
        return limit_error_azure(
            {"tokens": "token", "requests": "call"}.get(self.kind, self.kind), api_version, self.wait
        )


class RateLimits:
    """Requests and tokens a minute; 0 is no limit. Both start full at `now` (seconds of a monotonic clock)."""

    def __init__(self, rpm: float, tpm: float, burst_seconds: float, now: float) -> None:
        self._buckets = {
            kind: LimitBucket(limit, burst_seconds, math.inf, now)
            for kind, limit in (("requests", rpm), ("tokens", tpm))
            if limit
        }
        self.refill(now)

    def refill(self, now: float) -> None:
        """Add what has flowed in until `now`."""
        for bucket in self._buckets.values():
            bucket.refill(now)

    def admit(self, tokens: int, now: float) -> LimitExceeded | None:
        """Charge one request of `tokens`, or say why not; a refused request charges nothing."""
        self.refill(now)
        amounts = {"requests": 1, "tokens": tokens}
        for kind, bucket in self._buckets.items():
            if wait := bucket.wait(amounts[kind]):
                return LimitExceeded(kind, wait)
        for kind, bucket in self._buckets.items():
            bucket.level -= amounts[kind]
        return None

    def settle(self, tokens: int) -> None:
        """Charge `tokens` more for a request that was admitted."""
        if bucket := self._buckets.get("tokens"):
            bucket.level -= tokens

    def headers(self) -> dict[str, str]:
        """The x-ratelimit headers of the limits that there are."""
        found: dict[str, str] = {}
        for kind, bucket in self._buckets.items():
            found |= bucket.headers(kind)
        return found
