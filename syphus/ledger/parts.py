"""Parts of a query that each have their own outcome, such as the languages that a pair is translated into.

A part is stored once it has been asked for. If it is pending, its last answer was invalid and it needs a retry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from syphus.exchange import Completion
from syphus.ledger.schema import LARGE_PROMPT
from syphus.ledger.store import Store
from syphus.types import ReasonKind, State


class PartOutcome(NamedTuple):
    """The outcome of one part of a query."""

    n: int  #: number of the query
    name: str
    state: State
    reason: str = ""  #: short, so that equal reasons can be counted
    detail: str = ""
    text: str = ""


class StoredPart(NamedTuple):
    """A part as stored in the ledger."""

    state: State
    asks: int  #: answers since the part was last reopened by hand
    asked: int  #: answers in total
    reason: str
    detail: str
    text: str


def write_parts(
    store: Store, session: int, parts: Sequence[PartOutcome], answer: int | None, completion: Completion | None
) -> None:
    """Write parts into the open transaction. `completion` is a new answer, or None if it was already stored."""
    store.executemany(
        "INSERT INTO part VALUES (?, ?, ?, 1, 0, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, "
        "asked = asked + 1, reason = excluded.reason, detail = excluded.detail, text = excluded.text, "
        "answer = excluded.answer",
        [(p.n, p.name, p.state, p.reason, p.detail, p.text, answer) for p in parts],
    )
    if completion is None:
        return
    usage = completion.usage
    prompt_size = usage.prompt_tokens if usage.prompt_tokens > LARGE_PROMPT else 0
    size = sum(len(part.text.encode()) + 1 for part in parts)
    shares = [(part.name, 1 / len(parts), (len(part.text.encode()) + 1) / size) for part in parts]
    store.executemany(
        "INSERT INTO part_spending VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "asked = asked + 1, prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
        "cached_tokens = cached_tokens + excluded.cached_tokens, "
        "completion_tokens = completion_tokens + excluded.completion_tokens, "
        "cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens",
        [
            (
                session,
                name,
                completion.model,
                prompt_share * usage.prompt_tokens,
                prompt_share * usage.cached_tokens,
                answer_share * usage.completion_tokens,
                prompt_share * usage.cache_write_tokens,
                completion.service_tier,
                completion.regional,
                prompt_size,
            )
            for name, prompt_share, answer_share in shares
        ],
    )


def parts_of(store: Store, n: int) -> dict[str, StoredPart]:
    """Return the committed parts of a query by name."""
    rows = store.read("SELECT name, state, asked - opened, asked, reason, detail, text FROM part WHERE n = ?", n)
    return {name: StoredPart(State(state), *rest) for name, state, *rest in rows}


def texts_by_number(store: Store, numbers: Iterable[int]) -> dict[int, tuple[str, str, str]]:
    """Return id, text and meta (JSON) of queries by number."""
    listed = list(numbers)
    rows = store.read(
        f"SELECT n, id, annotation.text, meta FROM query JOIN annotation USING (n) WHERE n IN ({marks(listed)})",
        *listed,
    )
    return {n: (name, text, meta) for n, name, text, meta in rows}


def texts_by_id(store: Store, stage: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the texts of queries of a stage by id; unknown ids are left out."""
    if not ids:
        return {}
    rows = store.read(
        f"SELECT id, annotation.text FROM query JOIN annotation USING (n) WHERE id IN ({marks(ids)}) "
        "AND stage = ? AND position IS NOT NULL",
        *(*ids, stage),
    )
    return dict(rows)


def update_parts(store: Store, parts: Iterable[tuple[int, str, State, str, str]]) -> None:
    """Store new outcomes of the same answers, as (n, name, state, reason, detail), without committing."""
    store.executemany(
        "UPDATE part SET state = ?, reason = ?, detail = ? WHERE n = ? AND name = ?",
        [(state, reason, detail, n, name) for n, name, state, reason, detail in parts],
    )


def reopen_parts(
    store: Store, stage: str, names: Sequence[str], states: Sequence[State], with_feedback: ReasonKind
) -> int:
    """Make parts in these states pending again, with as many attempts as new parts; commit, and return their number.

    Parts with a reason of the kind `with_feedback` count as asked once, so that the next request gives the reason.
    """
    condition = f"state IN ({marks(states)}) AND name IN ({marks(names)}) AND n IN ({_CURRENT})"
    count = store.execute(
        "UPDATE part SET state = 'pending', opened = asked - (substr(reason, 1, length(?1)) = ?1), reason = '' "
        f"WHERE {condition}",
        *(with_feedback, *states, *names, stage),
    ).rowcount
    store.commit()
    return count


def copy_query_states_to_parts(store: Store, stage: str, names: Sequence[str]) -> None:
    """Give the state of each query that ended without an answer to judge to its parts without an outcome."""
    ended = "stage = ? AND position IS NOT NULL AND state IN ('truncated', 'refused', 'failed')"
    for name in names:
        store.execute(
            "INSERT INTO part SELECT n, ?, state, 1, 0, reason, coalesce(detail, ''), '', answer FROM query "
            f"LEFT JOIN result USING (n) WHERE {ended} ON CONFLICT DO UPDATE SET state = excluded.state, "
            "asked = asked + 1, reason = excluded.reason, detail = excluded.detail "
            "WHERE part.state = 'pending' AND part.asked = part.opened",
            *(name, stage),
        )
    store.commit()


