"""Costs as people read them: the lines before a run, a quote as a table, and the question before much is spent."""

from __future__ import annotations

from syphus.config.pricing import price_date
from syphus.errors import DeclinedError
from syphus.formats.report import Report
from syphus.pipeline.observer import Observer
from syphus.runs.cost_estimate import QuoteLine, Speed
from syphus.runs.prepare import PreparedRun, RunContext
from syphus.runs.quote import PILOT_ROWS, Quote
from syphus.runs.token_forecast import Range
from syphus.text import (
    align_columns,
    format_budget,
    format_dollar_range,
    format_dollars,
    format_duration,
    format_tokens,
    pluralize,
)
from syphus.types import State

_HOURS = 5400  # seconds, from which on times are given in hours


def format_line(line: QuoteLine) -> str:
    """Return tokens, dollars and minutes as one line for people."""
    cached = f" ({line.cached_share:.0%} from the prompt cache)" if line.cached_share >= 0.005 else ""
    parts = [f"about {format_tokens(line.prompt_tokens.middle)} tokens in{cached}"]
    if line.answer_tokens.middle:
        parts.append(f"{format_tokens(line.answer_tokens.middle)} out")
    if line.dollars is None:
        parts.append("cost unknown (no price for this model)")
    else:
        dollars = format_dollar_range(line.dollars.low, line.dollars.high)
        parts.append(f"{dollars} (prices of {price_date()})" if " to " in dollars else dollars)
    if line.minutes is not None:
        parts.append(_format_minutes(line.minutes))
    return ", ".join(parts)


def _format_minutes(minutes: Range) -> str:
    """Return `3 to 5 min`, `up to 3 min`, `under 1 min`, or `4.1 h to 5.6 h`."""
    if minutes.high * 60 >= _HOURS:
        low, high = format_duration(minutes.low * 60), format_duration(minutes.high * 60)
    else:
        if minutes.high < 1:
            return "under 1 min"
        low, high = (f"{each:,.0f}" for each in minutes[1:])
        if minutes.low < 1:
            return f"up to {high} min"
        return f"{low} to {high} min" if low != high else f"{high} min"
    return f"{low} to {high}" if low != high else high


def opening_lines(prepared: PreparedRun, report: Report, quote: Quote | None) -> list[str]:
    """Return the lines that say before a session what will happen and what it will cost.

    Without a `quote`, all pending rows bring their own pairs, and nothing is sent.
    """
    options, counts, config = prepared.options, report.counts, prepared.config
    examples = sum(message["role"] == "assistant" for message in prepared.template.in_context)
    what = f"{pluralize(counts.total, 'query', 'queries')}, {pluralize(examples, 'in-context example')}"
    source = "no requests: the rows already have their pairs"
    if quote is not None:
        effort = prepared.settings.get("reasoning_effort")
        source = f"{config.model}{f' (reasoning effort {effort})' if effort else ''} at {prepared.endpoint}"
    lines = [f"{options.name} {options.dataset_version}: {what}, {source}"]
    if report.sessions:
        pending = counts.states[State.PENDING]
        reusable = quote.survey.reusable if quote is not None else counts.total - pending
        left = f"{counts.total - round(reusable):,} to go"
        lines.append(f"Resuming: {reusable:,.0f} of {counts.total:,} answers reusable, {left}{crash_warning(report)}.")
    if quote is None:
        return lines
    if not all(endpoint.verify_tls for endpoint in config.endpoints):
        lines.append("TLS certificates are NOT checked (verify_tls: false): anybody on the network can read the key.")
    if not options.offline:
        lines.append(f"{format_line(quote.lines[0])}, {_origin(quote)}")
        lines.append(budget_line(prepared, quote.lines[0], quote.survey.to_ask, counts.total, report))
    return [line for line in lines if line]


def _origin(quote: Quote) -> str:
    if quote.answers:
        return f"learnt from {pluralize(quote.answers, 'answer')}"
    if round(quote.survey.to_ask) < 2 * PILOT_ROWS:
        return "by estimate"
    return f"by estimate (`quote --pilot {PILOT_ROWS}` is closer)"


def crash_warning(report: Report) -> str:
    """Return a warning if a crash cut off calls, which may have been billed although no answer arrived; or ""."""
    if not report.unfinished_calls:
        return ""
    requests = pluralize(report.unfinished_calls, "request")
    return f"; up to {requests} in flight when it was killed may have been billed without an answer"


