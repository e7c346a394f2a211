"""The sentences before a run: what will happen, and what it will take."""

from __future__ import annotations

from syphus.formats.report import Report
from syphus.pricing import price_date
from syphus.runs.forecast import Forecast, forecast
from syphus.runs.prepare import Prepared
from syphus.text import dollars, many
from syphus.types import State


def opening(prepared: Prepared, report: Report, annotation_bytes: float) -> list[str]:
    """What will happen and what it will cost; `annotation_bytes` is the size of an average pending annotation."""
    options, counts, config = prepared.options, report.counts, prepared.config
    examples = sum(message["role"] == "assistant" for message in prepared.prefix.in_context)
    what = f"{many(counts.total, 'query', 'queries')}, {many(examples, 'in-context example')}"
    lines = [f"{options.name} {options.dataset_version}: {what}, {config.model} at {prepared.endpoint}"]
    pending = counts.states[State.PENDING]
    if report.sessions:
        lines.append(f"Resuming: {counts.total - pending:,} done, {pending:,} to go{paid_twice(report)}.")
    if not all(endpoint.verify_tls for endpoint in config.endpoints):
        lines.append("TLS certificates are NOT checked (verify_tls: false): anybody on the way can read the key.")
    if not options.offline:
        limits = [endpoint.requests_per_minute for endpoint in config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        lines.append(forecast_line(forecast(pending, annotation_bytes, prepared.prefix, prepared.price, rate), rate))
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
    cached = f" ({_tokens(usage.cached_tokens)} from the prompt cache)" if usage.cached_tokens else ""
    parts = [f"about {_tokens(usage.prompt_tokens)} tokens in{cached}", f"{_tokens(usage.completion_tokens)} out"]
    if expected.low is None or expected.high is None:
        parts.append("cost unknown (no price for this model)")
    else:
        low, high = dollars(expected.low), dollars(expected.high)
        parts.append(f"{low} to {high} (prices of {price_date()})" if low != high else high)
    if rate is not None and expected.minutes is not None:
        parts.append(f"about {expected.minutes:,.0f} min at {rate:,.0f} requests/min")
    return ", ".join(parts)


def _tokens(count: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
