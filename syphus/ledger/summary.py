"""Counts queries, parts, requests and tokens of a run, from the ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from syphus.exchange import BilledUsage, Usage
from syphus.ledger.records import LATENCY_STEPS
from syphus.ledger.schema import BILLS, REPAIR, SHARED, TOKENS
from syphus.ledger.sessions import RequestKind
from syphus.ledger.store import Store
from syphus.types import State

COLD_START = "cold start"  #: the first stage of a cold start; the names of its other stages continue this one


class ModelUse(NamedTuple):
    """Answers and tokens of one model in one stage."""

    stage: str
    model: str  #: the server's name for it
    configured_model: str  #: its name in the settings
    answers: int
    bills: tuple[BilledUsage, ...]

    @property
    def usage(self) -> Usage:
        """The tokens of all answers."""
        return sum((bill.usage for bill in self.bills), Usage())

    @property
    def is_of_cold_start(self) -> bool:
        """Whether the stage is part of a cold start."""
        return self.stage.split()[:2] == COLD_START.split()


class Counts(NamedTuple):
    """The queries of a stage by state."""

    total: int
    states: dict[State, int]  #: all six states; adds up to `total`
    reasons: dict[State, Counter[str]]
    pairs: int
    shared: int  #: queries that use the answer to an identical request of another query


class Spending(NamedTuple):
    """All requests of all sessions, or of those of some stages."""

    requests: int
    maybe_billed: int  #: requests without an answer that may have been billed
    unknown_tokens: int  #: their estimated tokens
    causes: Counter[str]
    models: list[ModelUse]
    unknown_cost: float = 0.0  #: dollars that requests may have cost beyond what their answers say, where it is known
    unpriced: tuple[int, int] = (0, 0)  #: of `maybe_billed` and `unknown_tokens`, what `unknown_cost` leaves out

    @property
    def bills(self) -> Iterator[BilledUsage]:
        """The tokens of all answers, by what their price depends on."""
        return (bill for use in self.models for bill in use.bills)

    @property
    def usage(self) -> Usage:
        """The tokens of all answers."""
        return sum((use.usage for use in self.models), Usage())


def count_queries(store: Store, stage: str) -> Counts:
    """Count the queries by state and reason; as fast for millions as for a few."""
    rows = store.read(
        "SELECT kind, name, sum(times), sum(pairs) FROM tally WHERE stage = ? AND kind NOT IN (?, ?) AND times > 0 "
        "GROUP BY 1, 2",
        *(stage, SHARED, REPAIR),
    )
    states: dict[State, int] = dict.fromkeys(State, 0)
    reasons: dict[State, Counter[str]] = {}
    for state, reason, count, _ in rows:
        states[State(state)] += count
        if reason:
            reasons.setdefault(State(state), Counter())[reason] += count
    shared = store.read_value("SELECT times FROM tally WHERE stage = ? AND kind = ?", stage, SHARED)
    return Counts(sum(states.values()), states, reasons, sum(row[3] for row in rows), shared or 0)


def count_spending(store: Store, *, of: Collection[str] = (), without: Collection[str] = ()) -> Spending:
    """Add up the requests of all sessions; only those `of` some stages, or `without` those of some stages."""
    in_stages = f"IN (SELECT id FROM session WHERE stage IN ({', '.join('?' * len([*of, *without]))}))"
    where = f"WHERE session {in_stages}" if of else f"WHERE session NOT {in_stages}" if without else ""
    attempts = store.read(
        "SELECT cause, sum(requests), sum(maybe_billed), sum(unknown_tokens), total(unknown_cost), "
        "sum(iif(unknown_cost IS NULL, maybe_billed, 0)), sum(iif(unknown_cost IS NULL, unknown_tokens, 0)) "
        f"FROM attempt {where} GROUP BY cause",
        *of,
        *without,
    )
    causes = Counter({cause: requests for cause, requests, *_ in attempts})
    return Spending(
        sum(causes.values()),
        sum(row[2] for row in attempts),
        sum(row[3] for row in attempts),
        causes,
        [use for use in _model_uses(store) if (not of or use.stage in of) and use.stage not in without],
        sum(row[4] for row in attempts),
        (sum(row[5] for row in attempts), sum(row[6] for row in attempts)),
    )


_TOKEN_SUMS = ", ".join(f"sum({name})" for name in TOKENS)
_BILLS = (
    "SELECT stage, model, coalesce(settings ->> 'model', ''), service_tier, regional, prompt_size, sum(answers), "
    f"{_TOKEN_SUMS} FROM {BILLS} LEFT JOIN session ON session.id = bill.session "
    "LEFT JOIN spec ON spec.id = session.spec GROUP BY 1, 2, 3, 4, 5, 6"
)


def _model_uses(store: Store) -> list[ModelUse]:
    """Return the answers and tokens by model and stage, the busiest first."""
    answers: Counter[tuple[str, str, str]] = Counter()
    bills: dict[tuple[str, str, str], list[BilledUsage]] = {}
    for stage, model, asked, tier, regional, size, n, *tokens in store.read(_BILLS):
        name = (stage, model, asked)
        answers[name] += n
        bills.setdefault(name, []).append(BilledUsage(model, asked, Usage(*tokens), tier, bool(regional), size))
    ordered = sorted(answers, key=lambda name: (-answers[name], name[1]))
    return [ModelUse(*name, answers[name], tuple(bills[name])) for name in ordered]


class EndpointUse(NamedTuple):
    """What one endpoint was asked and has answered, over all stages and sessions.

    `requests` has all results; `causes` counts those without an answer. Where an older version did not note the
    endpoint of a request, it counts for all endpoints of its session together.
    """

    name: str
    requests: dict[RequestKind, int]
    causes: Counter[str]
    bills: tuple[BilledUsage, ...]
    seconds: float  #: of all answered requests together
    steps: tuple[tuple[int, int], ...]  #: how many answers took about 2^(step / LATENCY_STEPS) seconds, in order

    @property
    def usage(self) -> Usage:
        """The tokens of all answers."""
        return sum((bill.usage for bill in self.bills), Usage())

    @property
    def answers(self) -> int:
        """The requests that were answered."""
        return self.requests[RequestKind.ANSWERED]

    def latency(self, share: float) -> float | None:
        """Return the seconds within which this share of the answers came, within 5%; None without an answer."""
        missing = share * sum(count for _, count in self.steps)
        for step, count in self.steps:
            missing -= count
            if missing <= 0:
                return float(2 ** (step / LATENCY_STEPS))
        return None


_NAME = "coalesce(nullif(name, ''), session.endpoint, '')"
_OF_ENDPOINT = "LEFT JOIN endpoint ON endpoint.id = e.endpoint LEFT JOIN session ON session.id = e.session"
_BY_ENDPOINT = (
    f"SELECT {_NAME}, model, coalesce(settings ->> 'model', ''), service_tier, regional, prompt_size, "
    f"total(bill.seconds), {_TOKEN_SUMS} FROM {BILLS} {_OF_ENDPOINT.replace('e.', 'bill.')} "
    "LEFT JOIN spec ON spec.id = session.spec GROUP BY 1, 2, 3, 4, 5, 6"
)


def count_endpoints(store: Store) -> list[EndpointUse]:
    """Return what each endpoint was asked, the busiest first. It reads sums, so it is fast for millions of answers."""
    found: dict[str, EndpointUse] = {}
    requests = f"SELECT {_NAME}, kind, cause, sum(requests) FROM endpoint_request e {_OF_ENDPOINT}"
    for name, kind, cause, count in store.read(f"{requests} GROUP BY 1, 2, 3"):
        use = found.setdefault(name, EndpointUse(name, dict.fromkeys(RequestKind, 0), Counter(), (), 0.0, ()))
        use.requests[RequestKind(kind)] += count
        if kind != RequestKind.ANSWERED:
            use.causes[cause] += count
    for name, model, asked, tier, regional, size, seconds, *tokens in store.read(_BY_ENDPOINT):
        if name in found:
            bill = BilledUsage(model, asked, Usage(*tokens), tier, bool(regional), size)
            use = found[name]
            found[name] = use._replace(bills=(*use.bills, bill), seconds=use.seconds + seconds)
    steps: dict[str, list[tuple[int, int]]] = {}
    latencies = f"SELECT {_NAME}, step, sum(answers) FROM endpoint_latency e {_OF_ENDPOINT}"
    for name, step, count in store.read(f"{latencies} GROUP BY 1, 2 ORDER BY 2"):
        steps.setdefault(name, []).append((step, count))
    uses = [use._replace(steps=tuple(steps.get(name, ()))) for name, use in found.items()]
    return sorted(uses, key=lambda use: (-sum(use.requests.values()), use.name))


class FormUse(NamedTuple):
    """The answers that were asked for in one form, the accepted pairs in them, and their tokens."""

    form: str  #: "json_schema", "json_object" or "text"
    answers: int
    pairs: int
    bills: tuple[BilledUsage, ...]


def count_forms(store: Store, stage: str) -> list[FormUse]:
    """Return the answers of a stage by the form that they were asked for in, the strictest first."""
    pairs = store.read(
        "SELECT form, sum(pairs) FROM tally WHERE stage = ? AND kind = 'ok' AND times > 0 GROUP BY 1", stage
    )
    accepted = {form: int(count) for form, count in pairs}
    uses: dict[str, FormUse] = {}
    rows = store.read(
        "SELECT form, model, coalesce(settings ->> 'model', ''), service_tier, regional, prompt_size, sum(answers), "
        f"{_TOKEN_SUMS} FROM {BILLS} JOIN session ON session.id = bill.session "
        "JOIN spec ON spec.id = session.spec WHERE stage = ? GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1",
        stage,
    )
    for form, model, asked, tier, regional, size, n, *tokens in rows:
        bill = BilledUsage(model, asked, Usage(*tokens), tier, bool(regional), size)
        before = uses.get(form, FormUse(form, 0, accepted.get(form, 0), ()))
        uses[form] = before._replace(answers=before.answers + n, bills=(*before.bills, bill))
    return [uses[form] for form in sorted(uses, key=("json_schema", "json_object", "text").index)]


def count_rules(store: Store, stage: str) -> dict[str, dict[str, int]]:
    """Count how often each cleaning rule repaired something in the result, and how many answers it rejected.

    Rejected answers that were replaced by a retry count, too.
    """
    repairs = store.read(
        "SELECT name, times FROM tally WHERE stage = ? AND kind = ? AND times > 0 ORDER BY times DESC, name",
        *(stage, REPAIR),
    )
    rejections = store.read("SELECT rule, sum(answers) FROM rejection GROUP BY rule ORDER BY sum(answers) DESC, rule")
    return {"repairs": dict(repairs), "rejections": dict(rejections)}


def needs_no_model(store: Store, stage: str) -> bool:
    """Return whether every pending query already has its pairs."""
    asking = store.read(
        "SELECT 1 FROM query JOIN annotation USING (n) WHERE stage = ? AND state = 'pending' "
        "AND position IS NOT NULL AND ready = '[]' LIMIT 1",
        stage,
    )
    return not asking


def average_size(store: Store, stage: str) -> float:
    """Return the average size in bytes of the first thousand pending annotations."""
    mean = store.read_value(
        "SELECT avg(length(CAST(text AS BLOB))) FROM (SELECT text FROM query JOIN annotation USING (n) "
        "WHERE stage = ? AND state = 'pending' ORDER BY position LIMIT 1000)",
        stage,
    )
    return float(mean or 0.0)


def has_images(store: Store, stage: str) -> bool:
    """Return whether any pending query has images."""
    row = store.read_one(
        "SELECT 1 FROM query JOIN picture USING (n) WHERE stage = ? AND state = 'pending' "
        "AND position IS NOT NULL LIMIT 1",
        stage,
    )
    return row is not None


class PartCounts(NamedTuple):
    """The parts of one name by state."""

    states: dict[State, int]  #: all six states; adds up to the number of wholes
    reasons: dict[State, Counter[str]]
    retried: int  #: parts that needed more than one answer


class PartUse(NamedTuple):
    """Answers and tokens of one model for the parts of one name."""

    name: str
    answers: int
    bill: BilledUsage


# A whole is one query, or several whose meta names their pair: {"pair": its id, "piece": 1, "of": 3}.
_SINGLE = (
    "SELECT name, p.state, p.reason, count(*), sum(p.asked - p.opened > 1) FROM query JOIN annotation USING (n) "
    "JOIN part p USING (n) WHERE stage = ? AND position IS NOT NULL AND meta NOT LIKE ? GROUP BY 1, 2, 3"
)
_CHUNKED = (
    "SELECT name, CASE WHEN sum(p.state = 'ok') = max(meta ->> 'of') THEN 'ok' WHEN sum(p.state = 'pending') OR "
    "count(*) < max(meta ->> 'of') THEN 'pending' ELSE max(iif(p.state = 'ok', '', p.state)) END, "
    "max(iif(p.state IN ('ok', 'pending'), '', p.reason)), 1, max(p.asked - p.opened > 1) FROM query "
    "JOIN annotation USING (n) JOIN part p USING (n) WHERE stage = ? AND position IS NOT NULL AND meta LIKE ? "
    "GROUP BY meta ->> 'pair', name"
)
_WHOLES = (
    "SELECT count(DISTINCT iif(meta LIKE ?, meta ->> 'pair', n)) FROM query JOIN annotation USING (n) "
    "WHERE stage = ? AND position IS NOT NULL"
)


def has_parts(store: Store, stage: str) -> bool:
    """Return whether a stage has parts. Old ledgers have no table of parts."""
    if not store.has_table("part"):
        return False
    return store.read_one("SELECT 1 FROM query WHERE stage = ? LIMIT 1", stage) is not None


def count_wholes(store: Store, stage: str, chunk_marker: str) -> int:
    """Count the wholes of a stage; `chunk_marker` is a text that only the meta of a chunk contains."""
    return int(store.read_value(_WHOLES, f"%{chunk_marker}%", stage))


def count_parts(store: Store, stage: str, names: list[str], chunk_marker: str) -> dict[str, PartCounts]:
    """Count the parts of each name by state and reason."""
    whole = count_wholes(store, stage, chunk_marker)
    counts = {name: PartCounts(dict.fromkeys(State, 0), {}, 0) for name in names}
    rows = [
        *store.read(_SINGLE, stage, f"%{chunk_marker}%"),
        *store.read(_CHUNKED, stage, f"%{chunk_marker}%"),
    ]
    for name, state, reason, count, retried in rows:
        if name in counts:
            counts[name] = _with(counts[name], State(state), reason, count, retried)
    for each in counts.values():
        each.states[State.PENDING] = whole - sum(n for state, n in each.states.items() if state is not State.PENDING)
    return counts


def count_part_spending(store: Store) -> list[PartUse]:
    """Return what the parts of each name cost, by model."""
    rows = store.read(
        "SELECT name, model, coalesce(settings ->> 'model', ''), service_tier, regional, prompt_size, sum(asked), "
        "sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(cache_write_tokens) FROM part_spending "
        "LEFT JOIN session ON session.id = part_spending.session "
        "LEFT JOIN spec ON spec.id = session.spec GROUP BY 1, 2, 3, 4, 5, 6"
    )
    uses = []
    for name, model, asked, tier, regional, size, n, *tokens in rows:
        prompt, completion, cached, writes = map(round, tokens)
        usage = Usage(prompt, completion, cached, cache_write_tokens=writes)
        uses.append(PartUse(name, n, BilledUsage(model, asked, usage, tier, bool(regional), size)))
    return uses


def _with(counts: PartCounts, state: State, reason: str, count: int, retried: int) -> PartCounts:
    counts.states[state] += count
    if reason and state not in (State.OK, State.PENDING):
        counts.reasons.setdefault(state, Counter())[reason] += count
    return counts._replace(retried=counts.retried + retried)
