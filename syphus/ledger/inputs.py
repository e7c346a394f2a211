"""Registers the input: finds new, changed and removed rows, in one transaction before anything is sent.

The plugin's queries are read once. From then on the ledger is the work list, and a later start reads the input again
only if it may have changed. So a bad record at the end of the file costs nothing, the number of queries is known, and
a resumed run of a million finished rows finds the unfinished ones at once.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import orjson

from syphus.errors import InputError
from syphus.ledger.serialization import dump_images, dump_pairs, images_identity
from syphus.ledger.store import Store
from syphus.types import Query

_BATCH = 1000
_MAX_IMAGE_BYTES = 32 << 20  # of the rows in one batch
_EXAMPLES = 3  #: ids that a message lists


ImageInspector = Callable[[Sequence[Query]], Sequence[Query]]  #: returns the same queries with inspected images


@dataclass(slots=True)
class InputCheck:
    """What changed since the input was last registered, as numbers of rows."""

    read: int = 0  #: rows in the input
    selected: int = 0  #: rows that belong to this run
    new: int = 0
    changed: int = 0  #: rows with an outcome that was made from another text
    removed: int = 0  #: rows with an outcome that are no longer in the input
    moved: int = 0  #: rows in another position, or back in the input
    examples: list[str] = field(default_factory=list)  #: ids of some changed and removed rows


class _Incoming(NamedTuple):
    query: Query
    position: int
    digest: bytes
    image_ids: str
    meta: str
    ready: str
    images: str


class _Known(NamedTuple):
    n: int
    id: str
    digest: bytes
    checked: int
    position: int | None


def register(
    store: Store,
    stage: str,
    queries: Iterable[Query],
    is_selected: Callable[[int], bool],
    on_progress: Callable[[int], None],
    inspect_images: ImageInspector | None = None,
) -> InputCheck:
    """Read all queries into the ledger without committing, so that the caller can accept or reject the result.

    `is_selected(position)` selects the rows of this run (slices, samples); other rows are skipped unless an earlier
    start selected them. `on_progress` is called with the number of rows read so far; `inspect_images` inspects the
    images of selected queries. Raises `InputError` if two rows have the same id.
    """
    return _Registration(store, stage, inspect_images).run(queries, is_selected, on_progress)


def accept_input(store: Store, stage: str) -> None:
    """Make changed rows pending, take removed rows out of the result (their answers stay), and commit."""
    changed = "SELECT n FROM query WHERE stage = ?1 AND changed"
    store.execute(f"DELETE FROM result WHERE n IN ({changed})", stage)
    store.execute(f"DELETE FROM part WHERE n IN ({changed})", stage)
    store.execute(
        "UPDATE query SET state = 'pending', used = 0, opened = 0, attempts = 0, answer = NULL, reason = '', "
        f"pairs = 0, seq = NULL, changed = 0 WHERE n IN ({changed})",
        stage,
    )
    store.execute("UPDATE query SET position = NULL WHERE stage = ?1 AND checked < (" + _LAST_CHECK + ")", stage)
    store.commit()


def reject_input(store: Store) -> None:
    """Restore the ledger as it was before `register`."""
    store.rollback()


_LAST_CHECK = "SELECT max(checked) FROM query WHERE stage = ?1"


class _Registered(NamedTuple):
    id: str
    digest: bytes
    position: int


class _Registration:
    def __init__(self, store: Store, stage: str, inspect_images: ImageInspector | None) -> None:
        self._store = store
        self._inspect_images = inspect_images
        self._stage = stage
        ((last_check,),) = store.read_uncommitted(_LAST_CHECK, stage)
        ((last_n,),) = store.read_uncommitted("SELECT max(n) FROM query")
        self._check_number = (last_check or 0) + 1
        self._next_n = (last_n or 0) + 1
        self._copies: Counter[str] = Counter()
        self.check = InputCheck()

    def run(
        self, queries: Iterable[Query], is_selected: Callable[[int], bool], on_progress: Callable[[int], None]
    ) -> InputCheck:
        for batch in _batches(queries):
            known = self._look_up([row.query.id for row in batch])
            rows = self._inspect_selected(self._with_unique_ids(batch, known), known, is_selected)
            new = [row for row in rows if row.query.id not in known and is_selected(row.position)]
            old = [(known[row.query.id], row) for row in rows if row.query.id in known]
            self._insert(new)
            self._update(old)
            self.check.read += len(rows)
            self.check.selected += len(new) + len(old)
            on_progress(self.check.read)
        self._find_removed()
        return self.check

    def _inspect_selected(
        self, rows: list[_Incoming], known: dict[str, _Known], is_selected: Callable[[int], bool]
    ) -> list[_Incoming]:
        """Return the rows, with inspected images where the row belongs to this run."""
        selected = [row for row in rows if row.query.images and (row.query.id in known or is_selected(row.position))]
        inspected = {row.position: row for row in self._inspect(selected)}
        return [inspected.get(row.position, row) for row in rows] if inspected else rows

    def _inspect(self, rows: list[_Incoming]) -> list[_Incoming]:
        """Return the rows with inspected images."""
        if self._inspect_images is None or not rows:
            return rows
        queries = self._inspect_images([row.query for row in rows])
        return [_incoming(query, row.position) for query, row in zip(queries, rows, strict=True)]

    def _look_up(self, ids: Iterable[str]) -> dict[str, _Known]:
        """Return the stored rows with these ids, in any Unicode spelling."""
        spellings = {spelling for each in ids for spelling in _spellings(each)}
        marks = ", ".join("?" * len(spellings))
        rows = self._store.read_uncommitted(
            f"SELECT n, id, digest, checked, position FROM query WHERE id IN ({marks}) AND stage = ?",
            *(*spellings, self._stage),
        )
        return {known.id: known for known in map(_Known._make, rows)}

    def _with_unique_ids(self, batch: list[_Incoming], known: dict[str, _Known]) -> list[_Incoming]:
        """Return the batch with a unique id for every row. Raises `InputError` if different rows have the same id.

        Two identical rows are one row written twice; the second gets the id `<id>_2`.
        """
        current = (
            _Registered(row.id, row.digest, row.position or 0) for row in known.values() if self._is_current(row)
        )
        registered = {spelling: row for row in current for spelling in _spellings(row.id)}
        rows = []
        for row in batch:
            twin = next((registered[spelling] for spelling in _spellings(row.query.id) if spelling in registered), None)
            name = self._name_of_copy(row, twin, known, registered) if twin is not None else row.query.id
            if name != row.query.id:
                row = row._replace(query=replace(row.query, id=name))
            registered.update(dict.fromkeys(_spellings(name), _Registered(name, row.digest, row.position)))
            rows.append(row)
        return rows

    def _name_of_copy(
        self, row: _Incoming, twin: _Registered, known: dict[str, _Known], registered: Mapping[str, _Registered]
    ) -> str:
        name = row.query.id
        if twin.id != name or twin.digest not in (row.digest, self._digest_with_images(row)):
            raise InputError(same_id(twin.position + 1, row.position + 1, name))
        while True:
            self._copies[name] += 1
            copy = f"{name}_{self._copies[name] + 1}"
            found = self._look_up([copy])
            if copy not in registered and not any(self._is_current(other) for other in found.values()):
                known.update(found)
                return copy

    def _digest_with_images(self, row: _Incoming) -> bytes:
        """Return the digest of a row that was not selected, as if its images had been inspected."""
        return self._inspect([row])[0].digest

    def _is_current(self, row: _Known) -> bool:
        return row.checked == self._check_number

    def _insert(self, rows: list[_Incoming]) -> None:
        numbered = list(enumerate(rows, self._next_n))
        self._next_n += len(rows)
        self._store.executemany(
            "INSERT INTO query (n, stage, id, position, digest, checked) VALUES (?, ?, ?, ?, ?, ?)",
            [(n, self._stage, r.query.id, r.position, r.digest, self._check_number) for n, r in numbered],
        )
        self._store.executemany(
            "INSERT INTO annotation (n, text, image_ids, meta, problem, ready) VALUES (?, ?, ?, ?, ?, ?)",
            [(n, r.query.text, r.image_ids, r.meta, r.query.problem, r.ready) for n, r in numbered],
        )
        self._put_images((n, row) for n, row in numbered)
        self.check.new += len(rows)

    def _update(self, rows: list[tuple[_Known, _Incoming]]) -> None:
        self.check.moved += sum(known.position != row.position for known, row in rows)
        self._store.executemany(
            "UPDATE query SET position = ?, checked = ? WHERE n = ?",
            [(row.position, self._check_number, known.n) for known, row in rows],
        )
        other = [(known, row) for known, row in rows if known.digest != row.digest]
        self._store.executemany(
            "UPDATE query SET digest = ?, changed = (state <> 'pending' OR used > 0) WHERE n = ?",
            [(row.digest, known.n) for known, row in other],
        )
        self._store.executemany(
            "UPDATE annotation SET text = ?, image_ids = ?, meta = ?, problem = ?, ready = ? WHERE n = ?",
            [(row.query.text, row.image_ids, row.meta, row.query.problem, row.ready, known.n) for known, row in other],
        )
        self._store.executemany("DELETE FROM picture WHERE n = ?", [(known.n,) for known, row in other])
        self._put_images((known.n, row) for known, row in rows)  # the same images may have moved

    def _put_images(self, rows: Iterable[tuple[int, _Incoming]]) -> None:
        self._store.executemany(
            "INSERT OR REPLACE INTO picture VALUES (?, ?)", [(n, row.images) for n, row in rows if row.images]
        )

    def _find_removed(self) -> None:
        stage = (self._stage, self._check_number)
        never_asked = "stage = ? AND checked < ? AND state = 'pending' AND used = 0"
        for table in ("annotation", "picture"):
            self._store.execute(f"DELETE FROM {table} WHERE n IN (SELECT n FROM query WHERE {never_asked})", *stage)
        self._store.execute(f"DELETE FROM query WHERE {never_asked}", *stage)
        self.check.changed = self._count_and_name("changed")
        self.check.removed = self._count_and_name("checked < ? AND position IS NOT NULL", self._check_number)

    def _count_and_name(self, condition: str, *values: int) -> int:
        """Count the rows that meet a condition, and add some of them to the examples."""
        rows = self._store.read_uncommitted(
            f"SELECT id FROM query WHERE stage = ? AND {condition}", self._stage, *values
        )
        self.check.examples += [row[0] for row in rows[:_EXAMPLES]]
        return len(rows)


def _batches(queries: Iterable[Query]) -> Iterator[list[_Incoming]]:
    """Yield rows by the thousand; fewer if they hold images, which stay in memory until they are inspected."""
    batch: list[_Incoming] = []
    image_bytes = 0
    for position, query in enumerate(queries):
        batch.append(_incoming(query, position))
        if query.images:
            image_bytes += sum(len(image.data) for image in query.images)
        if len(batch) == _BATCH or image_bytes > _MAX_IMAGE_BYTES:
            yield batch
            batch, image_bytes = [], 0
    if batch:
        yield batch


def content_digest(query: Query) -> bytes:
    """Return the digest of all that a row consists of but its id."""
    return _incoming(query, 0).digest


def _incoming(query: Query, position: int) -> _Incoming:
    image_ids, meta = orjson.dumps(query.image_ids).decode(), orjson.dumps(query.meta).decode()
    ready = dump_pairs(query.pairs)
    content = f"{query.text}\0{image_ids}\0{meta}\0{query.problem}\0{ready}"
    if query.images:
        content += f"\0{images_identity(query.images)}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).digest()
    return _Incoming(query, position, digest, image_ids, meta, ready, dump_images(query.images))


def _spellings(name: str) -> tuple[str, ...]:
    """Return the id and, unless it is ASCII, its other Unicode normal forms, which look the same."""
    if name.isascii():
        return (name,)
    return tuple({name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)})


def same_id(one: int, other: int, name: str) -> str:
    """Return the message for two rows, by their numbers from 1, that differ and have the same id."""
    return (
        f"Rows {one} and {other} of the input have the same id {name!r}. Ids must be unique; nothing was sent. "
        "Several rows of one image? Group them: grouped(rows, COLUMN)."
    )
