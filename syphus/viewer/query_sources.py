"""Where the rows of a list come from: the source that leaves the fewest of them to look at.

An index of the ledger finds states and reasons, the viewer's own index finds texts, rules, models and sessions. Other
lists go through the input in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from syphus.ledger.parts import marks
from syphus.ledger.store import Store
from syphus.types import State
from syphus.viewer.query_filter import LARGEST, Cursor, Key, Order, QueryFilter
from syphus.viewer.side_index import SideIndex


class Batch(NamedTuple):
    """Some keys of a source, in their order, all of one phase; `last` is where to continue."""

    keys: list[Key]
    last: Key | None
    ended: bool  #: there are no more


#: Returns what comes after a key, or before it if the direction is backwards; about as many as are asked for.
Source = Callable[[Key | None, bool, int], Batch]

_MOST_GROUPS = 100  #: reasons that are merged
_FEW = 3000  #: rows of an outcome up to which all are checked, whatever other index there is


def choose_source(store: Store, wanted: QueryFilter, side: SideIndex, cursor: Cursor | None) -> tuple[Order, Source]:
    """Return the order of a list, and where its rows come from. A page that continues keeps the order of the list."""
    orders = list(_orders(store, wanted, side))
    order = cursor.order if cursor is not None and cursor.order in orders else orders[0]
    match order:
        case Order.TEXT:
            return order, _in_phases(_texts(store, side, wanted, 0), _texts(store, side, wanted, 1))
        case Order.RULE:
            return order, _in_phases(
                _repaired(side, wanted), _by_outcome(store, wanted, [(State.INVALID, wanted.rule)])
            )
        case Order.ANSWER:
            return order, _answers(store, side, wanted)
        case Order.POSITION:
            outcomes = _outcomes(store, wanted)
            return order, in_input_order(store, wanted.stage) if outcomes is None else _by_outcome(
                store, wanted, outcomes
            )


def _orders(store: Store, wanted: QueryFilter, side: SideIndex) -> Iterator[Order]:
    """Yield the orders that a list may have, the best one first."""
    if not wanted.language:
        if _are_few(store, wanted):
            yield Order.POSITION
        if wanted.text.terms and side.has_texts:
            yield Order.TEXT
        if wanted.rule and side.is_ready:
            yield Order.RULE
        if (wanted.model or wanted.session is not None) and side.is_ready and not wanted.of_outcome:
            yield Order.ANSWER
    yield Order.POSITION


def in_input_order(store: Store, stage: str, index: str = "", where: str = "", *values: object) -> Source:
    """Return all queries of a stage, or those of a condition, in the order of the input."""
    select = (
        f"SELECT position, n FROM query {index and f'INDEXED BY {index}'} WHERE stage = ? {where} "
        "AND position {} ? ORDER BY position {} LIMIT ?"
    )

    def keys(after: Key | None, backwards: bool, size: int) -> Batch:
        start = after.number if after is not None else LARGEST if backwards else -1
        rows = store.read(select.format(*(("<", "DESC") if backwards else (">", "ASC"))), stage, *values, start, size)
        return _batch([Key(0, position, n) for position, n in rows], size)

    return keys


def has_index(store: Store) -> bool:
    """Return whether the ledger has an index of outcomes; if an earlier version wrote it last, it has none."""
    return bool(store.read("SELECT 1 FROM main.sqlite_schema WHERE name = 'query_outcome'"))


def _outcomes(store: Store, wanted: QueryFilter) -> list[tuple[str, str]] | None:
    """Return the states and reasons of the run that fit; None if rows are not selected by them, or if too many fit."""
    if wanted.language or not wanted.of_outcome or not has_index(store):
        return None
    states = wanted.states or tuple(State)
    rows = store.read(
        f"SELECT DISTINCT kind, name FROM tally WHERE stage = ? AND times > 0 AND kind IN ({marks(states)})",
        *(wanted.stage, *map(str, states)),
    )
    fitting = [(state, reason) for state, reason in rows if wanted.reason.lower() in reason.lower()]
    return fitting if len(fitting) <= _MOST_GROUPS else None


def _are_few(store: Store, wanted: QueryFilter) -> bool:
    """Return whether so few queries have the wanted outcome that checking all of them is quickest."""
    if not wanted.states or not wanted.of_outcome:
        return False
    count = store.read_value(
        f"SELECT sum(times) FROM tally WHERE stage = ? AND instr(lower(name), ?) AND kind IN ({marks(wanted.states)})",
        *(wanted.stage, wanted.reason.lower(), *map(str, wanted.states)),
    )
    return bool((count or 0) <= _FEW)


def _by_outcome(store: Store, wanted: QueryFilter, outcomes: Sequence[tuple[str, str]]) -> Source:
    """Return the queries with these outcomes (state and reason), in the order of the input."""
    if not has_index(store):
        return in_input_order(store, wanted.stage)
    sources = [
        in_input_order(
            store, wanted.stage, "query_outcome", "AND state = ? AND reason = ? AND state <> 'pending'", state, reason
        )
        for state, reason in outcomes
        if state != State.PENDING
    ]
    if any(state == State.PENDING for state, _ in outcomes):
        sources.append(in_input_order(store, wanted.stage, "query_pending", "AND state = 'pending'"))

    def keys(after: Key | None, backwards: bool, size: int) -> Batch:
        every = sorted((key for source in sources for key in source(after, backwards, size).keys), reverse=backwards)
        return _batch(every[:size], size)

    return keys


def _in_phases(first: Source, second: Source) -> Source:
    """Return the keys of one source, then those of another as a second phase."""

    def keys(after: Key | None, backwards: bool, size: int) -> Batch:
        phase = after.phase if after is not None else int(backwards)
        found = (first, second)[phase](after, backwards, size)
        found_keys = [key._replace(phase=phase) for key in found.keys]
        if phase == int(not backwards) or not found.ended:
            return Batch(found_keys, found.last and found.last._replace(phase=phase), found.ended)
        return Batch(found_keys, Key(phase ^ 1, LARGEST if backwards else -1, 0), ended=False)

    return keys


def _texts(store: Store, side: SideIndex, wanted: QueryFilter, phase: int) -> Source:
    """Return the queries whose annotation, or answer in the second phase, may have a text."""

    def keys(after: Key | None, backwards: bool, size: int) -> Batch:
        start = after.number if after is not None else LARGEST if backwards else -1
        numbers = side.search(wanted.text, phase, start, backwards, size)
        if phase == 0:
            return _batch([Key(0, n, n) for n in numbers], size, after)
        return _with_queries(store, numbers, after, backwards, size)

    return keys


def _with_queries(store: Store, answers: Sequence[int], after: Key | None, backwards: bool, size: int) -> Batch:
    """Return the keys of the queries whose newest answer is one of `answers`, in the order of these."""
    rows = store.read(f"SELECT answer, n FROM query WHERE answer IN ({marks(answers)})", *answers)
    keys = sorted((Key(0, answer, n) for answer, n in rows), reverse=backwards)
    if after is not None:  # the first answer is that of the key: several queries may have it
        keys = [key for key in keys if (key[1:] < after[1:] if backwards else key[1:] > after[1:])]
    last = Key(0, answers[-1], -1 if backwards else LARGEST) if answers else None
    return Batch(keys, last, len(answers) < size)


def _batch(keys: list[Key], size: int, after: Key | None = None) -> Batch:
    """Return the keys that a source found, without the first one if that is `after` itself."""
    ended = len(keys) < size
    if after is not None and keys and keys[0].number == after.number:
        del keys[0]
    return Batch(keys, keys[-1] if keys else None, ended)


def _answers(store: Store, side: SideIndex, wanted: QueryFilter) -> Source:
    """Return the queries whose newest answer is of a model and a session, in the order of the answers."""

    def keys(after: Key | None, backwards: bool, size: int) -> Batch:
        start = after.number if after is not None else LARGEST if backwards else -1
        numbers = side.answers(wanted.model, wanted.session, start, backwards, size)
        return _with_queries(store, numbers, after, backwards, size)

    return keys


def _repaired(side: SideIndex, wanted: QueryFilter) -> Source:
    """Return the queries that a rule has repaired."""

    def keys(after: Key | None, backwards: bool, size: int) -> Batch:
        start = after.number if after is not None else LARGEST if backwards else -1
        numbers = side.repaired(wanted.rule, start, backwards, size)
        return _batch([Key(0, n, n) for n in numbers], size, after)

    return keys
