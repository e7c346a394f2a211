"""The shards of the Batch API, and their lines, as the ledger keeps them.

A shard moves through its states in this order, and each is durable before the next step begins:

    reserved -> uploaded -> created -> ended -> settled

`BY_HAND` is one whose file was handed to the user, and `GIVEN_UP` one that nothing more is expected of. A line is open
until its shard is settled. `row` is the number of its query, so that the rows which wait for a shard are found without
their requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from syphus.exchange import Request
from syphus.ledger.store import Columns, Store


class ShardState(StrEnum):
    """How far a shard has come."""

    RESERVED = "reserved"  #: its file and its lines are durable
    UPLOADED = "uploaded"  #: the server has its file; its batch may have been created
    CREATED = "created"  #: the server has its batch
    ENDED = "ended"  #: the batch is in a final state, and its results are being taken in
    SETTLED = "settled"  #: every line has a result, or may be asked again
    BY_HAND = "by hand"  #: its file was written for the user, who brings the results
    GIVEN_UP = "given up"  #: by the user: its lines may be asked again, and may have been billed


#: Shards that may still bring answers.
OPEN_STATES = (
    ShardState.RESERVED,
    ShardState.UPLOADED,
    ShardState.CREATED,
    ShardState.ENDED,
    ShardState.BY_HAND,
)


class LineState(IntEnum):
    """What has become of a line."""

    OPEN = 0  #: its shard is not settled
    ANSWERED = 1
    REJECTED = 2  #: the server refuses the request, in the words of `reply`
    FAILED = 3  #: an error that may pass: the request may be sent again
    MISSING = 4  #: expired, cancelled, or in no file: the request may be sent again


class Line(NamedTuple):
    """One request of a shard that is being made."""

    key: bytes
    sample: int
    row: int
    bound: float  #: the most dollars that it may cost
    form: str  #: that it asks for


class OpenLine(NamedTuple):
    """One request of a shard that waits for its result."""

    row: int
    bound: float
    form: str


class Shard(NamedTuple):
    """One shard. Times are seconds since the epoch, None if that has not happened."""

    id: int
    stage: str
    endpoint: str
    model: str
    fingerprint: str
    state: ShardState
    lines: int
    bytes: int
    tokens: float  #: of its prompts, an estimate
    reserved: float  #: dollars
    reserved_at: float
    uploaded_at: float | None = None
    sent_at: float | None = None  #: when its newest creation was sent
    created_at: float | None = None
    ended_at: float | None = None
    settled_at: float | None = None
    file_id: str = ""
    batch_id: str = ""
    output_file: str = ""
    error_file: str = ""
    status: str = ""  #: as the server names it
    seen_at: float | None = None  #: when the server was last asked
    answered: int = 0
    failed: int = 0
    missing: int = 0
    doubled: int = 0
    unknown: int = 0
    problem: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may still bring answers."""
        return self.state in OPEN_STATES


_COLUMNS = ", ".join(Shard._fields)
_OPEN = ", ".join(f"'{state}'" for state in OPEN_STATES)


def next_shard_id(store: Store) -> int:
    """Return the number of the next shard, after those of the open transaction."""
    ((newest,),) = store.read_uncommitted("SELECT coalesce(max(id), 0) FROM shard")
    return int(newest) + 1


def add_shard(store: Store, shard: Shard, session: int, lines: Iterable[Line]) -> None:
    """Write a new shard and its lines into the open transaction."""
    values = {**shard._asdict(), "session": session}
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    store.execute(f"INSERT INTO shard ({names}) VALUES ({marks})", *values.values())
    store.executemany(
        "INSERT INTO shard_line (key, sample, shard, row, state, bound, form) VALUES (?, ?, ?, ?, 0, ?, ?)",
        ((line.key, line.sample, shard.id, line.row, line.bound, line.form) for line in lines),
    )


def change_shard(store: Store, shard: int, **values: object) -> None:
    """Write columns of a shard into the open transaction."""
    columns = ", ".join(f"{name} = ?" for name in values)
    store.execute(f"UPDATE shard SET {columns} WHERE id = ?", *values.values(), shard)


