"""Rate limits that pass, quotas that do not, and retry hints, valid and invalid."""

from __future__ import annotations

import math
from email.utils import formatdate

from syphus.simulator.completion import Exchange, completion_object
from syphus.simulator.faults.table import Cost, fault, fixed_fault
from syphus.simulator.rate_limiter import format_seconds, limit_error, limit_error_azure, reset_duration
from syphus.simulator.replies import SimulatedReply, json_reply, openai_error

_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this "
    "error, read the "
    "docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)
_API_VERSION = "2024-10-21"  # for Azure's message on a route without a version
_SLOW_DOWN = "Slow down: the request rate increased too quickly. Reduce your request rate and increase it gradually."


def _limited(exchange: Exchange, headers: dict[str, str], wait: float | None = None) -> SimulatedReply:
    """Return a 429 on tokens per minute with only these headers, and `wait` in its message."""
    return limit_error(exchange.requested_model, "tokens", wait, headers)


def _retry_after(exchange: Exchange) -> dict[str, str]:
    return {"retry-after": format_seconds(exchange.retry_after)}


def _milliseconds(exchange: Exchange) -> dict[str, str]:
    return {"retry-after-ms": str(math.ceil(exchange.retry_after * 1000))}


@fault()
def rate_limit(exchange: Exchange) -> SimulatedReply:
    """429 rate_limit_exceeded with Retry-After in seconds and retry-after-ms."""
    return _limited(exchange, {**_retry_after(exchange), **_milliseconds(exchange)}, exchange.retry_after)


@fault()
def rate_limit_azure(exchange: Exchange) -> SimulatedReply:
    """429 as Azure writes it: code "429" as a string, "have exceeded token rate limit"."""
    return limit_error_azure("token", exchange.api_version or _API_VERSION, exchange.retry_after)


@fault()
def rate_limit_ms(exchange: Exchange) -> SimulatedReply:
    """429 with retry-after-ms as the only hint."""
    return _limited(exchange, _milliseconds(exchange))


@fault()
def rate_limit_reset_headers(exchange: Exchange) -> SimulatedReply:
    """429 with the hint only in the x-ratelimit-reset headers."""
    reset = {"limit": "200000", "remaining": "0", "reset": reset_duration(exchange.retry_after)}
    return _limited(exchange, {f"x-ratelimit-{name}-tokens": text for name, text in reset.items()})


@fault()
def rate_limit_date(exchange: Exchange) -> SimulatedReply:
    """429 with Retry-After as an HTTP date."""
    return _limited(
        exchange, {"retry-after": formatdate(exchange.created + math.ceil(exchange.retry_after), usegmt=True)}
    )


@fault()
def rate_limit_gateway(exchange: Exchange) -> SimulatedReply:
    """429 through a gateway: type throttling_error, code "429", and the hint only in llm_provider-retry-after."""
    text = "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached on tokens per min (TPM)."
    headers = {"llm_provider-retry-after": format_seconds(exchange.retry_after)}
    return openai_error(429, text, "throttling_error", code="429", headers=headers)


@fault()
def rate_limit_message(exchange: Exchange) -> SimulatedReply:
    """429 with the hint only in the message."""
    return _limited(exchange, {}, exchange.retry_after)


@fault()
def request_too_large(exchange: Exchange) -> SimulatedReply:
    """429 rate_limit_exceeded that never passes: the request is larger than the limit per minute."""
    text = (
        f"Request too large for {exchange.requested_model} in organization org-simulated on tokens per min (TPM): "
        "Limit 200, "
        f"Requested {exchange.prompt.tokens}. The input or output tokens must be reduced in order to run successfully."
    )
    return openai_error(429, text, "tokens", code="rate_limit_exceeded")


@fault()
def slow_down(exchange: Exchange) -> SimulatedReply:
    """429 slow_down: the request rate grew too fast, regardless of the limits."""
    return openai_error(429, _SLOW_DOWN, "rate_limit_error", code="slow_down", headers=_retry_after(exchange))


