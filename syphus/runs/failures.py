"""What went wrong in a run, by cause: how many rows, what they cost, examples, and the change that would help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from syphus.config.pricing import Prices
from syphus.exchange import BilledUsage, Usage
from syphus.formats.report import Report
from syphus.ledger.records import reopen
from syphus.ledger.sessions import last_settings
from syphus.ledger.store import Store
from syphus.pipeline.observer import Observer
from syphus.runs.outputs import invalidate_exports
from syphus.runs.prepare import PreparedRun
from syphus.runs.run_settings import GENERATE
from syphus.text import format_dollars, one_line, pluralize
from syphus.types import ReasonKind, State

_EXAMPLES = 3
_ANSWERS_OF = """
    SELECT {cause}, model, coalesce(settings ->> 'model', ''), service_tier, regional,
        prompt_tokens > 16000, count(*), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
        sum(reasoning_tokens), sum(estimated), sum(cache_write_tokens)
    FROM {source} LEFT JOIN session ON session.id = answer.session LEFT JOIN spec ON spec.id = session.spec
    WHERE query.stage = ? AND query.position IS NOT NULL AND {which} GROUP BY 1, 2, 3, 4, 5, 6
"""
_NEWEST = "query JOIN answer ON answer.n = query.answer"
_EARLIER = "earlier JOIN query USING (n) JOIN answer ON answer.n = earlier.answer"
_IDS = (
    "SELECT id FROM query WHERE stage = ? AND state = ? AND reason = ? AND position IS NOT NULL "
    "ORDER BY position LIMIT ?"
)


class Advice(NamedTuple):
    """What would help, and the options that ask for the rows again; "" if another attempt would change nothing."""

    text: str
    retry: str = ""


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Rows that are not ok for one reason. `share` is of all rows, `cost` in dollars, None if a price is unknown."""

    state: State
    reason: str
    rows: int
    share: float
    answers: int  #: that were paid for
    cost: float | None
    examples: tuple[str, ...]  #: ids of queries
    advice: Advice


@dataclass(frozen=True, slots=True)
class Failures:
    """All that went wrong in a run, the most frequent cause first.

    `replaced` are answers of rows that were asked again, by what was wrong with them, with their number and dollars.
    """

    rows: int  #: of the run
    causes: tuple[FailureCause, ...]
    replaced: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        causes = [
            {
                "state": each.state.value,
                "reason": each.reason,
                "rows": each.rows,
                "share": round(each.share, 4),
                "answers": each.answers,
                "cost": each.cost,
                "examples": list(each.examples),
                "advice": each.advice.text,
                "retry": each.advice.retry,
            }
            for each in self.causes
        ]
        replaced = {reason: {"answers": count, "cost": cost} for reason, (count, cost) in self.replaced.items()}
        return {"rows": self.rows, "causes": causes, "replaced_answers": replaced}


def read_failures(store: Store, prices: Prices, examples: int = _EXAMPLES) -> Failures:
    """Return what went wrong in the main stage of a run, at one moment. Translations have their own states."""
    with store.snapshot():
        total = store.read_value("SELECT count(*) FROM query WHERE stage = ? AND position IS NOT NULL", GENERATE)
        counted = store.read(
            "SELECT state, reason, count(*) FROM query WHERE stage = ? AND position IS NOT NULL "
            "AND state NOT IN ('ok', 'pending') GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
            GENERATE,
        )
        bad = "query.state NOT IN ('ok', 'pending')"
        newest = _bills(store, _ANSWERS_OF.format(cause="query.state || ' ' || reason", source=_NEWEST, which=bad))
        before, replaced = {}, {}
        if store.has_table("earlier"):  # old ledgers have none
            of_bad = _ANSWERS_OF.format(cause="query.state || ' ' || query.reason", source=_EARLIER, which=bad)
            before = _bills(store, of_bad)
            others = _ANSWERS_OF.format(cause="earlier.reason", source=_EARLIER, which="true")
            replaced = _bills(store, others)
        causes = tuple(
            _cause(store, prices, State(state), reason, rows, total, examples, newest, before)
            for state, reason, rows in counted
        )
    counts = {reason: (sum(n for n, _ in bills), _cost(prices, bills)) for reason, bills in replaced.items() if reason}
    return Failures(total, causes, dict(sorted(counts.items(), key=lambda each: -each[1][0])))


_Bills = list[tuple[int, BilledUsage]]  # answers, and their tokens


def _bills(store: Store, select: str) -> dict[str, _Bills]:
    found: dict[str, _Bills] = {}
    for cause, model, asked, tier, regional, large, answers, *tokens in store.read(select, GENERATE):
        usage = Usage(*tokens)
        size = usage.prompt_tokens // answers if large else 0
        found.setdefault(cause, []).append((answers, BilledUsage(model, asked, usage, tier, bool(regional), size)))
    return found


