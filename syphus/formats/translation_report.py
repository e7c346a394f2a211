"""Translations in numbers: by language where the pairs stand, what they have cost, and some beside their source.

From the ledger alone: the same ledger gives the same report.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

import orjson

from syphus.answers.translation.judge_prompt import NO_FAULT, TRANSLATION_FAULTS, read_verdict
from syphus.config.pricing import Prices
from syphus.ledger.results import answered_queries
from syphus.ledger.sessions import get_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import PartCounts, PartUse, count_part_spending, count_parts, count_wholes, has_parts
from syphus.types import State, Usage

# FOLDED from judged.py:
# What a judge has said of translations, by language; from the ledger alone.

JUDGE_STAGE = "judge translations"  #: the name of the stage
MAX_BAD_SHOWN = 20  #: bad ones of each language, at the most


class BadTranslation(NamedTuple):
    """A translation that was found bad, beside its source: each instruction and answer."""

    id: str
    fault: str
    reason: str
    source: tuple[str, str]
    translation: tuple[str, str]


class JudgedCounts(NamedTuple):
    """The findings in one language. `unclear` are answers that are no verdict, `waiting` were not judged yet."""

    good: int
    bad: Counter[str]  #: by fault
    unclear: int
    pending: int
    shown: list[BadTranslation]  #: the first of those that are bad

    @property
    def total(self) -> int:
        """Verdicts."""
        return self.good + self.bad.total()


def read_verdicts(store: Store) -> dict[str, JudgedCounts]:
    """By language; a language of which nothing was to be judged is not there."""
    found: dict[str, JudgedCounts] = {}
    for each in answered_queries(store, JUDGE_STAGE):
        code, name = each.query.id.split(" ", 1)
        so_far = found.get(code) or JudgedCounts(0, Counter(), 0, 0, [])
        if each.state is State.PENDING:
            found[code] = so_far._replace(pending=so_far.pending + 1)
        elif each.state is not State.OK:
            found[code] = so_far._replace(unclear=so_far.unclear + 1)
        else:
            found[code] = _with_verdict(so_far, name, each.query.text, each.detail)
    return found


def _with_verdict(so_far: JudgedCounts, name: str, texts: str, detail: str) -> JudgedCounts:
    opinion = read_verdict(detail)
    if opinion.fault == NO_FAULT:
        return so_far._replace(good=so_far.good + 1)
    so_far.bad[opinion.fault] += 1
    if len(so_far.shown) < MAX_BAD_SHOWN:
        source, translation = (tuple(each) for each in orjson.loads(texts))
        so_far.shown.append(BadTranslation(name, opinion.fault, opinion.reason, source, translation))
    return so_far


def judged_as_json(judged: JudgedCounts) -> dict[str, object]:
    """The findings as JSON values."""
    return {
        "good": judged.good,
        "bad": {fault: judged.bad[fault] for fault in TRANSLATION_FAULTS if judged.bad[fault]},
        "unclear": judged.unclear,
        "waiting": judged.pending,
        "found": [
            {
                "id": each.id,
                "fault": each.fault,
                "reason": each.reason,
                "source": dict(zip(("instruction", "answer"), each.source, strict=True)),
                "translation": dict(zip(("instruction", "answer"), each.translation, strict=True)),
            }
            for each in judged.shown
        ],
    }


TRANSLATE_STAGE, RETRY_STAGE = "translate", "translate again"  #: the names of the two stages
CHUNK_MARK = '"of":'  #: in the meta of the queries that are pieces of a long pair, and of no others
LANGUAGES_KEY = "languages"  #: meta: the codes of all languages that were ever asked for, with commas

SAMPLE_SIZE = 20  #: pairs of each language


class SamplePair(NamedTuple):
    """A pair beside its source: each instruction and answer."""

    id: str
    source: tuple[str, str]
    translation: tuple[str, str]


class LanguageReport(NamedTuple):
    """One language. `cost` is in dollars, None where a price is not known."""

    code: str
    counts: PartCounts
    answers: int  #: that it was asked for in
    usage: Usage  #: its share of their tokens
    cost: float | None
    sample: list[SamplePair]
    judged: JudgedCounts | None = None  #: where a judge was asked about some

    @property
    def ok(self) -> int:
        """Pairs that are translated."""
        return self.counts.states[State.OK]


class TranslationReport(NamedTuple):
    """All languages of a folder."""

    pairs: int
    languages: list[LanguageReport]

    def done(self, codes: list[str]) -> bool:
        """Whether every pair is there in these languages."""
        return all(each.ok == self.pairs for each in self.languages if each.code in codes)


def known_languages(store: Store) -> list[str]:
    """The codes of all languages that this folder was ever to have, in their order."""
    return [code for code in str(get_meta(store, LANGUAGES_KEY) or "").split(",") if code]


def read_translation(store: Store, prices: Prices) -> TranslationReport | None:
    """The numbers; None where nothing was ever to be translated."""
    codes = known_languages(store)
    if not codes or not has_parts(store, TRANSLATE_STAGE):
        return None
    counts, uses = count_parts(store, TRANSLATE_STAGE, codes, CHUNK_MARK), count_part_spending(store)
    judged = read_verdicts(store)
    languages = [
        _language(store, code, counts[code], [u for u in uses if u.name == code], prices)._replace(
            judged=judged.get(code)
        )
        for code in codes
    ]
    return TranslationReport(count_wholes(store, TRANSLATE_STAGE, CHUNK_MARK), languages)


def as_json(report: TranslationReport) -> dict[str, object]:
    """The report as JSON values."""
    return {"pairs": report.pairs, "languages": {each.code: _language_as_json(each) for each in report.languages}}


def _language(store: Store, code: str, counts: PartCounts, uses: list[PartUse], prices: Prices) -> LanguageReport:
    usage = sum((use.usage for use in uses), Usage())
    answers = sum(use.answers for use in uses)
    return LanguageReport(
        code,
        counts,
        answers,
        usage,
        prices.cost((use.model, use.configured_model, use.usage) for use in uses),
        _sample(store, code),
    )


def _language_as_json(report: LanguageReport) -> dict[str, object]:
    usage, ok = report.usage, report.ok
    return {
        "states": {state.value: count for state, count in report.counts.states.items()},
        "reasons": {state.value: dict(found.most_common()) for state, found in sorted(report.counts.reasons.items())},
        "retried": report.counts.retried,
        "answers": report.answers,
        "tokens": {"prompt": usage.prompt_tokens, "cached": usage.cached_tokens, "completion": usage.completion_tokens},
        "tokens_per_accepted_pair": round((usage.prompt_tokens + usage.completion_tokens) / ok, 1) if ok else None,
        "cost": report.cost,
        "cost_per_accepted_pair": round(report.cost / ok, 8) if ok and report.cost is not None else None,
        **({"judged": judged_as_json(report.judged)} if report.judged else {}),
        "sample": [
            {
                "id": pair.id,
                "source": dict(zip(("instruction", "answer"), pair.source, strict=True)),
                "translation": dict(zip(("instruction", "answer"), pair.translation, strict=True)),
            }
            for pair in report.sample
        ],
    }


def _sample(store: Store, code: str) -> list[SamplePair]:
    """Pairs drawn by lot, the same ones for the same ledger."""
    random = Random(f"sample/{code}")  # what is drawn is a place among the numbers: there may be a million of them
    ((least, most),) = store.read(
        "SELECT min(n), max(n) FROM query WHERE stage = ? AND position IS NOT NULL", TRANSLATE_STAGE
    )
    found: dict[int, tuple[str, str, str]] = {}
    for _ in range(3 * SAMPLE_SIZE if least is not None else 0):
        row = store.read_one(_NEXT, code, random.randint(least, most), TRANSLATE_STAGE)
        if row is not None and len(found) < SAMPLE_SIZE:
            found[row[0]] = row[1:]
    if found and len(found) < SAMPLE_SIZE:  # few pairs: all of them
        rows = store.read(_NEXT.replace("LIMIT 1", f"LIMIT {SAMPLE_SIZE}"), code, least, TRANSLATE_STAGE)
        found |= {n: tuple(rest) for n, *rest in rows}
    return [_shown(*found[n]) for n in sorted(found)[:SAMPLE_SIZE]]


# The joins in this order: the next part of that language is at hand, and the query is then known by its number.
_NEXT = (
    "SELECT part.n, id, annotation.text, part.text "
    "FROM part CROSS JOIN query USING (n) CROSS JOIN annotation USING (n) "
    "WHERE name = ? AND part.n >= ? AND part.state = 'ok' AND stage = ? AND position IS NOT NULL "
    "ORDER BY part.n LIMIT 1"
)


def _shown(name: str, source: str, translated: str) -> SamplePair:
    return SamplePair(name, tuple(orjson.loads(source)), tuple(orjson.loads(translated)))
