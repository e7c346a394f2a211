"""What people read about translations: where the pairs stand in each language."""

from __future__ import annotations

from syphus.formats.translation import LanguageReport, TranslationReport
from syphus.terminal.corpus import columns
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


def _row(report: LanguageReport) -> tuple[str, ...]:
    counts, ok = report.counts, report.ok
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    reasons = [
        f"{n:,} {one_line(reason, 60)}" for found in counts.reasons.values() for reason, n in found.most_common()
    ]
    shown = [*reasons[:_REASONS], *(["..."] if len(reasons) > _REASONS else [])]
    pending = f"{counts.states[State.PENDING]:,} pending" if counts.states[State.PENDING] else ""
    judged = f"{report.judged.total:,} judged, {report.judged.bad.total():,} bad" if report.judged else ""
    return (
        *(
            report.code,
            f"{ok:,} ok",
            f"{counts.retried:,} asked again",
            f"{tokens / ok:,.0f} tokens a pair" if ok else "-",
        ),
        *(judged, pending, "   ".join(shown)),
    )