def _cost(prices: Prices, bills: _Bills) -> float | None:
    return prices.cost([bill for _, bill in bills])


def _cause(
    store: Store,
    prices: Prices,
    state: State,
    reason: str,
    rows: int,
    total: int,
    examples: int,
    newest: Mapping[str, _Bills],
    before: Mapping[str, _Bills],
) -> FailureCause:
    key = f"{state} {reason}"
    bills = [*newest.get(key, []), *before.get(key, [])]
    ids = tuple(name for (name,) in store.read(_IDS, GENERATE, state, reason, examples))
    answers = sum(count for count, _ in bills)
    advice = advise(state, reason)
    return FailureCause(state, reason, rows, rows / total, answers, _cost(prices, bills), ids, advice)


def advise(state: State, reason: str) -> Advice:
    """Return what would help rows in a state for a reason."""
    kind = ReasonKind.parse(reason)
    if not kind.is_fixed_by_retry:
        return Advice(_TO_MEND[kind], _retry(state, reason))
    match state:
        case State.TRUNCATED:
            return Advice("Raise --max-tokens, or ask for shorter answers in the prompt.", _retry(state, reason))
        case State.REFUSED if kind is ReasonKind.CONTENT_FILTER:
            return Advice("A filter of the server stops these rows; another model or server may not.")
        case State.REFUSED:
            return Advice("Say in the prompt what the data is for, or ask another model.", _retry(state, reason))
        case State.INVALID if kind is ReasonKind.JUDGE:
            return Advice("Read them; then change the prompt, its examples or the model.", _retry(state, reason))
        case State.INVALID:
            return Advice(
                "Read them. Where the rule is right, change the prompt or its examples; where it does not fit the "
                "dataset, its plugin can switch it off, and `clean` judges the answers again without a request.",
                _retry(state, reason),
            )
        case _:
            return Advice("The server failed; it may be better now.", _retry(state, reason))


_TO_MEND = {
    ReasonKind.BAD_ROW: "Correct the rows in the input.",
    ReasonKind.EMPTY_ANNOTATION: "These rows have nothing to ask about. Leave them out, or add their annotation.",
    ReasonKind.PLUGIN: "Correct the plugin.",
    ReasonKind.IMAGE: "Bring the images into --images, or convert them into a format that can be sent.",
}


def _retry(state: State, reason: str) -> str:
    return f'--retry {state} --retry-reason "{reason}"' if reason and '"' not in reason else f"--retry {state}"


def reopen_for_retry(store: Store, prepared: PreparedRun, report: Report, observer: Observer) -> None:
    """Make the queries pending again that the options of a run name, and say how many they are. Commits."""
    options, config = prepared.options, prepared.config
    if State.TRUNCATED in options.retry and report.counts.states[State.TRUNCATED]:
        settings = last_settings(store, GENERATE) or {}
        before, now = settings.get("max_tokens"), config.max_tokens
        same_effort = settings.get("reasoning_effort") == prepared.settings.get("reasoning_effort")
        if isinstance(before, int) and now is not None and now <= before and same_effort:
            observer.say(
                f"Answers may have up to {now} tokens again, so only those that went round in circles will end."
            )
    invalidate_exports(store)
    count = reopen(store, GENERATE, options.retry, options.retry_reason)
    observer.say(f"Rows to retry ({', '.join(filter(None, (*options.retry, options.retry_reason)))}): {count:,}.")


def failure_lines(failures: Failures, folder: str, program: str) -> Iterator[str]:
    """Yield the failures as lines for people. `program` is how the command line was called."""
    if not failures.causes:
        yield f"No row of {failures.rows:,} failed."
    for cause in failures.causes:
        money = "cost unknown" if cause.cost is None else format_dollars(cause.cost)
        spent = f"{pluralize(cause.answers, 'answer')}, {money}" if cause.answers else "no answer"
        yield f"{pluralize(cause.rows, 'row')} ({cause.share:.1%})  {cause.state}: {one_line(cause.reason, 200)}"
        yield f"    paid     {spent}"
        yield f"    such as  {', '.join(one_line(name, 60) for name in cause.examples)}"
        yield f"    help     {cause.advice.text}"
        yield f"    look     {program} rows {folder} --state {cause.state}{_reason_option(cause.reason)}"
        if cause.advice.retry:
            yield f"    retry    {program} resume {folder} {cause.advice.retry}"
    if failures.replaced:
        yield "Answers that were rejected and asked again:"
        yield from _replaced_lines(failures.replaced)


def _reason_option(reason: str) -> str:
    return f' --reason "{reason}"' if reason and '"' not in reason else ""


def _replaced_lines(replaced: Mapping[str, tuple[int, float | None]]) -> Sequence[str]:
    return [
        f"    {count:,}  {one_line(reason, 120)}" + ("" if cost is None else f"  {format_dollars(cost)}")
        for reason, (count, cost) in replaced.items()
    ]