def read_shards(store: Store, stage: str | None = None, *, only_open: bool = False) -> list[Shard]:
    """Return the shards of a stage, or of all stages, oldest first."""
    where = f"state IN ({_OPEN})" if only_open else "true"
    rows = store.read(f"SELECT {_COLUMNS} FROM shard WHERE {where} AND (?1 IS NULL OR stage = ?1) ORDER BY id", stage)
    return [_shard(row) for row in rows]


def _shard(row: Columns) -> Shard:
    return Shard(*row)._replace(state=ShardState(row[Shard._fields.index("state")]))


def get_shard(store: Store, shard: int) -> Shard:
    """Return a shard by its number."""
    row = store.read_one(f"SELECT {_COLUMNS} FROM shard WHERE id = ?", shard)
    assert row is not None
    return _shard(row)


def open_requests(store: Store) -> tuple[int, float]:
    """Return the requests that wait in open shards of all stages, and the dollars that they may cost at most."""
    row = store.read_one(f"SELECT total(lines), total(reserved) FROM shard WHERE state IN ({_OPEN})")
    assert row is not None
    settled = store.read_one(
        "SELECT count(*), total(bound) FROM shard_line JOIN shard ON shard.id = shard "
        f"WHERE shard.state IN ({_OPEN}) AND shard_line.state <> 0"
    )
    assert settled is not None
    return int(row[0]) - int(settled[0]), max(0.0, float(row[1]) - float(settled[1]))


def open_total(store: Store, shard: int) -> tuple[int, float]:
    """Return how many lines of a shard have no result, and the dollars that they may cost at most."""
    row = store.read_one("SELECT count(*), total(bound) FROM shard_line WHERE shard = ? AND state = 0", shard)
    assert row is not None
    return int(row[0]), float(row[1])


def has_open_shards(store: Store, stage: str) -> bool:
    """Return whether any shard of a stage may still bring answers from a server."""
    return any(shard.state is not ShardState.BY_HAND for shard in read_shards(store, stage, only_open=True))


def lines_of(store: Store, request: Request) -> list[tuple[int, LineState, bytes]]:
    """Return the lines with a request, oldest first: the shard, the state, and the error if it was rejected."""
    rows = store.read(
        "SELECT shard, state, coalesce(reply, x'') FROM shard_line WHERE key = ? AND sample = ? ORDER BY shard",
        *(request.key, request.sample),
    )
    return [(int(shard), LineState(state), bytes(reply)) for shard, state, reply in rows]


def open_lines(store: Store, shards: Iterable[int]) -> dict[tuple[bytes, int], tuple[int, OpenLine]]:
    """Return the open lines of shards, by key and sample, each with the number of its shard."""
    found: dict[tuple[bytes, int], tuple[int, OpenLine]] = {}
    for shard in shards:
        rows = store.stream("SELECT key, sample, row, bound, form FROM shard_line WHERE shard = ? AND state = 0", shard)
        for key, sample, row, bound, form in rows:
            found[bytes(key), sample] = shard, OpenLine(row, bound, form)
    return found


class LineResult(NamedTuple):
    """What has become of a line."""

    key: bytes
    sample: int
    shard: int
    state: LineState
    reply: bytes | None = None  #: the error of a rejected line


def write_line_results(store: Store, results: Iterable[LineResult]) -> None:
    """Write the results of lines into the open transaction."""
    store.executemany(
        "UPDATE shard_line SET state = ?, reply = ? WHERE key = ? AND sample = ? AND shard = ?",
        [(each.state, each.reply, each.key, each.sample, each.shard) for each in results],
    )


def count_attempts(store: Store, rows: Iterable[int]) -> None:
    """Count one request for each of these rows, in the open transaction."""
    store.executemany("UPDATE query SET attempts = attempts + 1 WHERE n = ?", [(row,) for row in rows])


def release_lines(store: Store, shard: int, state: LineState = LineState.MISSING) -> int:
    """Let the open lines of a shard be asked again, in the open transaction; return how many there were."""
    return store.execute("UPDATE shard_line SET state = ? WHERE shard = ? AND state = 0", state, shard).rowcount


def line_counts(store: Store, shard: int) -> Mapping[LineState, int]:
    """Return how many lines of a shard are in each state, those of the open transaction included."""
    rows = store.read_uncommitted("SELECT state, count(*) FROM shard_line WHERE shard = ? GROUP BY state", shard)
    return {LineState(state): count for state, count in rows}