def budget_line(context: RunContext, line: QuoteLine, rows: float, total: int, report: Report) -> str:
    """Return for how many rows the budget is enough, and how long all of them take: "" without a budget or a limit.

    `line` says what the `rows` take that are still to be asked; `total` are all rows of the run, `report` its numbers.
    """
    options, parts, rows = context.options, [], round(rows)
    if options.max_cost is not None and line.dollars is not None and line.dollars.high and rows:
        left, budget = max(0.0, _dollars_left(context, report)), format_budget(options.max_cost)
        fewest, most = (min(rows, int(rows * left / each)) for each in (line.dollars.high, line.dollars.low or 1e-9))
        answer = context.price.max_cost(0, context.config.max_tokens or 0) if context.price is not None else 0.0
        if left < answer:
            return f"{budget} leaves less than one answer may cost (${answer:.4f}): raise it, or lower --max-tokens."
        enough = [f"{_round_down(each + total - rows):,}" if each < rows else f"{total:,}" for each in (fewest, most)]
        about = enough[0] if enough[0] == enough[1] else " to ".join(enough)
        parts.append(f"{budget} is enough for {'all' if fewest >= rows else f'about {about} of'} {total:,} rows")
    if options.max_requests is not None:
        left = max(0, options.max_requests - report.spending.requests - report.unfinished_calls)
        if left < rows:
            requests = pluralize(options.max_requests, "request is", "requests are")
            parts.append(f"{requests} enough for at most {total - rows + left:,} of {total:,} rows")
    if parts and line.minutes is not None and line.minutes.middle >= 1:
        at = f"at {limit:,.0f} requests/min " if (limit := Speed.of(context).requests_per_minute) else ""
        parts.append(f"{at}about {format_duration(line.minutes.middle * 60)} for all")
    return "; ".join(parts) + ("." if parts else "")


def _round_down(count: float) -> int:
    """Return a number with two digits and zeros."""
    step: int = 10 ** max(0, len(str(int(count))) - 2)
    return int(count) // step * step


def _dollars_left(context: RunContext, report: Report) -> float:
    """Return what is left of `--max-cost` after all that earlier sessions have spent, or may have."""
    spent = (report.cost or 0.0) + report.spending.unknown_cost + report.unfinished_cost[0]
    return (context.options.max_cost or 0.0) - spent


def confirm_cost(context: RunContext, line: QuoteLine, report: Report, observer: Observer) -> None:
    """Ask a person before much money is spent. Raises `DeclinedError` if the answer is no.

    That is more than the budget, or without a budget more than `ask_above` dollars. Nobody is asked with `--yes`, or
    where there is no terminal: a batch job must not wait for an answer, and its limits are in its command.
    """
    options, dollars = context.options, line.dollars
    if options.yes or options.offline or dollars is None or not dollars.high:
        return
    cost = format_dollar_range(dollars.low, dollars.high)
    if options.max_cost is not None:
        left = _dollars_left(context, report)
        if dollars.high <= left:
            return
        question = f"This may cost {cost}, and the run stops once {format_budget(options.max_cost)} is spent. Start?"
    elif dollars.high > context.config.ask_above:
        question = f"This may cost {cost}, and no --max-cost is set. Start?"
    else:
        return
    if observer.confirm(question) is False:
        raise DeclinedError("Not started: nothing was sent. (--yes starts without a question.)")


def quote_lines(quote: Quote) -> list[str]:
    """Return a quote as a table with its notes."""
    survey = quote.survey
    about = "" if survey.exact else "about "
    left = f"{about}{survey.to_ask:,.0f} to ask"
    lines = [f"{quote.dataset} {quote.version}: {survey.reusable:,.0f} of {survey.queries:,} answers reusable, {left}"]
    others = [
        f"{about}{count:,.0f} {what}"
        for count, what in (
            (survey.shared, "share the answer of an identical query"),
            (survey.unasked, "need no request"),
        )
        if round(count)
    ]
    lines += [", ".join(others)] if others else []
    if not round(survey.to_ask):
        return [*lines, *quote.notes]
    spent = f"; {format_dollars(quote.spent)} spent so far" if quote.spent else ""
    lines.append(f"90% intervals, {_origin(quote)}{spent}:")
    head = ("", "tokens in", "cached", "out", "dollars", "minutes")
    lines += align_columns([head, *map(line_cells, quote.lines)], 1)
    return [*lines, *quote.notes]


def line_cells(line: QuoteLine) -> tuple[str, ...]:
    """Return a line as the cells of a table: name, tokens in, cached share, tokens out, dollars and minutes."""
    cached = f"{line.cached_share:.0%}" if line.cached_share else "-"
    dollars = minutes = "-"
    if line.dollars is not None and line.dollars.high < 0.01:
        dollars = "under $0.01" if line.dollars.high else "$0"
    elif line.dollars is not None:
        digits = 0 if line.dollars.middle >= 100 else 2 if line.dollars.middle >= 0.1 else 3
        middle, low, high = (f"{each:,.{digits}f}" for each in line.dollars)
        dollars = f"${middle} ({low}-{high})" if low != high else f"${middle}"
    if line.minutes is not None:
        digits = 0 if line.minutes.middle >= 10 else 1
        middle, low, high = (f"{each:,.{digits}f}" for each in line.minutes)
        minutes = f"{middle} ({low}-{high})" if low != high else middle
    return line.name, _with_error(line.prompt_tokens), cached, _with_error(line.answer_tokens), dollars, minutes


def _with_error(tokens: Range) -> str:
    return f"{format_tokens(tokens.middle, short=True)} ±{tokens.margin:.0%}"
