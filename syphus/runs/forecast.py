"""Forecast what a run will take before it costs anything: tokens, dollars and minutes. All are estimates."""

from __future__ import annotations

from typing import NamedTuple

from syphus.config.pricing import Price, price_date
from syphus.endpoints.image_tokens import ImageRules
from syphus.formats.report import Report
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.prepare import PreparedRun
from syphus.text import format_dollars, pluralize
from syphus.types import BYTES_PER_TOKEN, State, Usage

TYPICAL_ANSWER_TOKENS = 250.0  #: if no in-context example shows how long an answer is
CACHED_FROM, CACHED_STEP = 1024, 128  #: tokens: OpenAI's prompt cache takes prefixes of 1,024 or more, in steps of 128
SPREAD = 0.2  #: the cost may be this share lower or higher


class Forecast(NamedTuple):
    """Tokens of a run, the dollars from `low` to `high`, and the minutes; None for what can't be known."""

    usage: Usage
    low: float | None
    high: float | None
    minutes: float | None


def forecast(
    queries: int,
    tokens_per_query: float,
    template: PromptTemplate,
    fixed_tokens: int,
    price: Price | None,
    requests_per_minute: float | None,
) -> Forecast:
    """Forecast `queries` of `tokens_per_query` tokens on average, after a prompt template of `fixed_tokens`."""
    prompt = int(queries * (fixed_tokens + tokens_per_query))
    is_cached = fixed_tokens >= CACHED_FROM and queries > 1
    cached = int((queries - 1) * (fixed_tokens // CACHED_STEP * CACHED_STEP)) if is_cached else 0
    usage = Usage(prompt, int(queries * _answer_tokens(template)), cached)
    cost = price.cost(usage) if price else None
    return Forecast(
        usage,
        cost * (1 - SPREAD) if cost is not None else None,
        cost * (1 + SPREAD) if cost is not None else None,
        queries / requests_per_minute if requests_per_minute else None,
    )


def template_tokens(template: PromptTemplate, rules: ImageRules) -> int:
    """Return the estimated tokens of a prompt template, with which every request begins."""
    shown = [image for message in template.in_context for image in message.get("images", ())]
    images = sum(rules.tokens(*rules.size(image.width, image.height)) for image in shown)
    texts = [template.system_message, *(message["content"] for message in template.in_context)]
    return sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN + 4 * len(texts) + images


def _answer_tokens(template: PromptTemplate) -> float:
    shown = [len(m["content"].encode()) for m in template.in_context if m["role"] == "assistant"]
    return sum(shown) / len(shown) / BYTES_PER_TOKEN if shown else TYPICAL_ANSWER_TOKENS


def forecast_lines(
    prepared: PreparedRun,
    report: Report,
    annotation_bytes: float,
    image_tokens: float = 0.0,
    sends_requests: bool = True,
) -> list[str]:
    """Return the lines that say before a session what will happen and what it will cost.

    `annotation_bytes` is the size of an average pending annotation, `image_tokens` the tokens of its images. Without
    `sends_requests`, all pending rows bring their own pairs.
    """
    options, counts, config = prepared.options, report.counts, prepared.config
    examples = sum(message["role"] == "assistant" for message in prepared.template.in_context)
    what = f"{pluralize(counts.total, 'query', 'queries')}, {pluralize(examples, 'in-context example')}"
    endpoint = f"{config.model} at {prepared.endpoint}"
    source = endpoint if sends_requests else "no requests: the rows already have their pairs"
    lines = [f"{options.name} {options.dataset_version}: {what}, {source}"]
    pending = counts.states[State.PENDING]
    if report.sessions:
        lines.append(f"Resuming: {counts.total - pending:,} done, {pending:,} to go{crash_warning(report)}.")
    if sends_requests and not all(endpoint.verify_tls for endpoint in config.endpoints):
        lines.append("TLS certificates are NOT checked (verify_tls: false): anybody on the network can read the key.")
    if sends_requests and not options.offline:
        limits = [endpoint.requests_per_minute for endpoint in config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        fixed_tokens = template_tokens(prepared.template, prepared.image_rules)
        per_query = annotation_bytes / BYTES_PER_TOKEN + image_tokens
        expected = forecast(pending, per_query, prepared.template, fixed_tokens, prepared.price, rate)
        lines.append(format_forecast(expected, rate))
    return lines


def crash_warning(report: Report) -> str:
    """Return a warning if a crash cut off calls, which may have been billed although no answer arrived; or ""."""
    if not report.unfinished_calls:
        return ""
    requests = pluralize(report.unfinished_calls, "request")
    return f"; up to {requests} in flight when it was killed may have been billed without an answer"


def format_forecast(expected: Forecast, rate: float | None) -> str:
    """Return tokens, cost and time as one line; `rate` is requests per minute."""
    usage = expected.usage
    cached = f" ({format_tokens(usage.cached_tokens)} from the prompt cache)" if usage.cached_tokens else ""
    parts = [
        f"about {format_tokens(usage.prompt_tokens)} tokens in{cached}",
        f"{format_tokens(usage.completion_tokens)} out",
    ]
    if expected.low is None or expected.high is None:
        parts.append("cost unknown (no price for this model)")
    else:
        low, high = format_dollars(expected.low), format_dollars(expected.high)
        parts.append(f"{low} to {high} (prices of {price_date()})" if low != high else high)
    if rate is not None and expected.minutes is not None:
        parts.append(f"about {expected.minutes:,.0f} min at {rate:,.0f} requests/min")
    return ", ".join(parts)


def format_tokens(count: int) -> str:
    """Return a number of tokens as text: `1.2k`, `3.4M`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
