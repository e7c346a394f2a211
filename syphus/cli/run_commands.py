"""Looking at a run from outside, `status`, `rows`, `runs`, `try`, and their output.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

import itertools
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from syphus.cli.parameters import RunFolder, arguments, with_observer, with_options
from syphus.cli.streams import (
    as_json_bytes,
    given_command,
    print_as_json,
    print_lines,
    print_text,
    program,
    say,
    uses_colours,
    write_out,
)
from syphus.config.options import Options
from syphus.errors import ConfigError, InputError
from syphus.text import align_columns, format_dollars, format_duration, pluralize, printable
from syphus.types import State

if TYPE_CHECKING:
    from syphus.formats.report import Expense, Report
    from syphus.progress import PlainObserver
    from syphus.runs.reader import RunStatus, RunSummary
    from syphus.runs.rows import RowRecord, TriedRows

_WATCH_SECONDS = 2.0
_ROWS_SHOWN = 20  #: as text, unless the user says how many


def status(
    folder: RunFolder,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    query: Annotated[
        str, typer.Option(metavar="ID", help="Show one query: its outcome, its raw answers and their origin.")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds while the run works.")] = False,
) -> None:
    """Show the state of a run, also while it works, or of all runs below a folder with their sum."""
    if query:
        print_query(folder, query, as_json=json)
    elif watch:
        watch_status(folder)
    else:
        print_status(folder, as_json=json)


@with_observer
@with_options
def try_rows(
    options: Options,
    observer: PlainObserver,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Number of rows to ask about.")] = 3,
    sample: Annotated[
        bool, typer.Option("--sample", help="Random rows, by --seed, instead of the first ones.")
    ] = False,
) -> None:
    """Ask about a few rows and show answers, pairs and cost. The run has these answers, and pays nothing for them."""
    from syphus import api
    from syphus.cli.summary import resume_line

    done = api.try_rows(options.name, count, sample=sample, observer=observer, **arguments(options))
    if options.json:
        print_as_json(done.as_json())
    else:
        print_rows(done.rows)
    for line in tried_lines(done):
        observer.say(line)
    if done.stopped_by is not None:
        observer.conclude([str(done.stopped_by), resume_line(done.stopped_by, given_command())], failed=True)
        raise typer.Exit(done.exit_code)


def rows(
    folder: RunFolder,
    state: Annotated[
        str, typer.Option(metavar="STATES", help="Only these: ok,invalid,truncated,refused,failed,pending.")
    ] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Only rows whose reason contains this.")] = "",
    query: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this row; can be repeated.")] = None,
    language: Annotated[str, typer.Option(metavar="CODE", help="Translated pairs of this language, such as zh.")] = "",
    count: Annotated[
        int | None, typer.Option("-n", "--count", metavar="N", help="At most N rows (default: 20 as text, else all).")
    ] = None,
    messages: Annotated[bool, typer.Option("--messages", help="Also show the prompt that was sent before.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print a table as CSV, with a line for each row.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array with everything that is known.")] = False,
) -> None:
    """Show rows of a run: annotation, raw answers, pairs, and what was wrong, marked in the answer."""
    from syphus import api

    if csv and json:
        raise ConfigError("--csv and --json: use one of them.")
    if count is not None and count < 1:
        raise ConfigError(f"-n {count}: must be at least 1.")
    with api.open_run(folder) as run:
        found = run.rows(state, reason=reason, query=query or (), language=language)
        RowOutput(messages, count).show(found, "csv" if csv else "json" if json else "text")


def failures(
    folder: RunFolder,
    examples: Annotated[int, typer.Option("-n", "--examples", metavar="N", help="Ids to print for each cause.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print the causes as JSON.")] = False,
) -> None:
    """Show what went wrong in a run, by cause: rows, money, examples, and what would help."""
    from syphus import api
    from syphus.runs.failures import failure_lines

    if examples < 0:
        raise ConfigError(f"-n {examples}: must be at least 0.")
    with api.open_run(folder) as run:
        found = run.failures(examples)
    if json:
        print_as_json(found.as_json())
    else:
        print_lines(*failure_lines(found, shlex.quote(str(folder)), program()))


def runs(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder with runs in it or below.")] = Path("output"),
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the runs below a folder: state, rows, pairs, cost, age, and the command of each."""
    from syphus import api

    found = api.list_runs(output)
    if json:
        print_as_json([run.as_json() for run in found])
    else:
        print_lines(*(runs_table(found, time.time()) if found else [f"No runs in {output} or below."]))


