"""How the pairs of a run are related: the choice, and the nearest pairs of each pair if the choice needs them.

All of it is in the ledger, so every export has the same context for a pair.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson

from syphus.declarations import Relation, Train
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store

_CHOICE = "relation"  # meta: the choice, as JSON
_OWN_TRAIN = "train"  # meta: the user's own train file, as compressed JSON
_NEAREST = "nearest"  # meta: what the nearest pairs were computed from
_FACTS = "nearest facts"  # meta: facts about the nearest pairs, as JSON

TrainEntries = list[tuple[str, list[str] | None]]  #: of a train file: ids, with their context or None


class RelationChoice(NamedTuple):
    """How pairs are related."""

    relation: Relation | None  #: None: by the plugin's `related`
    short_name: str  #: of the dataset
    train: Train


def store_choice(store: Store, choice: RelationChoice, own_train: TrainEntries | None) -> bool:
    """Store the choice and the user's own train file, if any, without committing. Return whether anything changed."""
    chosen = orjson.dumps([choice.relation, choice.short_name, choice.train]).decode()
    packed = None if own_train is None else zlib.compress(orjson.dumps(own_train))
    if (chosen, packed) == (get_meta(store, _CHOICE), get_meta(store, _OWN_TRAIN)):
        return False
    set_meta(store, _CHOICE, chosen)
    set_meta(store, _OWN_TRAIN, packed)
    return True


def stored_choice(store: Store) -> RelationChoice | None:
    """Return the choice, or None if none is stored yet."""
    stored = get_meta(store, _CHOICE)
    if stored is None:
        return None
    relation, short_name, train = orjson.loads(str(stored))
    return RelationChoice(Relation(relation) if relation else None, short_name, Train(**train))


def stored_train(store: Store) -> TrainEntries | None:
    """Return the user's own train file, or None."""
    packed = get_meta(store, _OWN_TRAIN)
    if not isinstance(packed, bytes):
        return None
    return [(name, context) for name, context in orjson.loads(zlib.decompress(packed))]


def latest_outcome(store: Store, stage: str) -> int:
    """Return the sequence number of the newest outcome of a stage."""
    return int(store.read_value("SELECT max(seq) FROM query WHERE stage = ?", stage) or 0)


def nearest_source(store: Store) -> str:
    """Return what the stored nearest pairs were computed from, as given to `store_nearest`; "" if none are valid."""
    return str(get_meta(store, _NEAREST) or "")


def invalidate_nearest(store: Store) -> None:
    """Mark the nearest pairs as outdated, for changes that the newest outcome does not show. Does not commit."""
    set_meta(store, _NEAREST, "")


def describe_relation(store: Store) -> dict[str, object]:
    """Return the name of the relation and facts about its vectors, as JSON values.

    The result is empty if the plugin's `related` decides.
    """
    choice = stored_choice(store)
    if choice is None or choice.relation is None:
        return {}
    if not (choice.relation.is_nearest and nearest_source(store)):
        return {"relation": choice.relation}
    return {"relation": choice.relation, **orjson.loads(str(get_meta(store, _FACTS) or "{}"))}


def store_nearest(
    store: Store,
    rows: Iterable[tuple[str, Sequence[Sequence[str]]]],
    stage: str,
    source: str,
    facts: Mapping[str, object],
) -> None:
    """Store the nearest pairs of each query, by its id, in place of all that are stored; commit.

    `source` and `facts` (JSON values) are stored with them.
    """
    store.execute("DELETE FROM nearest")
    store.executemany(
        "INSERT INTO nearest SELECT n, ? FROM query WHERE id = ? AND stage = ?",
        ((orjson.dumps(related).decode(), query, stage) for query, related in rows),
    )
    set_meta(store, _NEAREST, source)
    set_meta(store, _FACTS, orjson.dumps(facts).decode())
    store.commit()
