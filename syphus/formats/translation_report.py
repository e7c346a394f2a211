"""Reports on translations by language: counts, cost, a judge's verdicts, and a sample beside the source.

The same ledger always gives the same report. The stage names are here too: `status` and `report.json` use them without
the rest of translation.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

import orjson

from syphus.answers.translation.judge_prompt import NO_FAULT, TRANSLATION_FAULTS, read_verdict
from syphus.config.pricing import Prices
from syphus.exchange import Usage
from syphus.ledger.records import highest_seq
from syphus.ledger.results import answered_queries
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import PartCounts, PartUse, count_part_spending, count_parts, count_wholes, has_parts
from syphus.types import State

TRANSLATE_STAGE, RETRY_STAGE = "translate", "translate again"  #: the names of the stages
JUDGE_STAGE = "judge translations"
TRANSLATION_STAGES = (TRANSLATE_STAGE, RETRY_STAGE, JUDGE_STAGE)  #: everything that a translation asks
LANGUAGES_KEY = "languages"  #: in the meta table: the codes of all languages ever requested, separated by commas
SOURCE_KEY = "translated pairs"  #: in the meta table: the newest outcome and the number of pairs when they were read
CHUNK_MARK = '"of":'  #: in the meta (JSON) of queries that are chunks of a long pair, and in no other

SAMPLE_SIZE = 20  #: pairs of each language
MAX_BAD_SHOWN = 20  #: bad translations of each language


class SamplePair(NamedTuple):
    """A pair beside its source. The texts are (instruction, answer)."""

    id: str
    source: tuple[str, str]
    translation: tuple[str, str]


class BadTranslation(NamedTuple):
    """A translation that a judge found bad. The texts are (instruction, answer)."""

    id: str
    fault: str
    reason: str
    source: tuple[str, str]
    translation: tuple[str, str]


class JudgedCounts(NamedTuple):
    """The verdicts in one language. `unclear` counts answers without a verdict, `pending` what is not judged yet."""

    good: int
    bad: Counter[str]  #: by fault
    unclear: int
    pending: int
    shown: list[BadTranslation]  #: the first of the bad ones

    @property
    def total(self) -> int:
        """The number of verdicts."""
        return self.good + self.bad.total()


class LanguageReport(NamedTuple):
    """The report on one language. `cost` is in dollars, None if a price is unknown."""

    code: str
    counts: PartCounts
    answers: int  #: to requests that asked for this language
    usage: Usage  #: the share of this language in their tokens
    cost: float | None
    sample: list[SamplePair]
    judged: JudgedCounts | None = None  #: if a judge was asked

    @property
    def ok(self) -> int:
        """The number of translated pairs."""
        return self.counts.states[State.OK]


class TranslationReport(NamedTuple):
    """The report on all languages of a folder. `pairs` is the number of English pairs, also of those that are new."""

    pairs: int
    languages: list[LanguageReport]
    behind: int = 0  #: of these pairs, those that are new or changed since the last translation; pending everywhere

    @property
    def states(self) -> dict[State, int]:
        """How many translations are in each state, over all languages."""
        return {state: sum(each.counts.states[state] for each in self.languages) for state in State}

    def is_complete(self, codes: list[str]) -> bool:
        """Return whether every pair is translated into these languages."""
        return all(each.ok == self.pairs for each in self.languages if each.code in codes)


def known_languages(store: Store) -> list[str]:
    """Return the codes of all languages ever requested in this folder."""
    return [code for code in str(get_meta(store, LANGUAGES_KEY) or "").split(",") if code]


def read_translation(store: Store, prices: Prices) -> TranslationReport | None:
    """Read the report; None if nothing was ever translated here."""
    codes = known_languages(store)
    if not codes or not has_parts(store, TRANSLATE_STAGE):
        return None
    counts, uses = count_parts(store, TRANSLATE_STAGE, codes, CHUNK_MARK), count_part_spending(store)
    behind = count_new_pairs(store)
    for each in counts.values():
        each.states[State.PENDING] += behind
    judged = read_verdicts(store)
    languages = [
        _language(store, code, counts[code], [u for u in uses if u.name == code], prices)._replace(
            judged=judged.get(code)
        )
        for code in codes
    ]
    return TranslationReport(count_wholes(store, TRANSLATE_STAGE, CHUNK_MARK) + behind, languages, behind)


_NEW_PAIRS = """
    SELECT count(*) FROM query JOIN result USING (n), json_each(result.pairs) AS pair
    WHERE stage = 'generate' AND state = 'ok' AND position IS NOT NULL AND seq > ? AND NOT EXISTS (
        SELECT 1 FROM query AS source JOIN annotation USING (n)
        WHERE source.stage = ? AND source.position IS NOT NULL AND (source.id = pair.value ->> 0 || '#1' OR (
            source.id = pair.value ->> 0 AND text ->> 0 = pair.value ->> 1 AND text ->> 1 = pair.value ->> 2)))"""


def count_new_pairs(store: Store) -> int:
    """Count the accepted pairs of a run that are new, or have another text, since they were last registered here.

    Outcomes are numbered, and only those after the newest that was registered are compared with the translated texts.
    Pairs that replaced equally many others have a newer number, too.
    """
    noted = get_meta(store, SOURCE_KEY)
    if noted is None:  # an earlier version registered them; only their number says whether there are others
        now = sum(row[0] for row in store.read(_ACCEPTED))
        if now in (0, count_wholes(store, TRANSLATE_STAGE, CHUNK_MARK)):
            return 0
    seq = int(str(noted).split()[0]) if noted is not None else -1
    return int(store.read_value(_NEW_PAIRS, seq, TRANSLATE_STAGE))


def note_source(store: Store) -> None:
    """Note in the open transaction which pairs are registered: all that are accepted at the moment."""
    pairs = sum(row[0] for row in store.read(_ACCEPTED))
    set_meta(store, SOURCE_KEY, f"{highest_seq(store)} {pairs}")


_ACCEPTED = "SELECT pairs FROM tally WHERE stage = 'generate' AND kind = 'ok'"


def as_json(report: TranslationReport) -> dict[str, object]:
    """Return the report as JSON values."""
    new = {"new_pairs": report.behind} if report.behind else {}
    return {
        "pairs": report.pairs,
        **new,
        "languages": {each.code: _language_as_json(each) for each in report.languages},
    }


def _language(store: Store, code: str, counts: PartCounts, uses: list[PartUse], prices: Prices) -> LanguageReport:
    usage = sum((use.bill.usage for use in uses), Usage())
    answers = sum(use.answers for use in uses)
    return LanguageReport(
        code,
        counts,
        answers,
        usage,
        prices.cost(use.bill for use in uses),
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
    """Draw a random sample of pairs, always the same for the same ledger.

    Draws query numbers and takes the next translated pair, so that a million pairs need not be read.
    """
    random = Random(f"sample/{code}")
    ((first, last),) = store.read(
        "SELECT min(n), max(n) FROM query WHERE stage = ? AND position IS NOT NULL", TRANSLATE_STAGE
    )
    found: dict[int, tuple[str, str, str]] = {}
    for _ in range(3 * SAMPLE_SIZE if first is not None else 0):
        row = store.read_one(_NEXT_TRANSLATED, code, random.randint(first, last), TRANSLATE_STAGE)
        if row is not None and len(found) < SAMPLE_SIZE:
            found[row[0]] = row[1:]
    if found and len(found) < SAMPLE_SIZE:  # few pairs: take all
        rows = store.read(_NEXT_TRANSLATED.replace("LIMIT 1", f"LIMIT {SAMPLE_SIZE}"), code, first, TRANSLATE_STAGE)
        found |= {n: tuple(rest) for n, *rest in rows}
    return [_sample_pair(*found[n]) for n in sorted(found)[:SAMPLE_SIZE]]


# CROSS JOIN fixes the order: first the next part of that language by its index, then its query by number.
_NEXT_TRANSLATED = (
    "SELECT part.n, id, annotation.text, part.text "
    "FROM part CROSS JOIN query USING (n) CROSS JOIN annotation USING (n) "
    "WHERE name = ? AND part.n >= ? AND part.state = 'ok' AND stage = ? AND position IS NOT NULL "
    "ORDER BY part.n LIMIT 1"
)


def _sample_pair(name: str, source: str, translated: str) -> SamplePair:
    return SamplePair(name, tuple(orjson.loads(source)), tuple(orjson.loads(translated)))


def read_verdicts(store: Store) -> dict[str, JudgedCounts]:
    """Count the verdicts by language; leaves out languages without a judged sample."""
    counts: dict[str, JudgedCounts] = {}
    for each in answered_queries(store, JUDGE_STAGE):
        code, name = each.query.id.split(" ", 1)
        previous = counts.get(code) or JudgedCounts(0, Counter(), 0, 0, [])
        if each.state is State.PENDING:
            counts[code] = previous._replace(pending=previous.pending + 1)
        elif each.state is not State.OK:
            counts[code] = previous._replace(unclear=previous.unclear + 1)
        else:
            counts[code] = _with_verdict(previous, name, each.query.text, each.detail)
    return counts


def _with_verdict(previous: JudgedCounts, name: str, texts: str, detail: str) -> JudgedCounts:
    verdict = read_verdict(detail)
    if verdict.fault == NO_FAULT:
        return previous._replace(good=previous.good + 1)
    previous.bad[verdict.fault] += 1
    if len(previous.shown) < MAX_BAD_SHOWN:
        source, translation = (tuple(each) for each in orjson.loads(texts))
        previous.shown.append(BadTranslation(name, verdict.fault, verdict.reason, source, translation))
    return previous


def judged_as_json(judged: JudgedCounts) -> dict[str, object]:
    """Return the verdict counts as JSON values."""
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
