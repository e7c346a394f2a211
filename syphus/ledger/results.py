"""What a run has to show: its accepted pairs, in the order of the input, for whatever format they leave in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from syphus.ledger.pairs import Kept, load_kept
from syphus.ledger.store import Store

_BATCH = 256


class Result(NamedTuple):
    """The pairs of one query. `model` is the name that the server gave, "" where none was asked."""

    query: str
    image_ids: tuple[str, ...]
    pairs: list[Kept]
    model: str
    nearest: Sequence[Sequence[str]] | None = None  #: of each pair the ids of others; None where `related` says it

    def contexts(self) -> list[list[str]]:
        """The `rel_ins_ids` of each pair: ids, the first of the context first."""
        if self.nearest is not None:
            return [list(ids) for ids in self.nearest]
        ids = ["", *(pair.id for pair in self.pairs)]  # by their numbers, which begin with 1
        return [[ids[number] for number in pair.related] for pair in self.pairs]


_COLUMNS = "SELECT position, id, image_ids, result.pairs, coalesce(model, '')"
_FROM = " FROM query JOIN annotation USING (n) JOIN result USING (n) LEFT JOIN answer ON answer.n = query.answer"
_WHERE = " WHERE stage = ? AND state = 'ok' AND position IS NOT NULL AND "
_SELECT = _COLUMNS + _FROM + _WHERE
_WITH_NEAREST = f"{_COLUMNS}, coalesce(related, '[]') {_FROM} LEFT JOIN nearest USING (n) {_WHERE}"

_REJECTED = (
    "SELECT position, id, annotation.text, reason, coalesce(detail, ''), coalesce(answer.text, '') FROM query "
    "JOIN annotation USING (n) LEFT JOIN result USING (n) LEFT JOIN answer ON answer.n = query.answer "
    "WHERE stage = ? AND state = 'invalid' AND position > ? ORDER BY position LIMIT ?"
)


def accepted(store: Store, stage: str, nearest: bool = False) -> Iterator[Result]:
    """The accepted pairs of a stage, query by query, in the order of the input; if wanted with their nearest."""
    after, select = -1, _WITH_NEAREST if nearest else _SELECT
    while rows := store.read(select + "position > ? ORDER BY position LIMIT ?", stage, after, _BATCH):
        yield from (_result(*columns) for _, *columns in rows)
        after = rows[-1][0]


def accepted_since(store: Store, stage: str, seq: int) -> Iterator[Result]:
    """The accepted pairs of the outcomes after number `seq`, in the order in which they came."""
    for _, *columns in store.read(_SELECT + "seq > ? ORDER BY seq", stage, seq):
        yield _result(*columns)


def most_images(store: Store, stage: str) -> int:
    """The largest number of images that any of the accepted queries has."""
    ((most,),) = store.read(
        "SELECT max(json_array_length(image_ids)) FROM query JOIN annotation USING (n) "
        "WHERE stage = ? AND state = 'ok' AND position IS NOT NULL",
        stage,
    )
    return int(most or 0)


class Rejected(NamedTuple):
    """A query whose answer could not be taken: why, the places, and the raw answer ("" where it brought its pairs)."""

    query: str
    annotation: str
    reason: str
    places: str
    answer: str


def rejected(store: Store, stage: str) -> Iterator[Rejected]:
    """The queries that ended invalid, in the order of the input."""
    after = -1
    while rows := store.read(_REJECTED, stage, after, _BATCH):
        yield from (Rejected(*columns) for _, *columns in rows)
        after = rows[-1][0]


def _result(query: str, image_ids: str, pairs: str, model: str, nearest: str | None = None) -> Result:
    ids = None if nearest is None else orjson.loads(nearest)
    return Result(query, tuple(orjson.loads(image_ids)), load_kept(pairs), model, ids)
