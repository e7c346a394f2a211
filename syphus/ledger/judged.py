"""What a judge is asked about the pairs of a stage, and which pairs it has found bad."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from syphus.ledger.parts import marks
from syphus.ledger.records import QUERY_COLUMNS, QUERY_TABLES, query_from_columns
from syphus.ledger.serialization import load_images, load_pairs
from syphus.ledger.store import Store
from syphus.types import Pair, PromptImage, Query, State

#: Begins the names of rules among the repairs that did not decide about an accepted answer: a judge looks at it first.
DOUBTFUL = "doubtful: "
_HASHES = 2**32
_MOST_IDS = 500  # in one statement
_HASH = "(position * 2654435761 & 4294967295)"
_SOURCE = "json_extract(meta, '$.n')"
_JUDGED_BEFORE = f"""
    SELECT position, {QUERY_COLUMNS}, (SELECT state FROM query AS source WHERE source.n = {_SOURCE}),
        coalesce((SELECT pairs FROM result WHERE result.n = {_SOURCE}), '[]')
    FROM {QUERY_TABLES}
    WHERE stage = ? AND state <> 'pending' AND json_extract(meta, '$.judge') = ? AND EXISTS (
        SELECT 1 FROM query AS source WHERE source.n = {_SOURCE} AND source.position IS NOT NULL
        AND source.state IN ('ok', 'invalid') AND coalesce(source.answer, 0) = json_extract(meta, '$.answer'))
    AND position > ? ORDER BY position LIMIT ?"""
_WITH_PAIRS = f"""
    SELECT query.n, query.id, annotation.text, coalesce(answer, 0), result.pairs, images
    FROM {QUERY_TABLES} JOIN result USING (n)
    WHERE stage = ? AND state = 'ok' AND position IS NOT NULL AND query.pairs > 0"""
_NAMED = f"{_WITH_PAIRS} AND id IN ({{}}) ORDER BY id"
_SAMPLED = f"""{_WITH_PAIRS}
    AND ({_HASH} < ?{{}}) AND query.n > ? ORDER BY query.n LIMIT ?"""
_IS_DOUBTFUL = f" OR EXISTS (SELECT 1 FROM json_each(repairs) WHERE substr(key, 1, {len(DOUBTFUL)}) = '{DOUBTFUL}')"
_IN_SAMPLE = (
    f"SELECT n FROM query WHERE stage = ? AND position IS NOT NULL AND {_HASH} < ? AND n > ? ORDER BY n LIMIT ?"
)
# The condition on the position is a multiplicative hash (Knuth, The Art of Computer Programming, section 6.4).


class JudgedBefore(NamedTuple):
    """A query to a judge that has an outcome, and what became of the query that it is about."""

    query: Query
    state: State  #: of that query
    pairs: tuple[Pair, ...]  #: its accepted pairs


class SampledPairs(NamedTuple):
    """The accepted pairs of a query, with the number of the answer that they are from (0 for pairs of the input)."""

    n: int
    id: str
    annotation: str
    answer: int
    pairs: tuple[Pair, ...]
    images: tuple[PromptImage, ...]


def judged_before(store: Store, stage: str, judge: str) -> Iterator[JudgedBefore]:
    """Yield the queries of the judging `stage` that the model `judge` was asked about an answer that still counts."""
    for rows in store.read_in_batches(_JUDGED_BEFORE, stage, judge):
        for _, *columns, state, pairs in rows:
            yield JudgedBefore(query_from_columns(*columns), State(state), load_pairs(pairs))


def sampled_pairs(store: Store, stage: str, share: float, *, doubtful: bool = False) -> Iterator[SampledPairs]:
    """Yield about a share of the queries of `stage` that have pairs. A larger share contains a smaller one.

    With `doubtful`, those that a cleaning rule could not decide about are yielded as well.
    """
    statement = _SAMPLED.format(_IS_DOUBTFUL if doubtful else "")
    for rows in store.read_in_batches(statement, stage, round(share * _HASHES)):
        yield from map(_sampled, rows)


def _sampled(columns: tuple[int, str, str, int, str, str]) -> SampledPairs:
    n, name, annotation, answer, pairs, images = columns
    return SampledPairs(n, name, annotation, answer, load_pairs(pairs), load_images(images) if images else ())


def pairs_of_queries(store: Store, stage: str, names: Collection[str]) -> Iterator[SampledPairs]:
    """Yield the queries of `stage` with these ids that have pairs, in the order of the ids."""
    every = sorted(names)
    for start in range(0, len(every), _MOST_IDS):
        some = every[start : start + _MOST_IDS]
        yield from map(_sampled, store.read(_NAMED.format(marks(some)), stage, *some))


def sampled_numbers(store: Store, stage: str, share: float) -> frozenset[int]:
    """Return the numbers of the queries of `stage` that are in the sample of this share."""
    return frozenset(n for rows in store.read_in_batches(_IN_SAMPLE, stage, round(share * _HASHES)) for (n,) in rows)


def bad_pairs(store: Store) -> dict[bytes, str]:
    """Return the pairs that a judge has found bad, by the hash of annotation and texts, with their faults."""
    return dict(store.read("SELECT key, fault FROM bad_pair"))


def set_bad_pairs(store: Store, faults: Mapping[bytes, str]) -> None:
    """Replace the pairs that a judge has found bad, without committing."""
    store.execute("DELETE FROM bad_pair")
    store.executemany("INSERT INTO bad_pair VALUES (?, ?)", list(faults.items()))
