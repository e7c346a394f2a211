"""How a run ends on a terminal, as a small table with the next commands; and what people read about a translation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from syphus.cli.streams import program
from syphus.cli.summary import (
    SYPHUS,
    cost,
    endpoint_lines,
    file_lines,
    quoted_path,
    repairs_before_retry,
    resume_line,
    states_to_retry_of,
    usage_lines,
    without_retry,
)
from syphus.config.option_types import EndpointValues
from syphus.errors import UnsatisfactoryError
from syphus.formats.report import Expense, Report, RunResult, TranslationResult
from syphus.formats.translation_report import LanguageReport, TranslationReport
from syphus.runs.run_settings import TRANSLATE, KeptCommand
from syphus.text import SIMULATED_NOTICE, align_columns, format_spent, one_line, pluralize, short_path
from syphus.types import State

_REASONS_PER_LANGUAGE = 3  #: that are shown
_ENDPOINT = ("config", "offline")  # options of the main job that a translation needs, too


def run_table(finished: RunResult, command: str, folder: Path) -> list[str]:
    """Return how a run ended as a small table for a terminal, and what to do next by the real commands."""
    report, counts = finished.report, finished.report.counts
    spent = format_spent(0.0, simulated=True) if report.simulated and report.of_rows.cost == 0 else cost(report.of_rows)
    head = f"{pluralize(counts.total, 'query', 'queries')}, {pluralize(counts.pairs, 'pair')}, {spent}"
    lines = [str(finished.stopped_by)] if finished.stopped_by is not None else []
    lines.append(f"{head}, {pluralize(len(report.sessions), 'session')}")
    lines += [f"  {line}" for line in align_columns(_state_rows(report), 1)]
    lines += [*usage_lines(report.of_rows), *endpoint_lines(report)]
    lines += filter(None, [report.accepted.line()])
    if report.simulated:
        lines.append(SIMULATED_NOTICE)
        lines += [line for pair in finished.sample for line in (f"  {pair.instruction}", f"    {pair.answer}")]
    lines += file_lines(finished.files)
    if isinstance(finished.stopped_by, UnsatisfactoryError):
        return lines  # the error says what to do
    return [*lines, *(f"{what:<8}{how}" for what, how in _next_steps(finished, command, folder))]


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


def _next_steps(finished: RunResult, command: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what to do next, each with its command."""
    states, command = finished.report.counts.states, without_retry(command)
    syphus, run = program(), short_path(folder)
    bad = [state.value for state in State if states[state] and state not in (State.OK, State.PENDING)]
    if finished.enough:
        yield "enough", finished.enough
    elif states[State.PENDING] or finished.stopped_by is not None:
        yield "resume", resume_line(finished.stopped_by, command).partition(": ")[2]
    if bad:
        yield "rows", f"{syphus} rows {run} --state {','.join(bad)}"
    if finished.report.counts.pairs:
        yield "export", f"{syphus} export {run} --format llava"
    if not states[State.PENDING] and finished.stopped_by is None:
        if to_retry := states_to_retry_of(finished.report):
            yield "retry", f"{command} --retry {to_retry}"
        for what in repairs_before_retry(finished.report):
            yield "retry", f"{command} --retry {State.FAILED}  (once {what})"


def language_lines(report: TranslationReport, expense: Expense | None) -> list[str]:
    """Return how many pairs are in each state, over all languages and in each, the reasons, and the own `expense`."""
    total, states = report.pairs * len(report.languages), report.states
    parts = " + ".join(f"{states[state]:,} {state}" for state in State)
    paid = f"    {pluralize(expense.spending.requests, 'request')}, {cost(expense)}" if expense else ""
    what = f"{pluralize(report.pairs, 'pair')} in {pluralize(len(report.languages), 'language')}"
    rows = [_row(each) for each in report.languages]
    new = f" ({pluralize(report.behind, 'new pair')})" if report.behind else ""
    return [f"{what}: {total:,} = {parts}{new}{paid}", *(f"  {line}" for line in align_columns(rows, 1))]


