"""`report.json`: what a run did and what it cost. From the ledger alone: the same ledger gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.config.pricing import Prices
from syphus.errors import SyphusError
from syphus.formats.translation_report import TranslationReport, read_translation
from syphus.formats.translation_report import as_json as translation_as_json
from syphus.io.durable import replace_file
from syphus.ledger.relations import describe_relation
from syphus.ledger.sessions import Session, all_settings, sessions, unfinished_calls
from syphus.ledger.store import Store
from syphus.ledger.summary import Counts, Spending, count_queries, count_rules, count_spending
from syphus.types import Pair, State, is_simulated

_COLD_START = "cold start"  # how its stages begin; what they found is in every request of the main job


class Report(NamedTuple):
    """A run in numbers. `cost` is in dollars, None where a price is not known; never a guess."""

    stage: str
    counts: Counts
    spending: Spending  #: of all stages of the run
    sessions: list[Session]
    settings: list[dict[str, object]]
    cost: float | None
    rules: dict[str, dict[str, int]]  #: "repairs" and "rejections" by the rule of cleaning
    unfinished_calls: (
        int  #: calls, of all stages, that were in flight at the most when sessions were killed, or that are now
    )
    relations: dict[str, object]  #: how pairs are related, and from which vectors; empty where the plugin says it
    translation: TranslationReport | None = None

    @property
    def models(self) -> list[str]:
        """The models that this stage's answers are from, by the names that the server gave, the busiest first."""
        return list(dict.fromkeys(use.model for use in self.spending.models if use.stage == self.stage))

    @property
    def simulated(self) -> bool:
        """Whether any answer of this stage, or of the cold start before it, was made up by the simulated endpoint."""
        own = (use for use in self.spending.models if use.stage == self.stage or use.stage.startswith(_COLD_START))
        return any(is_simulated(use.model) for use in own)

    @property
    def seconds(self) -> float:
        """The time that the sessions worked, in all."""
        return sum(session.seconds for session in self.sessions)


class TranslationResult(NamedTuple):
    """How it ended: in numbers, by what it was stopped, if anything, its files, and what went out by language.

    `with_gaps` are rounds whose earlier rounds are missing; they went out only where that was wanted.
    """

    report: Report
    stopped_by: SyphusError | None
    files: tuple[str, ...]
    languages: list[str]
    written: Mapping[str, int]
    missing_context: Mapping[str, int]
    partial: bool

    @property
    def exit_code(self) -> int:
        """0 all done in the languages asked for, 1 with pairs that are not, or the code of what stopped it."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        numbers = self.report.translation
        return 0 if numbers is not None and numbers.done(self.languages) else 1


class RunResult(NamedTuple):
    """How a run ended: in numbers, and by what it was stopped, if anything."""

    report: Report
    stopped_by: SyphusError | None
    files: tuple[str, ...]  #: written at the end, the MIMIC-IT dataset first
    sample: list[Pair]  #: a few of the pairs
    translated: TranslationResult | None = None  #: where that was asked for, too

    @property
    def exit_code(self) -> int:
        """0 all done, 1 with rows or translations that are not ok, or the code of what stopped the run."""
        stopped_by = self.stopped_by or (self.translated.stopped_by if self.translated else None)
        if stopped_by is not None:
            return stopped_by.exit_code
        if self.translated is not None and self.translated.exit_code:
            return self.translated.exit_code
        return 0 if self.report.counts.states[State.OK] == self.report.counts.total else 1


def make_report(store: Store, stage: str, prices: Prices, brief: bool = False) -> Report:
    """Reads a run's numbers from its ledger; a `brief` report leaves out the translations."""
    spending = count_spending(store)
    return Report(
        stage,
        count_queries(store, stage),
        spending,
        sessions(store, stage),
        all_settings(store, stage),
        prices.cost((use.model, use.configured_model, use.usage) for use in spending.models),
        count_rules(store, stage),
        unfinished_calls(store),
        describe_relation(store),
        None if brief else read_translation(store, prices),
    )


def write_report(path: Path, report: Report) -> None:
    """Writes `report.json`, indented, in UTF-8."""
    with replace_file(path) as file:
        file.write(orjson.dumps(as_json(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def as_json(report: Report) -> dict[str, object]:
    """The report as JSON values; times are UTC, in ISO 8601."""
    counts, spending = report.counts, report.spending
    usage = spending.usage
    translated = {"translation": translation_as_json(report.translation)} if report.translation else {}
    return {
        "queries": counts.total,
        "states": {state.value: counts.states[state] for state in State},
        "pairs": counts.pairs,
        "reasons": {state.value: dict(reasons.most_common()) for state, reasons in sorted(counts.reasons.items())},
        "rules": report.rules,
        "relations": report.relations,
        "shared_answers": counts.shared,
        **translated,
        "requests": spending.requests,
        "requests_by_outcome": dict(spending.causes.most_common()),
        "maybe_billed_without_answer": {"requests": spending.maybe_billed, "tokens": spending.unknown_tokens},
        "in_flight_in_sessions_without_an_end": report.unfinished_calls,
        "tokens": {
            "prompt": usage.prompt_tokens,
            "cached": usage.cached_tokens,
            "completion": usage.completion_tokens,
            "reasoning": usage.reasoning_tokens,
            "estimated": usage.estimated,
        },
        "cost": report.cost,
        "models": _answers(spending),
        "simulated": report.simulated,
        "settings": [{k: v for k, v in one.items() if k != "prompt_text"} for one in report.settings],
        "seconds": round(report.seconds, 3),
        "sessions": [_session(session) for session in report.sessions],
    }


def _answers(spending: Spending) -> dict[str, int]:
    """Answers by model, over all stages."""
    answers: Counter[str] = Counter()
    for use in spending.models:
        answers[use.model] += use.answers
    return dict(answers)


def _session(session: Session) -> dict[str, object]:
    return {
        "started": _time(session.started),
        "ended": _time(session.ended) if session.ended is not None else None,
        "threads": session.threads,
        "endpoint": session.endpoint,
        "syphus": session.version,
        "stopped": session.stopped,
        "seconds": round(session.seconds, 3),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
