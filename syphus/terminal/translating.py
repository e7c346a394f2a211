"""The sentences that people read after translating, and about translations."""

from __future__ import annotations

from syphus.formats.report import Translated
from syphus.formats.translation import LanguageReport, TranslationReport
from syphus.terminal.corpus import columns
from syphus.terminal.telling import closing_files, going_on, without_retry
from syphus.text import many, one_line
from syphus.types import State

_REASONS = 3  #: of each language that are shown


def numbers(report: TranslationReport) -> list[str]:
    """How many pairs there are in each language, which adds up, and why the others are not."""
    total = report.pairs * len(report.languages)
    states = {state: sum(each.counts.states[state] for each in report.languages) for state in State}
    parts = " + ".join(f"{states[state]:,} {state}" for state in State)
    what = f"{many(report.pairs, 'pair')} in {many(len(report.languages), 'language')}"
    rows = [_row(each) for each in report.languages]
    return [f"{what}: {total:,} = {parts}", *(f"  {line}" for line in columns(rows, 1))]


def closing(done: Translated, command: str) -> list[str]:
    """How it ended: the cause if it was stopped, the languages, the files, and the command that goes on."""
    report = done.report
    lines = [str(done.stopped_by)] if done.stopped_by is not None else []
    assert report.translation is not None
    lines += numbers(report.translation)
    if report.simulated:
        lines.append("Answered by the simulated endpoint: made-up text, not a model.")
    gaps = sum(done.with_gaps.values())
    if gaps:
        what = many(gaps, "translated round lacks", "translated rounds lack")
        kept = "kept, as --partial says" if done.partial else "left out; --partial keeps them"
        lines.append(f"{what} earlier rounds in the same language: {kept}.")
    lines += closing_files(done.files)
    states = {state: sum(each.counts.states[state] for each in report.translation.languages) for state in State}
    if done.stopped_by is not None:
        lines.append(going_on(done.stopped_by, command))
    elif bad := [
        state.value for state in (State.INVALID, State.TRUNCATED, State.REFUSED, State.FAILED) if states[state]
    ]:
        lines.append(f"Ask those again: {without_retry(command)} --retry {','.join(bad)}")
    return lines


def _row(report: LanguageReport) -> tuple[str, ...]:
    counts, ok = report.counts, report.ok
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    reasons = [
        f"{n:,} {one_line(reason, 60)}" for found in counts.reasons.values() for reason, n in found.most_common()
    ]
    shown = [*reasons[:_REASONS], *(["..."] if len(reasons) > _REASONS else [])]
    pending = f"{counts.states[State.PENDING]:,} pending" if counts.states[State.PENDING] else ""
    return (
        *(
            report.code,
            f"{ok:,} ok",
            f"{counts.retried:,} asked again",
            f"{tokens / ok:,.0f} tokens a pair" if ok else "-",
        ),
        *(pending, "   ".join(shown)),
    )
