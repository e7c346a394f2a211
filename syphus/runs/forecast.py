"""What a run will take, before it costs anything: tokens, dollars, minutes. Estimates, and told as such."""

from __future__ import annotations

from typing import NamedTuple

from syphus.config.pricing import Price, price_date
from syphus.endpoints.image_tokens import ImageRules
from syphus.formats.report import Report
from syphus.runs.prepare import PreparedRun
from syphus.text import format_dollars, pluralize
from syphus.types import BYTES_PER_TOKEN, PromptTemplate, State, Usage

TYPICAL_ANSWER_TOKENS = 250.0  #: tokens, where no in-context example shows how long an answer is
CACHED_FROM, CACHED_STEP = 1024, 128  #: tokens: OpenAI's prompt cache takes prefixes from 1,024 on, in steps of 128
SPREAD = 0.2  #: of the cost, either way


class Forecast(NamedTuple):
    """Tokens of a run, `cached` ones being part of the prompt's; dollars and minutes where they can be known."""

    usage: Usage
    low: float | None
    high: float | None
    minutes: float | None


def forecast(
    rows: int,
    tokens_a_row: float,
    prefix: PromptTemplate,
    fixed: int,
    price: Price | None,
    requests_per_minute: float | None,
) -> Forecast:
    """For `rows` queries of `tokens_a_row` tokens on average, behind a prefix of `fixed` tokens."""
    prompt = int(rows * (fixed + tokens_a_row))
    cached = int((rows - 1) * (fixed // CACHED_STEP * CACHED_STEP)) if fixed >= CACHED_FROM and rows > 1 else 0
    usage = Usage(prompt, int(rows * _answer_tokens(prefix)), cached)
    cost = price.cost(usage) if price else None
    return Forecast(
        usage,
        cost * (1 - SPREAD) if cost is not None else None,
        cost * (1 + SPREAD) if cost is not None else None,
        rows / requests_per_minute if requests_per_minute else None,
    )


def template_tokens(prefix: PromptTemplate, rules: ImageRules) -> int:
    """Tokens, about, of what every request begins with."""
    shown = [image for message in prefix.in_context for image in message.get("images", ())]
    images = sum(rules.tokens(*rules.size(image.width, image.height)) for image in shown)
    texts = [prefix.system_message, *(message["content"] for message in prefix.in_context)]
    return sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN + 4 * len(texts) + images


def _answer_tokens(prefix: PromptTemplate) -> float:
    shown = [len(m["content"].encode()) for m in prefix.in_context if m["role"] == "assistant"]
    return sum(shown) / len(shown) / BYTES_PER_TOKEN if shown else TYPICAL_ANSWER_TOKENS


# FOLDED from opening.py:
# The sentences before a run: what will happen, and what it will take.


def forecast_lines(
    prepared: PreparedRun, report: Report, annotation_bytes: float, image_tokens: float = 0.0, asking: bool = True
) -> list[str]:
    """What will happen and what it will cost.

    `annotation_bytes` is the size of an average pending annotation, `image_tokens` what its images take. Not `asking`:
    every row that is left brings its own pairs.
    """
    options, counts, config = prepared.options, report.counts, prepared.config
    examples = sum(message["role"] == "assistant" for message in prepared.template.in_context)
    what = f"{pluralize(counts.total, 'query', 'queries')}, {pluralize(examples, 'in-context example')}"
    whom = f"{config.model} at {prepared.endpoint}" if asking else "nobody is asked: the rows bring their pairs"
    lines = [f"{options.name} {options.dataset_version}: {what}, {whom}"]
    pending = counts.states[State.PENDING]
    if report.sessions:
        lines.append(f"Resuming: {counts.total - pending:,} done, {pending:,} to go{crash_warning(report)}.")
    if asking and not all(endpoint.verify_tls for endpoint in config.endpoints):
        lines.append("TLS certificates are NOT checked (verify_tls: false): anybody on the way can read the key.")
    if asking and not options.offline:
        limits = [endpoint.requests_per_minute for endpoint in config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        fixed = template_tokens(prepared.template, prepared.image_rules)
        shown = annotation_bytes / BYTES_PER_TOKEN + image_tokens
        lines.append(format_forecast(forecast(pending, shown, prepared.template, fixed, prepared.price, rate), rate))
    return lines


def crash_warning(report: Report) -> str:
    """A warning, or "": after a crash, calls that were in flight may have been answered, and billed, to nobody."""
    if not report.unfinished_calls:
        return ""
    calls = pluralize(report.unfinished_calls, "call")
    return f"; up to {calls} in flight when it was killed may have been paid for without an answer"


def format_forecast(expected: Forecast, rate: float | None) -> str:
    """Tokens, cost and time, about; `rate` is requests a minute."""
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
    """`1.2k`, `3.4M`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
