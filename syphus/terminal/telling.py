"""The sentences that people read before and after a run, and about one."""

from __future__ import annotations

from collections.abc import Sequence

from syphus.formats.report import Finished, Report
from syphus.pipeline.caller import ANSWERED
from syphus.plugins.finding import PluginInfo
from syphus.pricing import price_date
from syphus.runs.forecast import Forecast, forecast
from syphus.runs.prepare import Prepared
from syphus.text import one_line
from syphus.types import State

_REASONS = 4  #: of each state that are shown


def opening(prepared: Prepared, report: Report, annotation_bytes: float) -> list[str]:
    """What will happen and what it will cost; `annotation_bytes` is the size of an average pending annotation."""
    options, counts, config = prepared.options, report.counts, prepared.config
    examples = sum(message["role"] == "assistant" for message in prepared.prefix.in_context)
    what = f"{options.name} {options.dataset_version}: {counts.total:,} queries, {examples} in-context examples"
    lines = [f"{what}, {config.model} at {prepared.endpoint}"]
    pending = counts.states[State.PENDING]
    if report.sessions:
        lines.append(f"Resuming: {counts.total - pending:,} done, {pending:,} to go{_paid_twice(report)}.")
    if not all(endpoint.verify_tls for endpoint in config.endpoints):
        lines.append("TLS certificates are NOT checked (verify_tls: false): anybody on the way can read the key.")
    if not options.offline:
        limits = [endpoint.requests_per_minute for endpoint in config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        lines.append(_forecast_line(forecast(pending, annotation_bytes, prepared.prefix, prepared.price, rate), rate))
    return lines


def summary(report: Report) -> list[str]:
    """The states, which add up, the cost, and why rows are not ok."""
    counts, sessions = report.counts, len(report.sessions)
    parts = " + ".join(f"{counts.states[state]:,} {state}" for state in State)
    paid = f"{_cost(report)} over {sessions} session{'' if sessions == 1 else 's'}"
    lines = [f"{counts.total:,} queries = {parts}    {counts.pairs:,} pairs    {paid}"]
    lines += [_reasons(report, state) for state in State if report.counts.reasons.get(state)]
    if counts.shared:
        lines.append(f"{counts.shared:,} queries ask the very same as another one and share its answer.")
    if report.simulated:
        lines.append("Answered by the simulated endpoint: made-up text, not a model.")
    return lines


def closing(finished: Finished, command: str) -> list[str]:
    """How a run ended: the cause if it was stopped, what was kept, where it is, and the command that goes on."""
    report, states = finished.report, finished.report.counts.states
    lines = [str(finished.stopped_by)] if finished.stopped_by is not None else []
    lines += summary(report)
    if report.simulated and finished.sample:
        lines += [line for pair in finished.sample for line in (f"  {pair.instruction}", f"    {pair.answer}")]
    if finished.files:
        lines.append(f"Files: {', '.join(finished.files)}")
    again = ",".join(state for state in (State.INVALID, State.FAILED) if states[state])
    if states[State.PENDING]:
        lines.append(f"Go on with the same command: {command}")
    elif again:
        lines.append(f"Ask those again: {command} --retry {again}")
    return lines


def standing(report: Report) -> list[str]:
    """Where a run stands, for `status`."""
    session = report.sessions[-1] if report.sessions else None
    lines = summary(report)
    errors = {cause: count for cause, count in report.spending.causes.items() if cause != ANSWERED}
    if errors:
        told = ", ".join(f"{count:,} {cause}" for cause, count in sorted(errors.items(), key=lambda item: -item[1]))
        lines.append(f"{report.spending.requests:,} requests, without an answer: {told}")
    if session is not None and session.stopped:
        lines.append(f"The last session ended: {session.stopped}")
    elif session is not None and session.ended is None:
        lines.append("The last session is working, or was killed.")
    again = ",".join(state for state in (State.INVALID, State.FAILED) if report.counts.states[state])
    if again:
        lines.append(f"To ask those again, add --retry {again} to the run's command.")
    return lines


def listing(plugins: Sequence[PluginInfo]) -> list[str]:
    """One line a dataset, in columns."""
    rows = [(each.name, each.short_name or "-", _about(each), each.path) for each in plugins]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def _about(plugin: PluginInfo) -> str:
    return f"broken: {plugin.error}" if plugin.error else one_line(plugin.description, 80)


def _reasons(report: Report, state: State) -> str:
    reasons = report.counts.reasons[state]
    shown = [f"{count:,} {one_line(reason, 100)}" for reason, count in reasons.most_common(_REASONS)]
    if len(reasons) > _REASONS:
        shown.append(f"{len(reasons) - _REASONS} more reasons")
    return f"{state:<10}" + "   ".join(shown)


def _cost(report: Report) -> str:
    if report.cost is None:
        return "cost unknown"
    unknown = report.spending.unknown_tokens
    return f"${report.cost:,.2f}" + (f" (and up to {unknown:,} tokens without an answer)" if unknown else "")


def _paid_twice(report: Report) -> str:
    """After a crash, calls that were in flight may have been answered, and billed, to nobody."""
    last = report.sessions[-1]
    if last.ended is not None:
        return ""
    return f"; up to {last.threads} calls in flight at the last stop may have been paid for without an answer"


def _forecast_line(expected: Forecast, rate: float | None) -> str:
    usage = expected.usage
    cached = f" ({_tokens(usage.cached_tokens)} from the prompt cache)" if usage.cached_tokens else ""
    parts = [f"about {_tokens(usage.prompt_tokens)} tokens in{cached}", f"{_tokens(usage.completion_tokens)} out"]
    if expected.low is None or expected.high is None:
        parts.append("cost unknown (no price for this model)")
    else:
        parts.append(f"${expected.low:.2f} to ${expected.high:.2f} (prices of {price_date()})")
    if rate is not None and expected.minutes is not None:
        parts.append(f"about {expected.minutes:,.0f} min at {rate:,.0f} requests/min")
    return ", ".join(parts)


def _tokens(count: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
