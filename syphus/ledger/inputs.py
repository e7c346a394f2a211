"""Registering the input: what is new, what has changed, what has gone. One transaction, before anything is sent.

The plugin's queries stream through once; from then on the ledger is the work list, and a later start reads the input
again only where it may have changed. So a bad record at the end of the file costs nothing, the number of queries is
known, and a resumed run of a million finished rows finds the unfinished ones at once.
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
_HEAVY = 32 << 20  # bytes of images
_EXAMPLES = 3  #: ids that a message names


ImageInspector = Callable[[Sequence[Query]], Sequence[Query]]  #: the same queries, their images looked at


@dataclass(slots=True)
class InputCheck:
    """What registering found: `read` rows in all, `taken` of them are rows of this run.

    `changed` are rows whose text is another than the one that their outcome was made from, `gone` rows that have an
    outcome and are no longer in the input; `examples` names some of both. `moved` are at another place, or back.
    """

    read: int = 0
    selected: int = 0
    new: int = 0
    changed: int = 0
    removed: int = 0
    moved: int = 0
    examples: list[str] = field(default_factory=list)


class _Incoming(NamedTuple):
    query: Query
    position: int
    digest: bytes
    image_ids: str
    meta: str
    ready: str
    pictures: str


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
    """Reads all queries into the ledger, without committing, so that the caller can still `reject`.

    `wanted(position)` selects the rows of this run (slices, samples); others are left out, unless an earlier run took
    them. `tick` is told the number of rows read, now and then; `look` looks at the images of queries of this run.
    Raises `InputError` where two rows have one id.
    """
    return _Registration(store, stage, inspect_images).run(queries, is_selected, on_progress)


def accept_input(store: Store, stage: str) -> None:
    """Changed rows are asked anew, rows that have gone leave the result (their answers stay), and all is committed."""
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
    """Leaves the ledger as it was before `register`."""
    store.rollback()


_LAST_CHECK = "SELECT max(checked) FROM query WHERE stage = ?1"


class _Seen(NamedTuple):
    id: str
    digest: bytes
    position: int


class _Registration:
    def __init__(self, store: Store, stage: str, look: ImageInspector | None) -> None:
        self._store = store
        self._look = look
        self._stage = stage
        ((last_check,),) = store.read_uncommitted(_LAST_CHECK, stage)
        ((last_n,),) = store.read_uncommitted("SELECT max(n) FROM query")
        self._check_number = (last_check or 0) + 1
        self._next_n = (last_n or 0) + 1
        self._copies: Counter[str] = Counter()
        self.check = InputCheck()

    def run(self, queries: Iterable[Query], wanted: Callable[[int], bool], tick: Callable[[int], None]) -> InputCheck:
        for batch in _batches(queries):
            known = self._look_up([row.query.id for row in batch])
            rows = self._looked_at(self._told_apart(batch, known), known, wanted)
            new = [row for row in rows if row.query.id not in known and wanted(row.position)]
            old = [(known[row.query.id], row) for row in rows if row.query.id in known]
            self._insert(new)
            self._update(old)
            self.check.read += len(rows)
            self.check.selected += len(new) + len(old)
            tick(self.check.read)
        self._find_gone()
        return self.check

    def _looked_at(
        self, rows: list[_Incoming], known: dict[str, _Known], wanted: Callable[[int], bool]
    ) -> list[_Incoming]:
        """The rows, the images of those looked at that are rows of this run."""
        mine = [row for row in rows if row.query.images and (row.query.id in known or wanted(row.position))]
        seen = {row.position: row for row in self._seen(mine)}
        return [seen.get(row.position, row) for row in rows] if seen else rows

    def _seen(self, rows: list[_Incoming]) -> list[_Incoming]:
        """Rows with images, looked at."""
        if self._look is None or not rows:
            return rows
        queries = self._look([row.query for row in rows])
        return [_incoming(query, row.position) for query, row in zip(queries, rows, strict=True)]

    def _look_up(self, ids: Iterable[str]) -> dict[str, _Known]:
        """What the ledger knows of these ids and of other spellings of them."""
        spellings = {spelling for each in ids for spelling in _spellings(each)}
        marks = ", ".join("?" * len(spellings))
        rows = self._store.read_uncommitted(
            f"SELECT n, id, digest, checked, position FROM query WHERE id IN ({marks}) AND stage = ?",
            *(*spellings, self._stage),
        )
        return {known.id: known for known in map(_Known._make, rows)}

    def _told_apart(self, batch: list[_Incoming], known: dict[str, _Known]) -> list[_Incoming]:
        """The batch with an id of its own for every row; raises `InputError` for an id that two rows fight about.

        Two rows that are the same through and through are one row written twice, and the second becomes `<id>_2`.
        """
        current = (_Seen(row.id, row.digest, row.position or 0) for row in known.values() if self._is_current(row))
        seen = {spelling: row for row in current for spelling in _spellings(row.id)}
        rows = []
        for row in batch:
            twin = next((seen[spelling] for spelling in _spellings(row.query.id) if spelling in seen), None)
            name = self._name_of_copy(row, twin, known, seen) if twin is not None else row.query.id
            if name != row.query.id:
                row = row._replace(query=replace(row.query, id=name))
            seen.update(dict.fromkeys(_spellings(name), _Seen(name, row.digest, row.position)))
            rows.append(row)
        return rows

    def _name_of_copy(self, row: _Incoming, twin: _Seen, known: dict[str, _Known], seen: Mapping[str, _Seen]) -> str:
        name = row.query.id
        if twin.id != name or twin.digest not in (row.digest, self._digest_with_images(row)):
            raise InputError(
                f"Rows {twin.position + 1} and {row.position + 1} of the input have the same id {name!r}. "
                "Ids must be unique; nothing was sent."
            )
        while True:
            self._copies[name] += 1
            copy = f"{name}_{self._copies[name] + 1}"
            found = self._look_up([copy])
            if copy not in seen and not any(self._is_current(other) for other in found.values()):
                known.update(found)
                return copy

    def _digest_with_images(self, row: _Incoming) -> bytes:
        """The digest that the row has in the ledger, where nobody has looked at its images yet."""
        return self._seen([row])[0].digest

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
        self._put_pictures((n, row) for n, row in numbered)
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
        self._put_pictures((known.n, row) for known, row in rows)  # the same images may be in another place now

    def _put_pictures(self, rows: Iterable[tuple[int, _Incoming]]) -> None:
        self._store.executemany(
            "INSERT OR REPLACE INTO picture VALUES (?, ?)", [(n, row.pictures) for n, row in rows if row.pictures]
        )

    def _find_gone(self) -> None:
        stage = (self._stage, self._check_number)
        never_asked = "stage = ? AND checked < ? AND state = 'pending' AND used = 0"
        for table in ("annotation", "picture"):
            self._store.execute(f"DELETE FROM {table} WHERE n IN (SELECT n FROM query WHERE {never_asked})", *stage)
        self._store.execute(f"DELETE FROM query WHERE {never_asked}", *stage)
        self.check.changed = self._name_some("changed")
        self.check.removed = self._name_some("checked < ? AND position IS NOT NULL", self._check_number)

    def _name_some(self, condition: str, *values: int) -> int:
        """How many rows it holds for; the check's examples name some of them."""
        rows = self._store.read_uncommitted(
            f"SELECT id FROM query WHERE stage = ? AND {condition}", self._stage, *values
        )
        self.check.examples += [row[0] for row in rows[:_EXAMPLES]]
        return len(rows)


def _batches(queries: Iterable[Query]) -> Iterator[list[_Incoming]]:
    """Rows by the thousand; fewer where they bring images along, which are in memory until they were looked at."""
    batch: list[_Incoming] = []
    weight = 0
    for position, query in enumerate(queries):
        batch.append(_incoming(query, position))
        if query.images:
            weight += sum(len(picture.data) for picture in query.images)
        if len(batch) == _BATCH or weight > _HEAVY:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _incoming(query: Query, position: int) -> _Incoming:
    image_ids, meta = orjson.dumps(query.image_ids).decode(), orjson.dumps(query.meta).decode()
    ready = dump_pairs(query.pairs)
    content = f"{query.text}\0{image_ids}\0{meta}\0{query.problem}\0{ready}"
    if query.images:
        content += f"\0{images_identity(query.images)}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).digest()
    return _Incoming(query, position, digest, image_ids, meta, ready, dump_images(query.images))


def _spellings(name: str) -> tuple[str, ...]:
    """The id, and where it is not plain ASCII its other Unicode spellings, which look the same to everybody."""
    if name.isascii():
        return (name,)
    return tuple({name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)})