def _row(report: LanguageReport) -> tuple[str, ...]:
    counts, ok = report.counts, report.ok
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    reasons = [
        f"{n:,} {one_line(reason, 60)}" for found in counts.reasons.values() for reason, n in found.most_common()
    ]
    shown = [*reasons[:_REASONS_PER_LANGUAGE], *(["..."] if len(reasons) > _REASONS_PER_LANGUAGE else [])]
    pending = f"{counts.states[State.PENDING]:,} pending" if counts.states[State.PENDING] else ""
    judged = f"{report.judged.total:,} judged, {report.judged.bad.total():,} bad" if report.judged else ""
    return (
        *(
            report.code,
            f"{ok:,} ok",
            f"{counts.retried:,} retried",
            f"{tokens / ok:,.0f} tokens per pair" if ok else "-",
        ),
        *(judged, pending, "   ".join(shown)),
    )


_BY_LANGUAGE = re.compile(r"(.*)_([a-z]{2})(\.[a-z]+)")


def translation_summary(done: TranslationResult, command: str) -> list[str]:
    """Return how a translation ended: what stopped it, the languages, the files, and the command that resumes it."""
    report = done.report
    lines = [str(done.stopped_by)] if done.stopped_by is not None else []
    assert report.translation is not None
    lines += language_lines(report.translation, report.of_translation)
    if report.of_rows.sessions:
        rows = f"{pluralize(report.of_rows.spending.requests, 'request')}, {cost(report.of_rows)}"
        lines.append(f"The run before it: {rows}")
    if report.of_translation:
        lines += usage_lines(report.of_translation)
    if report.simulated:
        lines.append(SIMULATED_NOTICE)
    gaps = sum(done.missing_context.values())
    if gaps:
        what = pluralize(gaps, "translated round lacks", "translated rounds lack")
        fate = "kept because of --partial" if done.partial else "left out; --partial keeps them"
        lines.append(f"{what} earlier rounds in the same language: {fate}.")
    lines += file_lines(_grouped(done.files))
    if done.stopped_by is not None:
        lines.append(resume_line(done.stopped_by, command))
    elif bad := _bad_states(report.translation.states):
        lines += look_lines(report.translation, done.folder)
        lines.append(f"Retry them with: {without_retry(command)} --retry {','.join(bad)}")
    return lines


def look_lines(report: TranslationReport, folder: Path) -> list[str]:
    """Return, for each language, the command that shows its translations that are not ok."""
    look = f"{SYPHUS} rows {quoted_path(folder)}"
    return [
        f"Look at the translations: {look} --language {each.code} --state {','.join(bad)}"
        for each in report.languages
        if (bad := _bad_states(each.counts.states))
    ]


def retry_translations_line(report: TranslationReport, folder: Path, command: KeptCommand | None) -> list[str]:
    """Return how to retry the translations that are not ok, with the endpoint and the settings of the newest command.

    A folder without a kept command is that of a file's translation, or an earlier version made it.
    """
    states = _bad_states(report.states)
    if not states:
        return []
    codes = [each.code for each in report.languages if _bad_states(each.counts.states)]
    if command is None:
        what = f"--languages {','.join(codes)} --retry {','.join(states)}"
        return [f"To retry the translations, add {what} to the command of the translation."]
    translated = command.command == TRANSLATE or "languages" in command.options
    names = EndpointValues.__annotations__ if translated else _ENDPOINT
    kept = {name: command.options[name] for name in names if name in command.options}
    again = command._replace(command=TRANSLATE, options={**kept, "languages": ",".join(codes)})
    return [f"Retry the translations with: {again.line(folder.absolute())} --retry {','.join(states)}"]


def _bad_states(states: Mapping[State, int]) -> list[str]:
    return [state.value for state in State if states[state] and state not in (State.OK, State.PENDING)]


def _grouped(files: Sequence[str]) -> list[str]:
    """Return the files with those that differ by language as one: `SD_instructions_{zh,ja}.json`."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for file in files:
        found = _BY_LANGUAGE.fullmatch(file)
        kinds.setdefault((found[1], found[3]) if found else (file, ""), []).append(found[2] if found else "")
    return [
        f"{name}_{{{','.join(codes)}}}{end}" if len(codes) > 1 else f"{name}_{codes[0]}{end}" if codes[0] else name
        for (name, end), codes in kinds.items()
    ]
