"""The numbers of a run for its first page, and its line in the list of runs.

They come from the ledger's own counters, so they take milliseconds for millions of queries. What a translation did is
counted row by row, and so is not in here: it has a page of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from syphus.config.pricing import Prices
from syphus.exchange import Usage
from syphus.formats.report import Report, as_json, make_report
from syphus.formats.translation_report import TRANSLATE_STAGE, known_languages
from syphus.ledger.controls import read_controls
from syphus.ledger.records import ANSWERED
from syphus.ledger.schema import PACE_SECONDS
from syphus.ledger.sessions import has_open_session
from syphus.ledger.store import Store, is_working
from syphus.ledger.summary import has_parts
from syphus.runs.control import working_now
from syphus.runs.run_settings import GENERATE, KeptCommand, kept_command, stored_prices
from syphus.types import ReasonKind, State

_PACES = 360  #: of the newest, for a chart of the rate
_ERRORS_SHOWN, _REASONS_SHOWN = 50, 200  #: the most frequent ones

#: What to do about requests that have no answer, by the cause under which the ledger counts them.
_REPAIRS = {
    ReasonKind.PLUGIN: "The plugin's code failed. Fix it, then run again with --retry failed.",
    ReasonKind.IMAGE: "An image can't be sent. Put it in place, then run again with --retry failed.",
}


def read_overview(store: Store, folder: Path, now: float) -> dict[str, object]:
    """Return everything that the overview of a run shows, as JSON values. `now` is in seconds since the epoch."""
    prices = stored_prices(store)
    report = _report(store, prices)
    command = kept_command(store)
    working = has_open_session(store) and is_working(folder)
    process = working_now(store, folder, report, now) if working else None
    holder = process.process if process else None
    counts = report.counts
    overview: dict[str, object] = {
        "working": working,
        "state": _state(working, report),
        "process": {"pid": holder.pid, "host": holder.host} if holder else None,
        "counts": {state.value: counts.states[state] for state in State},
        "total": counts.total,
        "pairs": counts.pairs,
        "simulated": report.simulated,
        "rate": process.rows_per_minute if process else None,
        "seconds_left": process.seconds_left if process else None,
        "last_answer_seconds_ago": process.last_answer if process else None,
        "pace": _pace(store, now) if working else [],
        "tokens": usage_as_json(report.spending.usage),
        "money": _money(report, _limit(store, command, "max_cost"), working),
        "requests": {"made": report.spending.requests, "limit": _limit(store, command, "max_requests")},
        "cache_hits": counts.shared,
        "prompt_cache_share": round(report.spending.usage.read_share, 4),
        "errors": _errors(report),
        "reasons": _reasons(report),
        "rules": report.rules,
        "endpoints": as_json(report)["endpoints"],
        "models": report.models,
        "sessions": [_session(columns) for columns in store.read(_SESSIONS)],
        "settings": _settings(report),
        "prompt": _prompt(report),
        "stages": _stages(store),
        "languages": known_languages(store),
        "report": {name: value for name, value in as_json(report).items() if name not in ("sessions", "settings")},
        "at": now,
    }
    return {**overview, "line": _line(store, overview)}


def _line(store: Store, overview: Mapping[str, object]) -> dict[str, object]:
    """Return what the list of all runs says of the run."""
    money, models = overview["money"], overview["models"]
    assert isinstance(money, dict)
    assert isinstance(models, list)
    first, last = store.read("SELECT min(started), max(coalesce(ended, started)) FROM session")[0]
    newest = store.read_value("SELECT max(newest) FROM pace WHERE answers > 0")
    dataset = store.read_value("SELECT settings ->> 'dataset' FROM spec ORDER BY id DESC LIMIT 1")
    return {
        **{name: overview[name] for name in ("state", "counts", "total", "pairs", "simulated", "languages")},
        "plugin": dataset or "",
        "cost": money["spent"],
        "started": first,
        "last": max((at for at in (last, newest) if at is not None), default=None),
        "model": models[0] if models else "",
        "rate": overview["rate"],
        "seconds_left": overview["seconds_left"],
        "limit": money["limit"],
    }


def _report(store: Store, prices: Prices) -> Report:
    report = make_report(store, GENERATE, prices, brief=True)
    if report.counts.total or not has_parts(store, TRANSLATE_STAGE):
        return report
    return make_report(store, TRANSLATE_STAGE, prices, brief=True)  # the translation of a file


def _state(working: bool, report: Report) -> str:
    if working:
        return "working"
    return "stopped" if report.counts.states[State.PENDING] else "complete"


def _limit(store: Store, command: KeptCommand | None, name: str) -> object:
    """Return the budget in force, "max_cost" or "max_requests": somebody may have changed it while the run worked."""
    controls = read_controls(store)
    if controls is not None:
        return controls.in_force.as_json()[name]
    return command.options.get(name) if command else None


def usage_as_json(usage: Usage) -> dict[str, int]:
    """Return the tokens of answers by the names that the pages know."""
    return {
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "cached": usage.cached_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
        "estimated": usage.estimated,
    }


def _money(report: Report, limit: object, working: bool) -> dict[str, object]:
    """Return dollars: spent, reserved for requests in flight, perhaps billed without an answer, and the limit."""
    spending = report.spending
    return {
        "spent": report.cost,
        "reserved": report.unfinished_cost[0] if working else 0.0,
        "maybe_billed": spending.unknown_cost + (0.0 if working else report.unfinished_cost[0]),
        "maybe_billed_requests": spending.maybe_billed,
        "maybe_billed_tokens": spending.unknown_tokens,
        "limit": limit,
    }


def _errors(report: Report) -> list[dict[str, object]]:
    """Return the requests without an answer by cause, the most frequent first."""
    causes = [(cause, count) for cause, count in report.spending.causes.most_common() if cause != ANSWERED]
    return [
        {"cause": cause, "requests": count, "hint": _REPAIRS.get(ReasonKind.parse(cause), "")}
        for cause, count in causes[:_ERRORS_SHOWN]
    ]


def _reasons(report: Report) -> list[dict[str, object]]:
    """Return why queries are not ok, the most frequent reason first."""
    reasons = [
        (count, state, reason)
        for state, each in report.counts.reasons.items()
        for reason, count in each.items()
        if state is not State.OK
    ]
    reasons.sort(key=lambda each: (-each[0], each[1], each[2]))
    return [
        {"state": state.value, "reason": reason, "rows": count, "hint": _REPAIRS.get(ReasonKind.parse(reason), "")}
        for count, state, reason in reasons[:_REASONS_SHOWN]
    ]


_SESSIONS = (
    "SELECT id, stage, started, ended, threads, endpoint, version, stopped, seconds, "
    "(SELECT settings ->> 'model' FROM spec WHERE spec.id = session.spec) FROM session ORDER BY id DESC LIMIT 200"
)


def _session(columns: tuple[object, ...]) -> dict[str, object]:
    names = ("id", "stage", "started", "ended", "threads", "endpoint", "version", "stopped", "seconds", "model")
    return dict(zip(names, columns, strict=True))


def _settings(report: Report) -> dict[str, object]:
    newest = report.settings[-1] if report.settings else {}
    return {name: value for name, value in newest.items() if name != "prompt_text"}


def _prompt(report: Report) -> dict[str, object]:
    """Return the system message and the in-context examples of the newest settings."""
    newest = report.settings[-1] if report.settings else {}
    text = newest.get("prompt_text")
    if not isinstance(text, Mapping):
        return {"system": "", "examples": []}
    return {"system": text.get("system_message") or "", "examples": list(text.get("in_context") or ())}


def _stages(store: Store) -> list[dict[str, object]]:
    """Return the queries of each stage by state, in the order in which the stages began."""
    counted: dict[str, dict[str, int]] = {}
    for stage, state, times in store.read(
        "SELECT stage, kind, sum(times) FROM tally WHERE times > 0 AND kind IN "
        f"({', '.join(repr(state.value) for state in State)}) GROUP BY 1, 2"
    ):
        counted.setdefault(stage, dict.fromkeys((state.value for state in State), 0))[state] = times
    began: dict[str, float] = dict(store.read("SELECT stage, min(started) FROM session GROUP BY 1"))
    return [
        {"name": stage, "started": began.get(stage), "counts": counts, "total": sum(counts.values())}
        for stage, counts in sorted(counted.items(), key=lambda each: began.get(each[0]) or 0.0)
    ]


def _pace(store: Store, now: float) -> list[dict[str, object]]:
    """Return answers and outcomes of the last hour, every ten seconds."""
    rows = store.read(
        "SELECT at, answers, outcomes FROM pace WHERE at > ? ORDER BY at DESC LIMIT ?",
        *(now // PACE_SECONDS - _PACES, _PACES),
    )
    return [{"at": at * PACE_SECONDS, "answers": answers, "outcomes": outcomes} for at, answers, outcomes in rows[::-1]]
