"""Reads the pairs of a run with their context, and its train file, as the ledger says that they were chosen.

The context of a pair (`rel_ins_ids`) is what its relation chooses: what the plugin's `related` returned, a rule within
each query, or the nearest pairs of the whole dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import orjson

from syphus.declarations import Relation, Train
from syphus.errors import RunError
from syphus.formats.train import OwnTrainFile, RuleTrainFile, resolve_own_entries
from syphus.ledger.relations import latest_outcome, nearest_source, stored_choice, stored_train
from syphus.ledger.results import QueryResult, accepted, conversations
from syphus.ledger.serialization import StoredPair
from syphus.ledger.store import Store
from syphus.ledger.summary import count_queries
from syphus.types import State


def pairs_with_context(store: Store, stage: str) -> Iterator[QueryResult]:
    """Yield the accepted pairs of a stage in input order, with their chosen context.

    If the nearest pairs were computed for other pairs than the present ones, the context is empty until they are
    computed again.
    """
    choice = stored_choice(store)
    relation = choice.relation if choice else None
    if relation is None:
        return accepted(store, stage)
    if not relation.is_nearest:
        return apply_relation(accepted(store, stage), relation)
    if is_nearest_current(store, stage, relation):
        return accepted(store, stage, nearest=True)
    return (result._replace(nearest=[()] * len(result.pairs)) for result in accepted(store, stage))


def read_train_file(store: Store, stage: str) -> RuleTrainFile | OwnTrainFile:
    """Return the train file: the user's own once all queries have an outcome, otherwise by the plugin's rule.

    Raises `RunError` if the user's own file does not fit the pairs.
    """
    own = check_own_train_file(store, stage)
    if own is None:
        choice = stored_choice(store)
        return RuleTrainFile(choice.train if choice else Train())
    entries, problems = own
    if problems:
        raise RunError(f"The train file of this run does not fit its pairs: {problems[0]} ({len(problems):,} in all).")
    return OwnTrainFile(entries)


def check_own_train_file(store: Store, stage: str) -> tuple[list[tuple[str, list[str]]], list[str]] | None:
    """Return the entries of the user's own train file, and its problems, one line each; None if it is not in use."""
    own = stored_train(store)
    if own is None or count_queries(store, stage).states[State.PENDING]:
        return None
    return resolve_own_entries(own, pairs_with_context(store, stage))


def is_nearest_current(store: Store, stage: str, relation: Relation, vectors: str = "") -> bool:
    """Return whether the stored nearest pairs were computed from the present pairs, and from `vectors` if given."""
    source = orjson.loads(nearest_source(store) or "[]")
    return bool(source) and source[::2] == [relation, latest_outcome(store, stage)] and vectors in ("", source[1])


def nearest_fingerprint(store: Store, stage: str, relation: Relation, vectors: str) -> str:
    """Return what nearest pairs are computed from, as `is_nearest_current` compares it."""
    return orjson.dumps([relation, vectors, latest_outcome(store, stage)]).decode()


def apply_relation(results: Iterable[QueryResult], relation: Relation) -> Iterator[QueryResult]:
    """Replace the context of all pairs by a rule within each query: siblings, earlier rounds, or none."""
    for result in results:
        numbers = _RULES[relation](result.pairs)
        pairs = [pair._replace(related=each) for pair, each in zip(result.pairs, numbers, strict=True)]
        yield result._replace(pairs=pairs)


def _siblings(pairs: Sequence[StoredPair]) -> list[list[int]]:
    numbers = range(1, len(pairs) + 1)
    return [[other for other in numbers if other != number] for number in numbers]


def _earlier(pairs: Sequence[StoredPair]) -> list[list[int]]:
    numbers = {pair.id: number for number, pair in enumerate(pairs, 1)}
    earlier: dict[int, list[int]] = {}
    for conversation in conversations(pairs):
        rounds = [numbers[pair.id] for pair in conversation]
        earlier.update({number: rounds[:index] for index, number in enumerate(rounds)})
    return [earlier[number] for number in range(1, len(pairs) + 1)]


def _none(pairs: Sequence[StoredPair]) -> list[list[int]]:
    return [[] for _ in pairs]


_RULES = {Relation.SIBLINGS: _siblings, Relation.EARLIER: _earlier, Relation.NONE: _none}
