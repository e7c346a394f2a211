"""The numbers of a translation for its page: languages, states, cost, a judge's verdicts and samples beside the source.

They are counted row by row, so the newest ones of a run are kept until its ledger changes.
"""

from __future__ import annotations

import threading
from pathlib import Path

from syphus.answers.translation import LANGUAGES
from syphus.formats.translation_report import (
    BadTranslation,
    JudgedCounts,
    LanguageReport,
    SamplePair,
    TranslationReport,
    read_translation,
)
from syphus.ledger.store import Store
from syphus.runs.run_settings import stored_prices
from syphus.types import State
from syphus.viewer.ledger_access import read_ledger, signature

_KEPT = 16  #: runs


class TranslationNumbers:
    """The newest numbers of the translations of runs. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[object, dict[str, object]]] = {}

    def newest(self, folder: Path) -> dict[str, object]:
        """Return the numbers of a run as JSON values; no languages if nothing was translated."""
        files = signature(folder)
        with self._lock:  # several pages at once count only once
            kept = self._kept.get(folder)
            if kept is not None and kept[0] == files:
                return kept[1]
            numbers = _as_json(read_ledger(folder, _read))
            self._kept.pop(folder, None)
            self._kept[folder] = (files, numbers)
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
            return numbers


def _read(store: Store) -> TranslationReport | None:
    return read_translation(store, stored_prices(store))


def _as_json(report: TranslationReport | None) -> dict[str, object]:
    if report is None:
        return {"pairs": 0, "behind": 0, "languages": []}
    languages = [_language(each) for each in report.languages]
    return {"pairs": report.pairs, "behind": report.behind, "languages": languages}


def _language(report: LanguageReport) -> dict[str, object]:
    language, counts = LANGUAGES[report.code], report.counts
    return {
        "code": report.code,
        "name": language.name,
        "own_name": language.own_name,
        "rtl": language.rtl,
        "states": {state.value: counts.states[state] for state in State},
        "reasons": [
            {"state": state.value, "reason": reason, "pairs": count}
            for state, reasons in counts.reasons.items()
            for reason, count in reasons.most_common()
        ],
        "retried": counts.retried,
        "tokens": {"input": report.usage.prompt_tokens, "output": report.usage.completion_tokens},
        "cost": report.cost,
        "sample": [_pair(each) for each in report.sample],
        "judged": _judged(report.judged) if report.judged else None,
    }


def _judged(judged: JudgedCounts) -> dict[str, object]:
    return {
        "good": judged.good,
        "bad": dict(judged.bad.most_common()),
        "unclear": judged.unclear,
        "pending": judged.pending,
        "shown": [{**_pair(each), "fault": each.fault, "reason": each.reason} for each in judged.shown],
    }


def _pair(pair: SamplePair | BadTranslation) -> dict[str, object]:
    (question, answer), (translated, reply) = pair.source, pair.translation
    return {
        "id": pair.id,
        "source": {"instruction": question, "answer": answer},
        "translation": {"instruction": translated, "answer": reply},
    }
