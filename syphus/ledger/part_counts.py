"""Counts of the parts of queries, from the ledger alone: where they stand, and what they have cost."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from syphus.ledger.store import Store, storage_faults
from syphus.types import State, Usage


class PartCounts(NamedTuple):
    """Where the parts of one name stand. `states` has all six, and adds up to the number of wholes."""

    states: dict[State, int]
    reasons: dict[State, Counter[str]]
    retried: int  #: that were asked for more than once


class PartUse(NamedTuple):
    """Answers and tokens for the parts of one name, from one model; `asked` is its name in the settings."""

    name: str
    model: str
    asked: str
    answers: int
    usage: Usage


#: A whole is one query, or several that say so in their meta: {"pair": its id, "piece": 1, "of": 3}.
_SINGLE = (
    "SELECT name, p.state, p.reason, count(*), sum(p.asked - p.opened > 1) FROM query JOIN annotation USING (n) "
    "JOIN part p USING (n) WHERE stage = ? AND position IS NOT NULL AND meta NOT LIKE ? GROUP BY 1, 2, 3"
)
_IN_PIECES = (
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
    """Whether a stage with parts was ever begun in this ledger, which may be from before there were parts."""
    with storage_faults(store.path):
        if not store.reader.execute("SELECT 1 FROM sqlite_schema WHERE name = 'part'").fetchone():
            return False
        return store.reader.execute("SELECT 1 FROM query WHERE stage = ? LIMIT 1", (stage,)).fetchone() is not None


def count_wholes(store: Store, stage: str, in_pieces: str) -> int:
    """How many there are; `in_pieces` is a text that only the meta of a piece holds."""
    with storage_faults(store.path):
        return int(store.reader.execute(_WHOLES, (f"%{in_pieces}%", stage)).fetchone()[0])


def count_parts(store: Store, stage: str, names: list[str], in_pieces: str) -> dict[str, PartCounts]:
    """Counts the parts of each name."""
    whole = count_wholes(store, stage, in_pieces)
    counts = {name: PartCounts(dict.fromkeys(State, 0), {}, 0) for name in names}
    with storage_faults(store.path):
        rows = [
            *store.reader.execute(_SINGLE, (stage, f"%{in_pieces}%")),
            *store.reader.execute(_IN_PIECES, (stage, f"%{in_pieces}%")),
        ]
    for name, state, reason, count, retried in rows:
        if name in counts:
            counts[name] = _with(counts[name], State(state), reason, count, retried)
    for each in counts.values():
        each.states[State.PENDING] = whole - sum(n for state, n in each.states.items() if state is not State.PENDING)
    return counts


def count_part_spending(store: Store) -> list[PartUse]:
    """What the parts of each name have cost, by model."""
    with storage_faults(store.path):
        rows = store.reader.execute(
            "SELECT name, model, coalesce(settings ->> 'model', ''), sum(asked), sum(prompt_tokens), "
            "sum(completion_tokens), sum(cached_tokens) FROM part_spending "
            "LEFT JOIN session ON session.id = part_spending.session "
            "LEFT JOIN spec ON spec.id = session.spec GROUP BY 1, 2, 3"
        )
        return [PartUse(name, model, asked, n, Usage(*map(round, tokens))) for name, model, asked, n, *tokens in rows]


def _with(counts: PartCounts, state: State, reason: str, count: int, retried: int) -> PartCounts:
    counts.states[state] += count
    if reason and state not in (State.OK, State.PENDING):
        counts.reasons.setdefault(state, Counter())[reason] += count
    return counts._replace(retried=counts.retried + retried)
