"""Writes the HTML page that shows pairs beside their translations, by language. It needs no network and no script."""

from __future__ import annotations

from pathlib import Path

from syphus.answers.translation import LANGUAGES
from syphus.answers.translation.judge_prompt import TRANSLATION_FAULTS
from syphus.formats.html_page import Html, card, join, table, tag, write_document
from syphus.formats.translation_report import (
    BadTranslation,
    JudgedCounts,
    LanguageReport,
    SamplePair,
    TranslationReport,
)
from syphus.text import SIMULATED_NOTICE
from syphus.types import State

PAGE_FILE = "translation.html"

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
    write_document(path, f"{title}: translations", translation_parts(report, simulated), f"{report.pairs:,} pairs.")


def translation_parts(report: TranslationReport, simulated: bool) -> list[Html]:
    """Return the parts of the page: a notice, the numbers of each language, and its pairs."""
    links = [tag("a", {"class": "button", "href": f"#{each.code}"}, _name(each.code)) for each in report.languages]
    parts = [tag("p", {"class": "notice"}, SIMULATED_NOTICE)] if simulated else []
    numbers = table(_HEADINGS, [_numbers(each) for each in report.languages], "Languages", first_number=1)
    return [*parts, tag("nav", {"class": "actions"}, links), card("", numbers), *map(_section, report.languages)]


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


def _name(code: str) -> Html:
    language = LANGUAGES[code]
    return join(language.name, " (", tag("span", {"lang": code, "dir": "auto"}, language.own_name), ")")


def _section(report: LanguageReport) -> Html:
    reasons = [f"{n:,} {reason}" for found in report.counts.reasons.values() for reason, n in found.most_common()]
    rows = [_pair_rows(report.code, pair) for pair in report.sample]
    return tag(
        "section",
        {"class": "section stack", "id": report.code},
        tag("h2", None, _name(report.code)),
        tag("p", None, f"Rejected: {', '.join(reasons)}.") if reasons else None,
        _judged(report.code, report.judged) if report.judged else None,
        tag("table", {"class": "beside"}, rows) if rows else tag("p", None, "No pairs yet."),
    )


def _judged(code: str, judged: JudgedCounts) -> Html:
    """Show the counts of the verdicts, and the bad translations with the judge's reasons."""
    faults = ", ".join(f"{judged.bad[fault]:,} {fault}" for fault in TRANSLATION_FAULTS if judged.bad[fault])
    bad = f" ({faults})" if faults else ""
    more = "".join(f", {n:,} {what}" for n, what in ((judged.unclear, "unclear"), (judged.pending, "pending")) if n)
    summary = tag("p", None, f"Judged by a model: {judged.good:,} good, {judged.bad.total():,} bad{bad}{more}.")
    if not judged.shown:
        return summary
    rows = [_pair_rows(code, SamplePair(bad.id, bad.source, bad.translation), bad) for bad in judged.shown]
    table_of_bad = tag("table", {"class": "beside warn"}, rows)
    return join(summary, table_of_bad, tag("p", None, "A sample of the accepted translations:"))


def _pair_rows(code: str, pair: SamplePair, bad: BadTranslation | None = None) -> Html:
    direction = "rtl" if LANGUAGES[code].rtl else "ltr"
    why = join(" · ", tag("b", None, bad.fault), f": {bad.reason}") if bad else None
    return join(
        tag("tr", None, tag("td", {"class": "id", "colspan": "2"}, pair.id, why)),
        tag(
            "tr",
            None,
            tag("td", {"lang": "en", "dir": "ltr"}, _texts(pair.source)),
            tag("td", {"lang": code, "dir": direction}, _texts(pair.translation)),
        ),
    )


def _texts(texts: tuple[str, str]) -> Html:
    instruction, answer = texts
    return join(tag("p", {"class": "instruction"}, instruction), tag("p", None, answer))