@fault()
def slow_down_503(exchange: Exchange) -> SimulatedReply:
    """503 slow_down."""
    return openai_error(503, _SLOW_DOWN, "service_unavailable_error", code="slow_down", headers=_retry_after(exchange))


@fault()
def payment_retry(exchange: Exchange) -> SimulatedReply:
    """402 with Retry-After: it passes."""
    return openai_error(402, "The spending window is used up.", "rate_limit_error", headers=_retry_after(exchange))


@fault()
def quota_words(exchange: Exchange) -> SimulatedReply:
    """429 with the words of a quota but the code of a rate limit: it passes soon."""
    return openai_error(
        429, "INSUFFICIENT QUOTA", "rate_limit_error", code="rate_limit_exceeded", headers=_retry_after(exchange)
    )


@fault(Cost.ANSWERED)
def limits_minus_one(exchange: Exchange) -> SimulatedReply:
    """A good answer whose x-ratelimit headers are all -1."""
    kinds = (
        "limit-requests",
        "limit-tokens",
        "remaining-requests",
        "remaining-tokens",
        "reset-requests",
        "reset-tokens",
    )
    return json_reply(200, completion_object(exchange), {f"x-ratelimit-{kind}": "-1" for kind in kinds})


fixed_fault("rate_limit_bare", "429 with no body and no hint.", SimulatedReply(429))
fixed_fault(
    "overloaded",
    "503 server_is_overloaded.",
    openai_error(
        503,
        "Our servers are currently overloaded. Please try again later.",
        "service_unavailable_error",
        code="server_is_overloaded",
    ),
)
for _code, _message in {
    "insufficient_quota": _QUOTA,
    "credit_balance_exhausted": "Your organization has no prepaid credits remaining. Add credits to continue.",
    "organization_spend_limit_exceeded": "Your organization reached its enforced monthly spend limit.",
    "project_spend_limit_exceeded": "Your project reached its enforced monthly spend limit.",
    "organization_usage_limit_exceeded": "Your organization reached its approved monthly usage limit.",
}.items():
    fixed_fault(
        _code,
        f"429 {_code}, of type insufficient_quota.",
        openai_error(429, _message, "insufficient_quota", code=_code),
    )
fixed_fault(
    "quota_gateway",
    'insufficient_quota through a gateway: 429, type throttling_error, code "429"; only the message shows it.',
    openai_error(
        429, f"litellm.RateLimitError: RateLimitError: OpenAIException - {_QUOTA}", "throttling_error", code="429"
    ),
)
fixed_fault(
    "payment_required",
    "402: the balance is empty.",
    openai_error(402, "Insufficient Balance", "unknown_error", code="invalid_request_error"),
)
fixed_fault(
    "quota_403",
    "403 of Azure's API gateway: the call quota is used up.",
    json_reply(
        403,
        {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 5.03:23:11."},
        {"retry-after": "444191"},
    ),
)


@fault()
def retry_after_long(exchange: Exchange) -> SimulatedReply:
    """429 of Azure with a Retry-After of a day."""
    return limit_error_azure("token", exchange.api_version or _API_VERSION, 86_400)


def _add_retry_after(name: str, description: str, value: str) -> None:
    text = "Rate limit reached for requests. Please try again later."
    fixed_fault(
        name,
        f"429 with {description}.",
        openai_error(429, text, "requests", code="rate_limit_exceeded", headers={"retry-after": value}),
    )


_add_retry_after("retry_after_zero", "Retry-After 0", "0")
_add_retry_after("retry_after_negative", "a negative Retry-After", "-5")
_add_retry_after("retry_after_nan", "Retry-After nan", "nan")
_add_retry_after("retry_after_huge", "Retry-After 1e9", "1e9")
_add_retry_after("retry_after_past", "a Retry-After date in the past", "Thu, 01 Jan 2015 00:00:00 GMT")
