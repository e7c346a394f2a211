"""What samples are drawn from: the queries of a stage that a model can be asked about, and what came of asking some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from syphus.ledger.pairs import load_pairs
from syphus.ledger.records import QUERY_COLUMNS, QUERY_TABLES, query_of
from syphus.ledger.store import Store, storage_faults
from syphus.types import Pair, Query, State, Usage

_AT_ONCE = 500

_ASKABLE = (
    "SELECT id, text FROM query JOIN annotation USING (n) WHERE stage = ? AND position IS NOT NULL AND problem = '' "
    "AND ready = '[]' AND trim(text) <> '' ORDER BY position"
)
_ANSWERED = (
    f"SELECT position, {QUERY_COLUMNS}, state, reason, coalesce(result.pairs, '[]'), coalesce(answer.text, ''), "
    "coalesce(model, ''), coalesce(prompt_tokens, 0), coalesce(completion_tokens, 0), coalesce(cached_tokens, 0), "
    "coalesce(reasoning_tokens, 0), coalesce(estimated, 0), coalesce(detail, '') "
    f"FROM {QUERY_TABLES} "
    "LEFT JOIN result USING (n) LEFT JOIN answer ON answer.n = query.answer "
    "WHERE stage = ? AND position > ? ORDER BY position LIMIT ?"
)


class Answered(NamedTuple):
    """A query and what came of it: `pairs` where they were accepted, the raw `text` of its newest answer, if any."""

    query: Query
    state: State
    reason: str
    pairs: tuple[Pair, ...]
    text: str
    model: str  #: as the server called itself
    usage: Usage
    detail: str


def askable(store: Store, stage: str) -> Iterator[tuple[str, str]]:
    """Id and text of each query that a model can be asked about, in the order of the input; one at a time."""
    with storage_faults(store.path):
        yield from store.reader.execute(_ASKABLE, (stage,))


def different(store: Store, stage: str, most: int) -> int:
    """How many different texts a model can be asked about, counted up to `most`."""
    texts: set[str] = set()
    for _, text in askable(store, stage):
        texts.add(text)
        if len(texts) == most:
            break
    return len(texts)


def queries_called(store: Store, stage: str, names: Sequence[str]) -> list[Query]:
    """The queries with these ids, in this order. Raises KeyError where there is none of that name."""
    found: dict[str, Query] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        with storage_faults(store.path):
            rows = store.reader.execute(
                f"SELECT {QUERY_COLUMNS} FROM {QUERY_TABLES} WHERE stage = ? AND id IN ({marks})",
                (stage, *some),
            ).fetchall()
        found |= {row[0]: query_of(*row) for row in rows}
    return [found[name] for name in names]


def answered(store: Store, stage: str) -> Iterator[Answered]:
    """What came of each query of a stage, in their order; those that are still pending come without an answer."""
    after = -1
    while rows := store.read(_ANSWERED, stage, after, _AT_ONCE):
        yield from (_answered(*columns) for _, *columns in rows)
        after = rows[-1][0]


def _answered(*columns: str | int) -> Answered:
    name, text, image_ids, meta, problem, ready = map(str, columns[:6])
    state, reason, pairs, answer, model = map(str, columns[7:12])
    usage = Usage(*(int(count) for count in columns[12:17]))
    query = query_of(name, text, image_ids, meta, problem, ready, str(columns[6]) if columns[6] else None)
    return Answered(query, State(state), reason, load_pairs(pairs), answer, model, usage, str(columns[17]))
