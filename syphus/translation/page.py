"""Writes the HTML page that shows pairs beside their translations, by language. It needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from syphus.answers.translation import LANGUAGES
from syphus.answers.translation.judge_prompt import TRANSLATION_FAULTS
from syphus.formats.translation_report import (
    BadTranslation,
    JudgedCounts,
    LanguageReport,
    SamplePair,
    TranslationReport,
)
from syphus.io.durable import replace_file
from syphus.text import SIMULATED_NOTICE
from syphus.types import State

PAGE_FILE = "translation.html"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.55 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; max-width: 76rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); }
.numbers td, .numbers th { text-align: right; } .numbers td:first-child, .numbers th:first-child { text-align: left; }
.numbers { width: auto; } .wide { overflow-x: auto; }
.pairs { table-layout: fixed; } .pairs td { vertical-align: top; width: 50%; overflow-wrap: anywhere; }
.pairs p { margin: 0 0 .3rem; white-space: pre-wrap; } .pairs p.instruction { font-weight: 600; }
.bad { border-inline-start: 3px solid #c33; }
.id { color: #888; font-size: 12px; text-align: left; background: var(--soft); } nav a { margin-inline-end: 1rem; }
"""
_HEADINGS = (
    "language",
    "pairs",
    "pending",
    "rejected",
    "retried",
    "tokens per pair",
    "cost per pair",
    "judged",
    "bad",
)


def write_page(path: Path, title: str, report: TranslationReport, simulated: bool) -> None:
    """Write the page in UTF-8. Raises `StorageError` if the disk fails."""
    links = "".join(f'<a href="#{each.code}">{_name(each.code)}</a>' for each in report.languages)
    simulated_note = f"<p>{SIMULATED_NOTICE}</p>\n" if simulated else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f"<title>{escape(title)}: translations</title>\n",
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}: translations</h1>\n",
        f"<p>{report.pairs:,} pairs.</p>\n{simulated_note}<nav>{links}</nav>\n",
        f'<div class="wide"><table class="numbers">\n{_table_row("th", _HEADINGS)}',
        *(_table_row("td", _numbers(each)) for each in report.languages),
        "</table></div>\n",
        *(_section(each) for each in report.languages),
        "</body>\n</html>\n",
    ]
    with replace_file(path) as file:
        file.write("".join(parts).encode())


def _table_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>\n"


def _numbers(report: LanguageReport) -> tuple[str, ...]:
    states, ok = report.counts.states, report.ok
    bad = sum(count for state, count in states.items() if state not in (State.OK, State.PENDING))
    tokens = report.usage.prompt_tokens + report.usage.completion_tokens
    cost = f"${report.cost / ok:.6f}" if ok and report.cost is not None else "-"
    return (
        *(_name(report.code), f"{ok:,}", f"{states[State.PENDING]:,}", f"{bad:,}", f"{report.counts.retried:,}"),
        *(f"{tokens / ok:,.0f}" if ok else "-", cost),
        *((f"{report.judged.total:,}", f"{report.judged.bad.total():,}") if report.judged else ("-", "-")),
    )


def _name(code: str) -> str:
    language = LANGUAGES[code]
    return f'{escape(language.name)} (<span lang="{code}" dir="auto">{escape(language.own_name)}</span>)'


def _section(report: LanguageReport) -> str:
    reasons = [f"{n:,} {reason}" for found in report.counts.reasons.values() for reason, n in found.most_common()]
    rejected = f"<p>Rejected: {escape(', '.join(reasons))}.</p>\n" if reasons else ""
    judged = _judged(report.code, report.judged) if report.judged else ""
    rows = "".join(_pair_row(report.code, pair) for pair in report.sample)
    table = f'<table class="pairs">\n{rows}</table>\n' if rows else "<p>No pairs yet.</p>\n"
    return f'<h2 id="{report.code}">{_name(report.code)}</h2>\n{rejected}{judged}{table}'


def _judged(code: str, judged: JudgedCounts) -> str:
    """Show the counts of the verdicts, and the bad translations with the judge's reasons."""
    faults = ", ".join(f"{judged.bad[fault]:,} {fault}" for fault in TRANSLATION_FAULTS if judged.bad[fault])
    bad = f" ({faults})" if faults else ""
    more = "".join(f", {n:,} {what}" for n, what in ((judged.unclear, "unclear"), (judged.pending, "pending")) if n)
    summary = f"<p>Judged by a model: {judged.good:,} good, {judged.bad.total():,} bad{bad}{more}.</p>\n"
    if not judged.shown:
        return summary
    rows = [_pair_row(code, SamplePair(bad.id, bad.source, bad.translation), _why(bad)) for bad in judged.shown]
    table = f'<table class="pairs bad">\n{"".join(rows)}</table>\n'
    return f"{summary}{table}<p>A sample of the accepted translations:</p>\n"


def _why(bad: BadTranslation) -> str:
    return f" &middot; <b>{escape(bad.fault)}</b>: {escape(bad.reason)}"


def _pair_row(code: str, pair: SamplePair, why: str = "") -> str:
    direction = "rtl" if LANGUAGES[code].rtl else "ltr"
    return (
        f'<tr><td class="id" colspan="2">{escape(pair.id)}{why}</td></tr>\n'
        f'<tr><td lang="en" dir="ltr">{_texts(pair.source)}</td>'
        f'<td lang="{code}" dir="{direction}">{_texts(pair.translation)}</td></tr>\n'
    )


def _texts(texts: tuple[str, str]) -> str:
    instruction, answer = map(escape, texts)
    return f'<p class="instruction">{instruction}</p><p>{answer}</p>'
