"""What a terminal shows at the end of the main job: a small table, and what to do next by the real commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from syphus.cli.streams import program
from syphus.cli.summary import (
    cost,
    endpoint_lines,
    file_lines,
    repairs_before_retry,
    resume_line,
    states_to_retry_of,
    usage_lines,
    without_retry,
)
from syphus.errors import UnsatisfactoryError
from syphus.formats.report import Report, RunResult
from syphus.text import SIMULATED_NOTICE, align_columns, format_spent, one_line, pluralize, short_path
from syphus.types import State


def run_table(finished: RunResult, command: str, folder: Path, has_rows: bool) -> list[str]:
    """Return how a run ended as a small table for a terminal, and what to do next by the real commands.

    `has_rows` says whether there is a command `rows`. The rest is as in `run_summary`.
    """
    report, counts = finished.report, finished.report.counts
    spent = format_spent(0.0, simulated=True) if report.simulated and report.cost == 0 else cost(report)
    head = f"{pluralize(counts.total, 'query', 'queries')}, {pluralize(counts.pairs, 'pair')}, {spent}"
    lines = [str(finished.stopped_by)] if finished.stopped_by is not None else []
    lines.append(f"{head}, {pluralize(len(report.sessions), 'session')}")
    lines += [f"  {line}" for line in align_columns(_state_rows(report), 1)]
    lines += [*usage_lines(report), *endpoint_lines(report)]
    if report.simulated:
        lines.append(SIMULATED_NOTICE)
        lines += [line for pair in finished.sample for line in (f"  {pair.instruction}", f"    {pair.answer}")]
    lines += file_lines(finished.files)
    if isinstance(finished.stopped_by, UnsatisfactoryError):
        return lines  # the error says what to do
    return [*lines, *(f"{what:<8}{how}" for what, how in _next_steps(finished, command, folder, has_rows))]


def _state_rows(report: Report) -> list[tuple[str, ...]]:
    """Return a row for each state that occurs: its queries, their share, and the reasons."""
    counts = report.counts
    rows: list[tuple[str, ...]] = []
    for state in State:
        if count := counts.states[state]:
            reasons = counts.reasons.get(state, Counter()) if state is not State.PENDING else Counter[str]()
            shown = [f"{n:,} {one_line(reason, 40)}" for reason, n in reasons.most_common(2)]
            shown += ["..."] if len(reasons) > len(shown) else []
            rows.append((state.value, f"{count:,}", f"{count / counts.total:.0%}", "   ".join(shown)))
    return rows or [("no queries", "", "", "")]


def _next_steps(finished: RunResult, command: str, folder: Path, has_rows: bool) -> Iterator[tuple[str, str]]:
    """Yield what to do next, each with its command."""
    states, command = finished.report.counts.states, without_retry(command)
    syphus, run = program(), short_path(folder)
    bad = [state.value for state in State if states[state] and state not in (State.OK, State.PENDING)]
    if states[State.PENDING] or finished.stopped_by is not None:
        yield "resume", resume_line(finished.stopped_by, command).partition(": ")[2]
    if bad and has_rows:
        yield "rows", f"{syphus} rows {run} --state {','.join(bad)}"
    if finished.report.counts.pairs:
        yield "export", f"{syphus} export {run} --format llava"
    if not states[State.PENDING] and finished.stopped_by is None:
        if to_retry := states_to_retry_of(finished.report):
            yield "retry", f"{command} --retry {to_retry}"
        for what in repairs_before_retry(finished.report):
            yield "retry", f"{command} --retry {State.FAILED}  (once {what})"
