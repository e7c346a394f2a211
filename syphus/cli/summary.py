"""What people read about a run, a translation, a conversion and a preview: summaries, tables, what to do next."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from syphus.errors import BudgetError, SyphusError, UnsatisfactoryError
from syphus.formats.judge_lines import calibration_lines, judged_line
from syphus.formats.report import Expense, Report, RunResult
from syphus.formats.translation_report import TranslationReport
from syphus.ledger.sessions import RequestKind
from syphus.ledger.summary import EndpointUse
from syphus.plugins.discovery import PluginInfo, is_shipped
from syphus.runs.cost_text import format_line
from syphus.runs.preview import PreviewedQuery, PreviewSizes, PreviewTotal
from syphus.text import (
    SIMULATED_NOTICE,
    align_columns,
    cut,
    display_width,
    format_dollars,
    format_tokens,
    one_line,
    pluralize,
    printable,
)
from syphus.types import ReasonKind, State

if TYPE_CHECKING:
    from syphus.cold_start.compare import ComparisonResult
    from syphus.cold_start.search import ColdStartResult
    from syphus.runs.clean import CleaningResult

SYPHUS = "syphus"  #: in commands that are proposed
_LEAST_DESCRIPTION = 20  # columns that a description needs beside a path
_TO_FIX = {ReasonKind.PLUGIN: "the plugin is fixed", ReasonKind.IMAGE: "the images are there"}
_REASONS_PER_STATE = 4  #: that are shown
_RETRY = re.compile(r" (?:--retry[ =](?:'[^']*'|\S+)|'--retry=[^']*')")  # quoted as shlex does it


def summary(report: Report) -> list[str]:
    """Return the queries by state, the cost, and the reasons of those that are not ok."""
    counts = report.counts
    parts = " + ".join(f"{counts.states[state]:,} {state}" for state in State)
    own, others = len(report.sessions), report.of_rows.sessions - len(report.sessions)
    more = f" of the main job and {others:,} of other stages" if others else ""
    paid = f"{cost(report.of_rows)} over {pluralize(own, 'session')}{more}"
    lines = [f"{pluralize(counts.total, 'query', 'queries')} = {parts}    {pluralize(counts.pairs, 'pair')}    {paid}"]
    lines += [_reasons(report, state) for state in State if report.counts.reasons.get(state)]
    lines += [judged_line(report.judged)] if report.judged else []
    lines += calibration_lines(report.calibration) if report.calibration else []
    lines += usage_lines(report.of_rows)
    if counts.shared:
        shared = pluralize(counts.shared, "query shares", "queries share")
        is_packed = any("pack" in each for each in report.settings)
        whose = "an answer with others of their packs" if is_packed else "the answer of an identical query"
        lines.append(f"{shared} {whose}.")
    if report.simulated:
        lines.append(SIMULATED_NOTICE)
    return [*lines, *filter(None, [report.accepted.line()])]


def run_summary(finished: RunResult, command: str) -> list[str]:
    """Return how a run ended: what stopped it, its numbers and files, and the command that resumes it.

    `command` is the one that was given. The command to resume lacks its `--retry`: those rows are pending now, and the
    ones that have a new answer must not be paid for again.
    """
    report, states = finished.report, finished.report.counts.states
    lines = [str(finished.stopped_by)] if finished.stopped_by is not None else []
    lines += [*summary(report), *endpoint_lines(report)]
    if report.simulated and finished.sample:
        lines += [line for pair in finished.sample for line in (f"  {pair.instruction}", f"    {pair.answer}")]
    lines += file_lines(finished.files)
    if report.translation is not None and report.translation.behind and finished.files:
        lines.append(behind_line(report.translation, Path(finished.files[0]).parent))
    states_to_retry, command = states_to_retry_of(report), without_retry(command)
    if isinstance(finished.stopped_by, UnsatisfactoryError):
        return lines  # the error says what to do
    if finished.enough:
        lines.append(finished.enough)
    elif states[State.PENDING] or finished.stopped_by is not None:
        lines.append(resume_line(finished.stopped_by, command))
    else:
        lines += [f"Retry them with: {command} --retry {states_to_retry}"] if states_to_retry else []
        lines += [f"Once {what}: {command} --retry {State.FAILED}" for what in repairs_before_retry(report)]
    return lines


def file_lines(files: Sequence[str]) -> list[str]:
    """Return the files, a line for each folder."""
    folders: dict[Path, list[str]] = {}
    for path in map(Path, files):
        folders.setdefault(path.parent, []).append(path.name)
    return [f"Files in {folder}: {', '.join(names)}" for folder, names in folders.items()]


def resume_line(stopped_by: SyphusError | None, command: str) -> str:
    """Return the command that resumes after a stop, without its `--retry`; a spent budget needs a higher limit."""
    command = without_retry(command)
    if not isinstance(stopped_by, BudgetError) or stopped_by.limit == "price":
        return f"Resume with the same command: {command}"
    if stopped_by.limit == "shared":
        return f"To continue, raise the shared budget, then: {command}"
    unlimited = re.sub(rf" --max[-_]{stopped_by.limit}[ =]\S+", "", command)
    return f"To continue, raise the budget: {unlimited} --max-{stopped_by.limit} N"


def behind_line(report: TranslationReport, folder: Path) -> str:
    """Return that translations lack new English pairs, and the command that translates them."""
    return f"Translations are {pluralize(report.behind, 'pair')} behind: {SYPHUS} translate {quoted_path(folder)}"


def quoted_path(path: Path) -> str:
    """Return a path as it is typed in a shell."""
    return shlex.quote(str(path))


def without_retry(command: str) -> str:
    """Return a command without its `--retry`."""
    return _RETRY.sub("", command)


def cleaning_summary(done: CleaningResult) -> list[str]:
    """Return a run before and after it was judged again, and what the rules did."""
    lines = [f"before  {summary(done.before)[0]}"]
    lines += [line if line == SIMULATED_NOTICE else f"after   {line}" for line in summary(done.after)]
    lines.append(f"{pluralize(done.changed, 'query', 'queries')} changed outcome.")
    for what, counts in done.after.rules.items():
        if counts:
            lines.append(f"{what}: " + ", ".join(f"{count:,} {rule}" for rule, count in counts.items()))
    return lines


def states_to_retry_of(report: Report) -> str:
    """Return the states of rows that a retry may help, as `--retry` takes them."""
    invalid = [State.INVALID] if report.counts.states[State.INVALID] else []
    failed = [State.FAILED] if any(kind.is_fixed_by_retry for kind in _kinds_of_failures(report)) else []
    return ",".join(invalid + failed)


def repairs_before_retry(report: Report) -> list[str]:
    """Return what must be fixed before a retry of the failed rows; nothing if a retry alone may help."""
    failures = _kinds_of_failures(report)
    found = [what for kind, what in _TO_FIX.items() if kind in failures]
    return [" and ".join(found)] if found and not any(kind.is_fixed_by_retry for kind in failures) else []


def _kinds_of_failures(report: Report) -> set[ReasonKind]:
    """Return the kinds of the reasons for which queries have failed."""
    return {ReasonKind.parse(reason) for reason in report.counts.reasons.get(State.FAILED, ())}


def plugin_table(plugins: Sequence[PluginInfo], width: int = 0) -> list[str]:
    """Return a line for each dataset, the user's own before those that come with Syphus, and below it what is broken.

    Lines are cut to `width` columns, first the descriptions, unless it is 0. Errors are never cut.
    """
    shipped = {each.path for each in plugins if is_shipped(Path(each.path))}
    own = [each for each in plugins if each.path not in shipped]
    lines = _plugin_lines(own, width, has_paths=True)
    others = _plugin_lines([each for each in plugins if each.path in shipped], width, has_paths=False)
    return ["Yours:", *lines, "", "Built in:", *others] if own and others else lines or others


def _plugin_lines(plugins: Sequence[PluginInfo], width: int, has_paths: bool) -> list[str]:
    if not plugins:
        return []
    columns = [
        [each.name for each in plugins],
        [each.short_name or "-" for each in plugins],
        ["broken" if each.error else one_line(each.description, 80) for each in plugins],
    ]
    paths = [each.path.rpartition("site-packages/")[2] for each in plugins]
    widths = [max(map(display_width, column)) for column in columns]
    if width:
        free = width - widths[0] - widths[1] - 4  # two spaces between columns
        longest = max(map(display_width, paths)) + 2
        has_paths = has_paths and free - longest >= _LEAST_DESCRIPTION
        widths[2] = min(widths[2], max(0, free - longest * has_paths))
    lines = []
    for plugin, *cells, path in zip(plugins, *columns, paths, strict=True):
        cells = [f"{cut(cell, most):{most}}" for cell, most in zip(cells, widths, strict=True)]
        lines.append("  ".join([*cells, *([path] if has_paths else [])]).rstrip())
        if plugin.error:
            error = printable(plugin.error)
            lines += [f"  {line}" for line in _wrapped(error, width - 2)]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines that are broken between words only; in one if the `width` is not positive."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) if width > 0 else [text]


def _reasons(report: Report, state: State) -> str:
    reasons = report.counts.reasons[state]
    shown = [f"{count:,} {one_line(reason, 100)}" for reason, count in reasons.most_common(_REASONS_PER_STATE)]
    if len(reasons) > _REASONS_PER_STATE:
        shown.append(f"{len(reasons) - _REASONS_PER_STATE} more reasons")
    return f"{state:<10}" + "   ".join(shown)


def cost(expense: Expense) -> str:
    """Return the dollars of an expense, and what else may have been billed."""
    if expense.cost is None:
        return "cost unknown"
    spending, unknown = expense.spending, expense.spending.unknown_tokens
    dollars = f", {format_dollars(spending.unknown_cost)}," if spending.unknown_cost else ""
    return format_dollars(expense.cost) + (
        f" plus up to {unknown:,} tokens{dollars} that may have been billed without a reply" if unknown else ""
    )


def usage_lines(expense: Expense) -> list[str]:
    """Return the shares of prompt cache and reasoning in the tokens of an expense; nothing if there were none."""
    usage, lines = expense.spending.usage, []
    if usage.cached_tokens or usage.cache_write_tokens:
        written = f", {usage.written_share:.0%} written to it" if usage.cache_write_tokens else ""
        lines.append(f"Prompt cache: {usage.read_share:.0%} of the input tokens read from it{written}.")
    if usage.reasoning_tokens:
        share = usage.reasoning_tokens / usage.completion_tokens
        lines.append(f"Reasoning: {usage.reasoning_tokens:,} tokens, {share:.0%} of the output.")
    return lines


def endpoint_lines(report: Report) -> list[str]:
    """Return a table of the endpoints if there are several: requests, refusals, tokens, cost and latency of each."""
    if len(report.endpoints) < 2:
        return []
    head = ("endpoint", "asked", "ok", "limited", "refused", "failed", "tokens", "cost", "50% in", "95% in")
    return align_columns([head, *(_endpoint_row(use, cost) for use, cost in report.endpoints)], 1)


def _endpoint_row(use: EndpointUse, cost: float | None) -> tuple[str, ...]:
    usage = use.usage
    seconds = [use.latency(0.5), use.latency(0.95)]
    return (
        one_line(use.name, 24),
        f"{sum(use.requests.values()):,}",
        *(f"{use.requests[kind]:,}" for kind in RequestKind),
        format_tokens(usage.prompt_tokens + usage.completion_tokens),
        "unknown" if cost is None else format_dollars(cost),
        *("-" if each is None else f"{each:.2g} s" for each in seconds),
    )


def cold_start_summary(ended: ColdStartResult, command: str) -> list[str]:
    """Return how a cold start ended: what it found or lacks, what to try, its cost and its files."""
    found, spending = ended.found, ended.report.spending
    cost = "cost unknown" if ended.report.cost is None else format_dollars(ended.report.cost)
    lines = [str(ended.stopped_by)] if ended.stopped_by is not None else []
    if found.satisfactory:
        lines.append(f"Satisfactory: {pluralize(len(found.examples), 'in-context example')}.")
    elif found.accepted:
        lines.append(f"Accepted: {pluralize(len(found.examples), 'in-context example')}, better by more than chance.")
        lines += [f"  missing: {each}" for each in found.missing]
    elif found.best or found.missing:  # otherwise nothing was proven either way
        lines.append("Not satisfactory." + (" The best set was saved." if found.best else ""))
        from syphus.cold_start.advice import shortcoming_lines  # only a cold start needs it

        lines += shortcoming_lines(found)
        if found.is_better and ended.stopped_by is None:
            lines.append("The set is better than none by more than chance: --accept-examples takes it.")
    lines.append(f"{pluralize(spending.requests, 'request')}, {cost} in this run so far")
    if ended.report.simulated:
        lines.append(SIMULATED_NOTICE)
    if ended.files:
        lines.append(f"Files: {', '.join(ended.files)}")
    return [*lines, resume_line(ended.stopped_by, command)] if ended.stopped_by is not None else lines


def comparison_table(done: ComparisonResult) -> list[str]:
    """Return a table with a column for each prompt and model, and the gains over the first."""
    head = ["", *(each.name for each in done.variants)]
    rows = [head, *([name, *cells] for name, cells in done.rows())]
    lines = align_columns(rows, 1)
    lines += [one_line(f"{name}: {gain}", 300) for name, gain in (*done.gain_lines(), *done.cost_lines())]
    return lines


_COLOURS = {"system": "\033[35m", "user": "\033[36m", "assistant": "\033[32m"}
_PLAIN = "\033[0m"


def preview_text(query: PreviewedQuery, colours: bool) -> str:
    """Return the messages of a query, each below its role, and the parameters; or why it is not sent."""
    return "".join(f"{line}\n" for line in _preview_lines(query, colours))


def _preview_lines(query: PreviewedQuery, colours: bool) -> Iterator[str]:
    yield f"=== {printable(query.id)}"
    for message in query.messages:
        colour, plain = (_COLOURS.get(str(message["role"]), ""), _PLAIN) if colours else ("", "")
        yield f"{colour}--- {message['role']}{plain}"
        yield from map(printable, _texts(message["content"]))
    if query.problem:
        yield f"not sent: {printable(query.problem)}"
    else:
        yield f"--- {orjson.dumps(query.parameters).decode()}, about {query.tokens:,} tokens"
    yield ""


def _texts(content: object) -> Iterator[str]:
    """Yield the text of a message, or of its parts; for an image what it is."""
    if not isinstance(content, list):
        yield str(content)
        return
    for part in content:
        yield str(part["text"] if "text" in part else part["image_url"]["url"])


def total_lines(total: PreviewTotal, simulated: bool) -> list[str]:
    """Return the shortest and the longest query, and what all of them take."""
    lines = [
        f"{which}: {printable(name)}, about {tokens} tokens of annotation"
        for which, (name, tokens) in zip(PreviewSizes._fields, total.sizes, strict=True)
    ]
    rows, to_ask = pluralize(total.rows, "row"), round(total.to_ask)
    requests = f"{rows} in all" if to_ask == total.rows else f"{rows} in all, {pluralize(to_ask, 'request')}"
    if total.problem:
        return [*lines, f"{requests}: cost unknown. {total.problem}"]
    if total.line is None:
        return [*lines, f"{rows} in all: nothing would be sent"]
    model = "the simulated endpoint" if simulated else total.line.model
    return [*lines, f"{requests}, with {model}: {format_line(total.line)}, by estimate"]
