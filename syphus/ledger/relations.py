"""How the pairs of a run are related: what was chosen, and the nearest of each pair where that is what was chosen.

All of it is in the ledger, so that every export from it has the same context for a pair.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson

from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.types import Relation, Train

_CHOICE = "relation"  # meta: what was chosen, JSON
_OWN_TRAIN = "train"  # meta: the user's own train file, zlib of JSON
_NEAREST = "nearest"  # meta: what the nearest were made from
_FACTS = "nearest facts"  # meta: what is told of them, JSON
_BATCH = 1000

TrainEntries = list[tuple[str, list[str] | None]]  #: of a train file: ids, with their context where it names one


class RelationChoice(NamedTuple):
    """How pairs are related, None being as the plugin's `related` says; how the set is called, and its train file."""

    relation: Relation | None
    short_name: str
    train: Train


def store_choice(store: Store, choice: RelationChoice, own_train: TrainEntries | None) -> bool:
    """Notes what was chosen, and the user's own train file if there is one, without committing.

    Returns whether it is another choice than before.
    """
    chosen = orjson.dumps([choice.relation, choice.short_name, choice.train]).decode()
    packed = None if own_train is None else zlib.compress(orjson.dumps(own_train))
    if (chosen, packed) == (get_meta(store, _CHOICE), get_meta(store, _OWN_TRAIN)):
        return False
    set_meta(store, _CHOICE, chosen)
    set_meta(store, _OWN_TRAIN, packed)
    return True


def stored_choice(store: Store) -> RelationChoice | None:
    """What was chosen; None where the run has not come so far."""
    kept = get_meta(store, _CHOICE)
    if kept is None:
        return None
    relation, short_name, train = orjson.loads(str(kept))
    return RelationChoice(Relation(relation) if relation else None, short_name, Train(**train))


def stored_train(store: Store) -> TrainEntries | None:
    """The user's own train file, if there is one."""
    packed = get_meta(store, _OWN_TRAIN)
    if not isinstance(packed, bytes):
        return None
    return [(name, context) for name, context in orjson.loads(zlib.decompress(packed))]


def latest_outcome(store: Store, stage: str) -> int:
    """The running number of the newest outcome of a stage."""
    return int(store.read_value("SELECT max(seq) FROM query WHERE stage = ?", stage) or 0)


def nearest_source(store: Store) -> str:
    """What the nearest that are kept were made from, as it was given to `keep_nearest`; "" where there are none."""
    return str(get_meta(store, _NEAREST) or "")


def invalidate_nearest(store: Store) -> None:
    """The pairs have changed in a way that their newest outcome does not show. Without committing."""
    set_meta(store, _NEAREST, "")


def describe_relation(store: Store) -> dict[str, object]:
    """How the pairs are related, JSON values: the name of the relation, and what is known of its vectors.

    Nothing where it is as the plugin's `related` says.
    """
    choice = stored_choice(store)
    if choice is None or choice.relation is None:
        return {}
    facts = (
        orjson.loads(str(get_meta(store, _FACTS) or "{}"))
        if choice.relation.is_nearest and nearest_source(store)
        else {}
    )
    return {"relation": choice.relation, **facts}


def store_nearest(
    store: Store,
    rows: Iterable[tuple[str, Sequence[Sequence[str]]]],
    stage: str,
    made_from: str,
    facts: Mapping[str, object],
) -> None:
    """Keeps, in place of all that were kept, the nearest of the pairs of queries, by their ids.

    `made_from` and `facts` (JSON values) are kept with them. Commits.
    """
    store.execute("DELETE FROM nearest")
    for batch in _batches(rows):
        store.executemany(
            "INSERT INTO nearest SELECT n, ? FROM query WHERE id = ? AND stage = ?",
            [(orjson.dumps(related).decode(), query, stage) for query, related in batch],
        )
    set_meta(store, _NEAREST, made_from)
    set_meta(store, _FACTS, orjson.dumps(facts).decode())
    store.commit()


def _batches(
    rows: Iterable[tuple[str, Sequence[Sequence[str]]]],
) -> Iterator[list[tuple[str, Sequence[Sequence[str]]]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