def status_lines(state: RunStatus, folder: Path) -> list[str]:
    """Return the state of a run, for `status`."""
    from syphus.cli.closing_table import language_lines
    from syphus.cli.summary import endpoint_lines, summary, usage_lines
    from syphus.formats.translation_report import TRANSLATE_STAGE
    from syphus.runs.batches import waiting_lines
    from syphus.runs.control import change_line

    report = state.report
    lines = summary(report) if report.stage != TRANSLATE_STAGE else []
    lines += _error_lines(report.of_rows, "requests")
    if report.translation is not None:
        lines += language_lines(report.translation, report.of_translation)
    if report.of_translation is not None:
        lines += usage_lines(report.of_translation)
        lines += _error_lines(report.of_translation, "requests of the translation")
    lines += [*endpoint_lines(report), *waiting_lines(folder)]
    lines += [change_line(change) for session in report.sessions for change in session.changes]
    lines += [] if state.reviews is None else [state.reviews.line()]
    return [*lines, *(_working_lines(state) if state.working else _next_step_lines(state, folder))]


def _next_step_lines(state: RunStatus, folder: Path) -> list[str]:
    """Return how the last session ended, and the commands for what is left to do."""
    from syphus.cli.closing_table import look_lines, retry_translations_line
    from syphus.cli.summary import behind_line, quoted_path, repairs_before_retry, states_to_retry_of

    report, lines = state.report, list[str]()
    last = report.sessions[-1] if report.sessions else None
    if last is not None and last.stopped:
        lines.append(f"The last session ended: {last.stopped}")
    elif last is not None and last.ended is None:
        lines.append("The last session was killed.")
    if report.translation is not None and report.translation.behind:
        lines.append(behind_line(report.translation, folder))
    lines += _look_lines(report, folder)
    if report.translation is not None:
        lines += look_lines(report.translation, folder)
        lines += retry_translations_line(report.translation, folder, state.command)
    if report.counts.states[State.PENDING] and state.command is not None:
        most = state.command.options.get("max_requests")
        higher = " --max-requests N" if most is not None and state.requests >= int(str(most)) else ""
        lines.append(f"Resume it: syphus resume {quoted_path(folder)}{higher}")
    elif report.counts.states[State.PENDING]:
        lines.append("Run the same command again to resume.")
    if states := states_to_retry_of(report):
        lines.append(f"To retry them, add --retry {states} to the run's command.")
    lines += [f"Once {what}, add --retry {State.FAILED} to the run's command." for what in repairs_before_retry(report)]
    return lines


def _error_lines(expense: Expense, what: str) -> list[str]:
    """Return how many requests there were, and why some have no answer; nothing if all have one."""
    from syphus.ledger.records import ANSWERED

    errors = {cause: count for cause, count in expense.spending.causes.items() if cause != ANSWERED}
    if not errors:
        return []
    by_cause = ", ".join(f"{count:,} {cause}" for cause, count in sorted(errors.items(), key=lambda item: -item[1]))
    return [f"{expense.spending.requests:,} {what}; without an answer: {by_cause}"]


def _working_lines(state: RunStatus) -> list[str]:
    """Return which process works on a run, how fast it is, and what it may spend."""
    now = state.process
    if now is None or now.process is None:
        return ["A process is working on this run."]
    age = "none yet" if now.last_answer is None else f"{format_duration(max(0.0, now.last_answer))} ago"
    left = "" if now.seconds_left is None else f", about {format_duration(now.seconds_left)} left"
    lines = [
        f"Process {now.process.pid} on {printable(now.process.host)} is working on this run.",
        f"{now.rows_per_minute:,.0f} rows/min{left}; the last answer: {age}",
    ]
    if (dollars := state.limit("max_cost")) is not None and state.cost is not None:
        lines.append(f"{format_dollars(state.cost)} of {format_dollars(dollars)} are spent.")
    if (requests := state.limit("max_requests")) is not None:
        lines.append(f"{state.requests:,} of {requests:,.0f} requests are made.")
    if state.controls is not None and state.controls.in_force.paused:
        lines.append("It is paused: nothing is sent until `syphus control FOLDER --resume`.")
    return lines


def _look_lines(report: Report, folder: Path) -> list[str]:
    """Return the command that shows the rows of each state that is not ok."""
    states = [state for state in State if state not in (State.OK, State.PENDING) and report.counts.states[state]]
    look = f"syphus rows {shlex.quote(str(folder))}"
    return [f"Look at them: {look} --state {','.join(states)}"] if states else []


def runs_table(runs: Sequence[RunSummary], now: float) -> list[str]:
    """Return a line for each run, and one for its command below it."""
    head = ("run", "state", "rows", "ok", "pairs", "cost", "used")
    rows = [
        (
            *(str(run.folder), run.state, f"{sum(run.states.values()):,}", f"{run.states.get(State.OK, 0):,}"),
            *(f"{run.pairs:,}", _cost_of(run), f"{format_duration(max(0.0, now - run.last_used))} ago"),
        )
        for run in runs
    ]
    table = align_columns([head, *rows], 2)
    below = [[f"    {run.problem or run.command}"] if run.problem or run.command else [] for run in runs]
    return [table[0], *(line for first, more in zip(table[1:], below, strict=True) for line in (first, *more))]


