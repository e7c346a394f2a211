"""Makes `report.json`: what a run did and what it cost. The same ledger always gives the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from syphus.config.pricing import Prices
from syphus.errors import SyphusError
from syphus.exchange import Usage
from syphus.formats.accepted_cost import AcceptedCost, read_accepted_cost
from syphus.formats.translation_report import (
    TRANSLATION_STAGES,
    TranslationReport,
    read_translation,
)
from syphus.formats.translation_report import as_json as translation_as_json
from syphus.io.durable import replace_file
from syphus.ledger.controls import ControlChange
from syphus.ledger.relations import describe_relation
from syphus.ledger.sessions import (
    Session,
    all_settings,
    count_sessions,
    get_meta,
    sessions,
    unfinished_calls,
    unfinished_cost,
)
from syphus.ledger.store import Store
from syphus.ledger.summary import (
    Counts,
    EndpointUse,
    FormUse,
    ModelUse,
    Spending,
    count_endpoints,
    count_forms,
    count_queries,
    count_rules,
    count_spending,
)
from syphus.model_names import is_simulated, public_name
from syphus.types import Pair, State

JUDGED_META = "judged"  #: in the meta table: what a judge has found so far, as JSON
CALIBRATION_META = "judge calibration"  #: and how often the judge is right, as JSON


class Expense(NamedTuple):
    """What some of a run's stages took. `cost` is in dollars, None if a price is unknown."""

    spending: Spending
    cost: float | None
    sessions: int


class StageExpense(NamedTuple):
    """What one kind of work took: generating, judging, translating. `share` is that of all dollars."""

    answers: int
    usage: Usage
    cost: float | None
    share: float | None


class Report(NamedTuple):
    """The counts and costs of a run. `cost` is in dollars, None if a price is unknown; it is never guessed."""

    stage: str
    counts: Counts
    spending: Spending  #: of all stages of the run
    sessions: list[Session]
    settings: list[dict[str, object]]
    cost: float | None
    rules: dict[str, dict[str, int]]  #: "repairs" and "rejections" by cleaning rule
    unfinished_calls: int  #: of all stages: maximum requests in flight when sessions were killed, or now
    of_rows: Expense  #: of all stages but the translation's
    relations: dict[str, object]  #: how pairs are related, and from which vectors; empty if the plugin decides
    translation: TranslationReport | None = None
    of_translation: Expense | None = None  #: of the stages of the translation, if there is one
    forms: tuple[tuple[FormUse, float | None], ...] = ()  #: with dollars, if the run asked for JSON
    unfinished_cost: tuple[float, int] = (0.0, 0)  #: of these calls: dollars, and the calls whose dollars are unknown
    endpoints: tuple[tuple[EndpointUse, float | None], ...] = ()  #: with dollars, the busiest first
    accepted: AcceptedCost = AcceptedCost(0, {})  #: what each accepted pair has cost
    judged: Mapping[str, Any] | None = None  #: what a judge has found, as in `report.json`; None without a judge
    calibration: Mapping[str, Any] | None = None  #: how often that judge is right, as in `report.json`; None if unknown
    stages: Mapping[str, StageExpense] = MappingProxyType({})  #: what each kind of work took, by its name

    @property
    def models(self) -> list[str]:
        """The models that answered this stage, as the server names them, the busiest first; of paths the last part."""
        return list(dict.fromkeys(public_name(use.model) for use in self.spending.models if use.stage == self.stage))

    @property
    def simulated(self) -> bool:
        """Whether the simulated endpoint made up any answer of this stage, or of the cold start before it."""
        # the examples that a cold start finds are in every request of the main job
        uses = (use for use in self.spending.models if use.stage == self.stage or use.is_of_cold_start)
        return any(is_simulated(use.model) for use in uses)

    @property
    def seconds(self) -> float:
        """The working time of all sessions."""
        return sum(session.seconds for session in self.sessions)


class TranslationResult(NamedTuple):
    """The result of a translation job.

    `stopped_by` is what stopped it, if anything. `written` counts the exported pairs by language, `missing_context` the
    rounds of a conversation with a missing earlier round, which are exported only if `partial`.
    """

    report: Report
    stopped_by: SyphusError | None
    files: tuple[str, ...]
    languages: list[str]
    written: Mapping[str, int]
    missing_context: Mapping[str, int]
    partial: bool
    folder: Path  #: of the ledger

    @property
    def exit_code(self) -> int:
        """0 if all is done in the requested languages, 1 if some pairs are not, or the code of what stopped it."""
        if self.stopped_by is not None:
            return self.stopped_by.exit_code
        translation = self.report.translation
        return 0 if translation is not None and translation.is_complete(self.languages) else 1


