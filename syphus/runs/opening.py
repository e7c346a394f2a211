"""The sentences before a run: what will happen, and what it will take."""

from __future__ import annotations

from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.formats.report import Report
from syphus.pricing import price_date
from syphus.runs.forecast import Forecast, forecast, prefix_tokens
from syphus.runs.prepare import Prepared
from syphus.text import dollars, many
from syphus.types import State


def opening(
    prepared: Prepared, report: Report, annotation_bytes: float, image_tokens: float = 0.0, asking: bool = True
) -> list[str]:
    """What will happen and what it will cost.

    `annotation_bytes` is the size of an average pending annotation, `image_tokens` what its images take. Not `asking`:
    every row that is left brings its own pairs.
    """
    options, counts, config = prepared.options, report.counts, prepared.config
    examples = sum(message["role"] == "assistant" for message in prepared.prefix.in_context)
    what = f"{many(counts.total, 'query', 'queries')}, {many(examples, 'in-context example')}"
    whom = f"{config.model} at {prepared.endpoint}" if asking else "nobody is asked: the rows bring their pairs"
    lines = [f"{options.name} {options.dataset_version}: {what}, {whom}"]
    pending = counts.states[State.PENDING]
    if report.sessions:
        lines.append(f"Resuming: {counts.total - pending:,} done, {pending:,} to go{paid_twice(report)}.")
    if asking and not all(endpoint.verify_tls for endpoint in config.endpoints):
        lines.append("TLS certificates are NOT checked (verify_tls: false): anybody on the way can read the key.")
    if asking and not options.offline:
        limits = [endpoint.requests_per_minute for endpoint in config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        fixed = prefix_tokens(prepared.prefix, prepared.image_rules)
        shown = annotation_bytes / BYTES_PER_TOKEN + image_tokens
        lines.append(forecast_line(forecast(pending, shown, prepared.prefix, fixed, prepared.price, rate), rate))
    return lines


def paid_twice(report: Report) -> str:
    """A warning, or "": after a crash, calls that were in flight may have been answered, and billed, to nobody."""
    if not report.cut_off:
        return ""
    calls = many(report.cut_off, "call")
    return f"; up to {calls} in flight when it was killed may have been paid for without an answer"


def forecast_line(expected: Forecast, rate: float | None) -> str:
    """Tokens, cost and time, about; `rate` is requests a minute."""
    usage = expected.usage
    cached = f" ({about_tokens(usage.cached_tokens)} from the prompt cache)" if usage.cached_tokens else ""
    parts = [
        f"about {about_tokens(usage.prompt_tokens)} tokens in{cached}",
        f"{about_tokens(usage.completion_tokens)} out",
    ]
    if expected.low is None or expected.high is None:
        parts.append("cost unknown (no price for this model)")
    else:
        low, high = dollars(expected.low), dollars(expected.high)
        parts.append(f"{low} to {high} (prices of {price_date()})" if low != high else high)
    if rate is not None and expected.minutes is not None:
        parts.append(f"about {expected.minutes:,.0f} min at {rate:,.0f} requests/min")
    return ", ".join(parts)


def about_tokens(count: int) -> str:
    """`1.2k`, `3.4M`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