def total_lines(runs: Sequence[RunSummary]) -> list[str]:
    """Return the sums over several runs; nothing for one run. Made-up answers cost nothing."""
    readable = [run for run in runs if not run.problem]
    if len(readable) < 2:
        return []
    counts = Counter[str]()
    for run in readable:
        counts.update(run.states)
    costs = [0.0 if run.simulated else run.cost for run in readable]
    known = [cost for cost in costs if cost is not None]
    cost = format_dollars(sum(known)) + (f", {len(costs) - len(known)} unknown" if len(known) < len(costs) else "")
    states = " + ".join(f"{counts[state]:,} {state}" for state in State)
    pairs = sum(run.pairs for run in readable)
    return [f"{len(readable):,} runs: {counts.total():,} queries = {states}    {pairs:,} pairs    {cost}"]


def _cost_of(run: RunSummary) -> str:
    if run.problem:
        return "-"
    if run.simulated:
        return "simulated"
    return "unknown" if run.cost is None else format_dollars(run.cost)


def print_status(folder: Path, *, as_json: bool) -> bool:
    """Print the state of a run, or the runs below another folder; return whether a process works on it."""
    from syphus import api
    from syphus.ledger.store import FILE
    from syphus.runs.reader import find_runs

    if not (folder / FILE).exists() and folder.is_dir() and next(find_runs(folder), None) is not None:
        found = api.list_runs(folder)
        if as_json:
            print_as_json([run.as_json() for run in found])
        else:
            print_lines(*runs_table(found, time.time()), *total_lines(found))
        return any(run.working for run in found)
    with api.open_run(folder) as run:
        state = run.status()
    if as_json:
        print_as_json(state.as_json())
    else:
        print_lines(*status_lines(state, folder))
    return state.working


def watch_status(folder: Path) -> None:
    """Print the state of a run every two seconds until no process works on it."""
    is_terminal = sys.stdout.isatty()
    while True:
        if is_terminal:
            print_text("\033[H\033[2J")
        print_lines(f"{time.strftime('%H:%M:%S')}  {printable(str(folder))}")
        if not print_status(folder, as_json=False):
            return
        time.sleep(_WATCH_SECONDS)


def print_query(folder: Path, query: str, *, as_json: bool) -> None:
    """Print one query with its raw answers, as JSON or for people."""
    from syphus import api
    from syphus.runs.reader import read_query

    found = read_query(folder, query)
    if as_json:
        print_as_json(found)
        return
    with api.open_run(folder) as run:
        try:
            print_rows(run.rows(query=[query]))
        except InputError:  # a pair of a translation
            print_text("".join(f"{line}\n" for line in _outline(found, "")))


def _outline(value: object, indent: str) -> Iterator[str]:
    """Yield JSON values as an outline for people."""
    for name, each in (
        value.items() if isinstance(value, Mapping) else enumerate(value, 1) if isinstance(value, list) else ()
    ):
        if isinstance(each, Mapping | list) and each:
            yield f"{indent}{printable(str(name))}"
            yield from _outline(each, f"{indent}  ")
        elif each not in ("", None, [], {}):
            first, *more = printable(str(each)).splitlines()
            yield f"{indent}{printable(str(name)):<16} {first}"
            yield from (f"{indent}{'':<16} {line}" for line in more)


def print_rows(rows: Iterable[RowRecord], *, messages: bool = False) -> None:
    """Print rows for people, one at a time."""
    from syphus.runs.row_text import row_lines

    colours = uses_colours(sys.stdout)
    for row in rows:
        print_text("".join(f"{line}\n" for line in row_lines(row, colours, messages)))


class RowOutput:
    """Prints rows in one of three forms, as they are read: of millions, no more than a few are in memory."""

    def __init__(self, messages: bool, count: int | None) -> None:
        self._messages = messages
        self._count = count

    def show(self, rows: Iterator[RowRecord], form: Literal["text", "csv", "json"]) -> None:
        """Print the rows."""
        from syphus.runs.row_text import CSV_COLUMNS, csv_line, csv_values

        if form == "text":
            count = self._count or _ROWS_SHOWN
            first = next(rows, None)
            if first is None:
                say("No rows match. `status` counts the rows by state.")
                return
            rows = itertools.chain((first,), rows)
            print_rows(itertools.islice(rows, count), messages=self._messages)
            if self._count is None and next(rows, None) is not None:
                say(f"These are the first {count}. More: -n N, or --csv or --json for all.")
            return
        chosen = itertools.islice(rows, self._count) if self._count else rows
        if form == "csv":
            print_text(csv_line(CSV_COLUMNS))
            for row in chosen:
                print_text(csv_line(csv_values(row)))
            return
        write_out(b"[")
        for number, row in enumerate(chosen):
            write_out((b",\n" if number else b"\n") + as_json_bytes(row.as_json()))
        write_out(b"\n]\n")


def tried_lines(done: TriedRows) -> list[str]:
    """Return what a try has cost, and where its answers are."""
    asked = pluralize(done.requests, "request")
    cost = "simulated" if done.simulated else "cost unknown" if done.cost is None else format_dollars(done.cost)
    return [
        f"{pluralize(len(done.rows), 'row')}, {asked}, {cost}. The answers are in {done.folder}.",
        "A run with the same options does not pay for them again.",
    ]