class RunResult(NamedTuple):
    """The result of a run. `stopped_by` is what stopped it, if anything."""

    report: Report
    stopped_by: SyphusError | None
    files: tuple[str, ...]  #: written at the end, the MIMIC-IT dataset first
    sample: list[Pair]  #: a few of the pairs
    translated: TranslationResult | None = None  #: with `--languages`
    enough: str = ""  #: what there is enough of, if the run stopped for that reason

    @property
    def exit_code(self) -> int:
        """0 if all is done, 1 if some rows or translations are not ok, or the code of what stopped the run."""
        stopped_by = self.stopped_by or (self.translated.stopped_by if self.translated else None)
        if stopped_by is not None:
            return stopped_by.exit_code
        if self.translated is not None and self.translated.exit_code:
            return self.translated.exit_code
        return 0 if self.enough or self.report.counts.states[State.OK] == self.report.counts.total else 1


def make_report(store: Store, stage: str, prices: Prices, brief: bool = False) -> Report:
    """Make the report of a run from its ledger. A `brief` report leaves out the translations.

    All its numbers are of one moment, even while a process is writing.
    """
    with store.snapshot():
        spending, settings, counts = count_spending(store), all_settings(store, stage), count_queries(store, stage)
        uses = count_forms(store, stage) if any("structured" in each for each in settings) else []
        of_rows, of_translation = _expenses(store, spending, prices)
        return Report(
            stage,
            counts,
            spending,
            sessions(store, stage),
            settings,
            prices.cost(spending.bills),
            count_rules(store, stage),
            unfinished_calls(store),
            of_rows,
            describe_relation(store),
            None if brief else read_translation(store, prices),
            of_translation,
            tuple((use, prices.cost(use.bills)) for use in uses),
            unfinished_cost(store),
            tuple((use, prices.cost(use.bills)) for use in count_endpoints(store)),
            judged=orjson.loads(str(get_meta(store, JUDGED_META) or "null")),
            calibration=orjson.loads(str(get_meta(store, CALIBRATION_META) or "null")),
            accepted=read_accepted_cost(store, stage, counts, spending.models, prices),
            stages=_by_work(spending, prices),
        )


_WORK = {  # by stages; others by a first word
    "judge pairs": "judge",
    "judge pairs calibration": "calibrate judge",
    **dict.fromkeys(TRANSLATION_STAGES, "translate"),
}
_FIRST_WORDS = {"cold": "cold start", "embed": "relate"}


def _by_work(spending: Spending, prices: Prices) -> dict[str, StageExpense]:
    """Return what each kind of work took, the dearest first."""
    uses: dict[str, list[ModelUse]] = {}
    for use in spending.models:
        name = _WORK.get(use.stage) or _FIRST_WORDS.get(use.stage.partition(" ")[0], use.stage)
        uses.setdefault(name, []).append(use)
    total = prices.cost(spending.bills)
    found = {}
    for name, some in uses.items():
        cost = prices.cost(bill for use in some for bill in use.bills)
        share = cost / total if total and cost is not None else None
        usage = sum((use.usage for use in some), Usage())
        found[name] = StageExpense(sum(use.answers for use in some), usage, cost, share)
    return dict(sorted(found.items(), key=lambda item: (-(item[1].cost or 0.0), -item[1].answers, item[0])))


def _expenses(store: Store, spending: Spending, prices: Prices) -> tuple[Expense, Expense | None]:
    """Return what the rows took, and what their translation did; `spending` is that of all stages."""
    every = count_sessions(store)
    of_rows = count_sessions(store, without=TRANSLATION_STAGES)
    if of_rows == every:
        return Expense(spending, prices.cost(spending.bills), every), None
    rows = count_spending(store, without=TRANSLATION_STAGES)
    translation = count_spending(store, of=TRANSLATION_STAGES)
    return (
        Expense(rows, prices.cost(rows.bills), of_rows),
        Expense(translation, prices.cost(translation.bills), every - of_rows),
    )