def reopen_queries_with_missing_parts(store: Store, stage: str, names: Sequence[str]) -> int:
    """Make queries pending again that lack the outcome of a part; commit, and return their number."""
    done = (
        f"SELECT n FROM part WHERE name IN ({marks(names)}) AND (state <> 'pending' OR asked > opened) "
        "GROUP BY n HAVING count(*) = ?"
    )
    count = store.execute(
        "UPDATE query SET state = 'pending', opened = used, attempts = 0, reason = '', seq = NULL "
        f"WHERE stage = ? AND state <> 'pending' AND position IS NOT NULL AND n NOT IN ({done})",
        *(stage, *names, len(names)),
    ).rowcount
    store.commit()
    return count


def settle_queries(store: Store, stage: str, names: Sequence[str], reason: str) -> None:
    """Set queries whose parts are all ok to ok and the others to invalid, with `reason`; commit."""
    done = f"SELECT n FROM part WHERE name IN ({marks(names)}) AND state = 'ok' GROUP BY n HAVING count(*) = ?"
    judged = "stage = ? AND state = ? AND position IS NOT NULL"
    values = (*names, len(names))
    store.execute(
        f"UPDATE query SET state = 'ok', reason = '' WHERE {judged} AND n IN ({done})", stage, "invalid", *values
    )
    store.execute(
        f"UPDATE query SET state = 'invalid', reason = ? WHERE {judged} AND n NOT IN ({done})",
        *(reason, stage, "ok", *values),
    )
    store.commit()


_CURRENT = "SELECT n FROM query WHERE stage = ? AND position IS NOT NULL"


def marks(values: Sequence[object]) -> str:
    """Return as many question marks as there are values, for `IN (...)`."""
    return ", ".join("?" * len(values))


class QueryPartTexts(NamedTuple):
    """A query with those of its parts that are in one state."""

    id: str
    text: str
    image_ids: str  #: JSON
    meta: str  #: JSON
    parts: dict[str, tuple[str, str]]  #: by name: text, and the server's name for the model


def queries_with_part_texts(store: Store, stage: str, state: State) -> Iterator[QueryPartTexts]:
    """Yield the queries of a stage in the order of the input, each with its parts in this state."""
    batches = store.read_in_batches(
        "SELECT position, n, id, annotation.text, image_ids, meta FROM query JOIN annotation USING (n) "
        "WHERE stage = ? AND position > ? ORDER BY position LIMIT ?",
        stage,
    )
    for rows in batches:
        found = store.read(
            "SELECT part.n, name, part.text, coalesce(model, '') FROM part "
            f"LEFT JOIN answer ON answer.n = part.answer WHERE part.state = ? AND part.n IN ({marks(rows)})",
            *(state, *(row[1] for row in rows)),
        )
        parts: dict[int, dict[str, tuple[str, str]]] = {}
        for n, name, text, model in found:
            parts.setdefault(n, {})[name] = (text, model)
        yield from (
            QueryPartTexts(name, text, images, meta, parts.get(n, {})) for _, n, name, text, images, meta in rows
        )


class QueryPartStates(NamedTuple):
    """A query with those of its parts that are in some states."""

    n: int
    id: str
    text: str
    parts: list[tuple[str, State, str, str]]  #: (name, state, reason, text)


def queries_with_part_states(store: Store, stage: str, states: Sequence[State]) -> Iterator[QueryPartStates]:
    """Yield the queries of a stage that have parts in these states, with these parts."""
    batches = store.read_in_batches(
        "SELECT n, id, annotation.text FROM query JOIN annotation USING (n) WHERE stage = ? AND n > ? "
        "AND position IS NOT NULL ORDER BY n LIMIT ?",
        stage,
    )
    for rows in batches:
        found = store.read(
            f"SELECT n, name, state, reason, text FROM part WHERE state IN ({marks(states)}) "
            f"AND n IN ({marks(rows)}) ORDER BY n, name",
            *(*states, *(row[0] for row in rows)),
        )
        parts: dict[int, list[tuple[str, State, str, str]]] = {}
        for n, name, state, reason, text in found:
            parts.setdefault(n, []).append((name, State(state), reason, text))
        yield from (QueryPartStates(n, name, text, parts[n]) for n, name, text in rows if n in parts)


class PendingPart(NamedTuple):
    """A part that needs a retry."""

    n: int  #: number of the query
    name: str
    asks: int  #: answers so far
    text: str  #: of the query


def pending_parts(store: Store, stage: str, name: str) -> Iterator[PendingPart]:
    """Yield the parts of one name that need a retry, in the order of their queries' numbers."""
    batches = store.read_in_batches(
        "SELECT part.n, name, part.asked - part.opened, annotation.text FROM part JOIN query USING (n) "
        "JOIN annotation USING (n) WHERE part.state = 'pending' AND part.asked > part.opened AND stage = ? "
        "AND position IS NOT NULL AND name = ? AND part.n > ? ORDER BY part.n LIMIT ?",
        *(stage, name),
    )
    for rows in batches:
        yield from map(PendingPart._make, rows)


def chunk_id(pair: str, number: int) -> str:
    """Return the id of a chunk of a long pair."""
    return f"{pair}#{number}"