def write_report(path: Path, report: Report) -> None:
    """Write `report.json`, indented, in UTF-8. Raises `StorageError` if the disk fails."""
    with replace_file(path) as file:
        file.write(orjson.dumps(as_json(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def as_json(report: Report) -> dict[str, object]:
    """Return the report as JSON values. Times are UTC, in ISO 8601."""
    counts, spending = report.counts, report.spending
    usage = spending.usage
    forms = {"forms": {use.form: _form(use, cost) for use, cost in report.forms}} if report.forms else {}
    judged = {"judged": report.judged} if report.judged is not None else {}
    judged |= {"judge_calibration": report.calibration} if report.calibration is not None else {}
    translated = {"translation": _translation(report.translation, report.of_translation)} if report.translation else {}
    return {
        "queries": counts.total,
        "states": {state.value: counts.states[state] for state in State},
        "pairs": counts.pairs,
        "reasons": {state.value: dict(reasons.most_common()) for state, reasons in sorted(counts.reasons.items())},
        "rules": report.rules,
        "relations": report.relations,
        "shared_answers": counts.shared,
        **judged,
        **translated,
        **forms,
        "requests": spending.requests,
        "requests_by_outcome": dict(spending.causes.most_common()),
        "maybe_billed_without_answer": {
            "requests": spending.maybe_billed,
            "tokens": spending.unknown_tokens,
            "cost": round(spending.unknown_cost, 6),
        },
        "in_flight_in_sessions_without_an_end": report.unfinished_calls,
        "tokens": _tokens(usage),
        "prompt_cache": {"read_share": round(usage.read_share, 4), "written_share": round(usage.written_share, 4)},
        "cost": report.cost,
        "per_accepted_pair": report.accepted.as_json(),
        "models": _answers(spending),
        "stages": {name: _stage(each) for name, each in report.stages.items()},
        "endpoints": [_endpoint(use, cost) for use, cost in report.endpoints],
        "simulated": report.simulated,
        "settings": [{k: v for k, v in one.items() if k != "prompt_text"} for one in report.settings],
        "seconds": round(report.seconds, 3),
        "sessions": [_session(session) for session in report.sessions],
    }


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "prompt": usage.prompt_tokens,
        "cached": usage.cached_tokens,
        "cache_written": usage.cache_write_tokens,
        "completion": usage.completion_tokens,
        "reasoning": usage.reasoning_tokens,
        "estimated": usage.estimated,
    }


def _translation(report: TranslationReport, expense: Expense | None) -> dict[str, object]:
    """Return the translation; `requests` and `cost` are its own, which those of the run include."""
    own = {"requests": expense.spending.requests, "cost": expense.cost} if expense else {"requests": 0, "cost": 0.0}
    return {**translation_as_json(report), **own}


def _form(use: FormUse, cost: float | None) -> dict[str, object]:
    tokens = sum(bill.usage.prompt_tokens + bill.usage.completion_tokens for bill in use.bills)
    return {
        "answers": use.answers,
        "pairs": use.pairs,
        "tokens_per_pair": round(tokens / use.pairs, 1) if use.pairs else None,
        "dollars_per_pair": cost / use.pairs if use.pairs and cost is not None else None,
    }


def _stage(each: StageExpense) -> dict[str, object]:
    """Return what a kind of work took; `share` is that of all dollars."""
    tokens = {"prompt": each.usage.prompt_tokens, "completion": each.usage.completion_tokens}
    share = None if each.share is None else round(each.share, 4)
    return {"answers": each.answers, "tokens": tokens, "cost": each.cost, "share": share}


def _endpoint(use: EndpointUse, cost: float | None) -> dict[str, object]:
    """Return what an endpoint was asked; `seconds` are those of an answer, None without one."""
    usage, median, slow = use.usage, use.latency(0.5), use.latency(0.95)
    return {
        "name": use.name,
        "requests": sum(use.requests.values()),
        **{kind.value: count for kind, count in use.requests.items()},
        "causes": dict(use.causes.most_common()),
        "tokens": {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens},
        "cost": cost,
        "seconds": {
            "mean": round(use.seconds / use.answers, 3) if use.answers else None,
            "median": median and round(median, 3),
            "p95": slow and round(slow, 3),
        },
    }


def _answers(spending: Spending) -> dict[str, int]:
    """Count the answers of all stages by model."""
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
        **({"changes": [_change(each) for each in session.changes]} if session.changes else {}),
    }


def _change(change: ControlChange) -> dict[str, object]:
    """Return what somebody has changed while a session worked."""
    return {**change._asdict(), "at": _time(change.at)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
