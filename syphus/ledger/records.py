"""Answers, outcomes and spending: what the loop writes and reads back.

Writes go into the open transaction, and `Store.commit` makes them durable. Reads use the second connection, so they
see committed rows only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import orjson

from syphus.exchange import Completion, Usage
from syphus.ledger.parts import PartOutcome, write_parts
from syphus.ledger.schema import ADD_PACE, BILL_EVERY, BILLED, MOVE_BILL, PACE_SECONDS, Pace
from syphus.ledger.serialization import dump_pairs, load_images, load_pairs
from syphus.ledger.sessions import RequestCounts
from syphus.ledger.store import Columns, KeyFilter, Store
from syphus.types import Outcome, Query, State

ANSWERED = "answered"  #: how requests with an answer are counted
LATENCY_STEPS = 8  #: of answers that are counted together, up to double the seconds: 9% each
_SHORTEST = 1e-3  # seconds; quicker answers are counted as these


class Row(NamedTuple):
    """One query that needs an answer."""

    n: int
    query: Query
    used: int = 0  #: answers spent on it
    opened: int = 0  #: answers that are not rounds: before it was last reopened by hand, or in a form that was given up
    last: int | None = None  #: number of the newest answer
    reason: str = ""  #: what was wrong with the newest answer

    def next_round(self, answer: int | None, reason: str, *, counts: bool) -> Row:
        """Return the row after one more answer, which had a problem; whether it `counts` as a round."""
        return self._replace(used=self.used + 1, opened=self.opened + (not counts), last=answer, reason=reason)


class StoredAnswer(NamedTuple):
    """A paid answer in the ledger."""

    n: int  #: its number
    completion: Completion
    seconds: float


class NewAnswer(NamedTuple):
    """An answer that has just arrived."""

    n: int  #: from `next_answer_number`
    key: bytes  #: of the request
    sample: int  #: of the request
    completion: Completion
    seconds: float  #: from sending to the end of the answer
    endpoint: str = ""  #: that gave it, by the name that people see


class Entry(NamedTuple):
    """The result of one request for a row, written as a whole or not at all.

    It has a new answer, a stored one, or none. A `spare` answer came when another one had already decided the row.
    """

    row: Row
    outcome: Outcome | None  #: None leaves the row pending for a retry
    requests: int
    new_answer: NewAnswer | None = None
    reused_answer: int | None = None  #: number of a stored answer
    retry_reason: str = ""
    reopened: bool = False  #: the answer does not count against the rounds of the row
    pair_lines: str = ""  #: for pairs.jsonl
    rejected_by: tuple[str, ...] = ()  #: cleaning rules that rejected the answer
    parts: tuple[PartOutcome, ...] = ()
    spare: bool = False


_ANSWER_COLUMNS = """answer.n, answer.text, finish_reason, refusal, flags, model, response_id,
    service_tier, regional, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated,
    cache_write_tokens, seconds"""
_ADD_ANSWER = (  # by name, since the columns of migrated ledgers are in another order than they might be in new ones
    "INSERT INTO answer (n, key, sample, text, finish_reason, refusal, flags, model, response_id, prompt_tokens, "
    "completion_tokens, cached_tokens, reasoning_tokens, estimated, seconds, session, cache_write_tokens, "
    f"service_tier, regional, served_by) VALUES ({', '.join('?' * 20)})"
)
_ADD_LATENCY = (
    "INSERT INTO endpoint_latency VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET answers = answers + excluded.answers"
)
_ADD_ENDPOINT_REQUESTS = (
    "INSERT INTO endpoint_request VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests"
)
_SET_OUTCOME = (
    "UPDATE query SET state = ?, reason = ?, pairs = ?, seq = ?, answer = ?, used = used + ?, attempts = attempts + ? "
    "WHERE n = ?"
)
QUERY_COLUMNS = "id, annotation.text, image_ids, meta, problem, ready, images"
QUERY_TABLES = "query JOIN annotation USING (n) LEFT JOIN picture USING (n)"
_PENDING = f"""
    SELECT position, n, used, opened, answer, reason, {QUERY_COLUMNS} FROM {QUERY_TABLES}
    WHERE stage = ? AND state = 'pending' AND position > ? ORDER BY position LIMIT ?"""
_NOT_WAITING = _PENDING.replace(
    "AND position > ?",
    "AND NOT EXISTS (SELECT 1 FROM shard_line AS line WHERE line.row = query.n AND line.state = 0) AND position > ?",
)
_HASHES = 2**32
_FEW_ANSWERS = 100_000  # in a ledger that is opened; reading the keys of more takes too long
_SAMPLE = f"""
    SELECT position, n, used, opened, answer, reason, {QUERY_COLUMNS} FROM {QUERY_TABLES}
    WHERE stage = ? AND state IN ({{states}}) AND (position * 2654435761 & 4294967295) < ? AND position > ?
    ORDER BY position LIMIT ?"""  # a multiplicative hash of the position (Knuth, section 6.4)
_JUDGED = f"""
    SELECT position, query.n, used, opened, query.answer, state, reason, result.pairs, detail, repairs,
        {QUERY_COLUMNS}, {_ANSWER_COLUMNS}
    FROM {QUERY_TABLES} LEFT JOIN result USING (n) LEFT JOIN answer ON answer.n = query.answer
    WHERE stage = ? AND state <> 'pending' AND position > ? AND (answer.n IS NOT NULL OR ready <> '[]')
    ORDER BY position LIMIT ?"""


class Records:
    """Reads and writes the rows of one stage for the loop."""

    def __init__(self, store: Store, stage: str, session: int, only: Collection[int] | None = None) -> None:
        """Read and write for a session; `only` are the numbers of the queries that it is about, None for all."""
        self._store = store
        self._stage = stage
        self._only = only
        self.session = session
        self._next_answer = _highest(store, "SELECT max(n) FROM answer") + 1
        self._unwritten = set[int]()  # numbers that were given to answers
        self._billed = _highest(store, f"SELECT value FROM meta WHERE name = '{BILLED}'")
        keys = (key for (key,) in store.stream("SELECT key FROM answer"))
        self._keys = KeyFilter(keys) if self._next_answer <= _FEW_ANSWERS else None
        self._next_seq = highest_seq(store) + 1
        self._latencies: Counter[tuple[int, int, int]] = Counter()  # of the open transaction, as in the ledger
        self._endpoints: dict[str, int] = {}  # their numbers by name

    def pending(self, *, with_waiting: bool = True) -> Iterator[Row]:
        """Yield the queries without an outcome, in the order of the input; or only those that wait for no batch."""
        for rows in self._store.read_in_batches(_PENDING if with_waiting else _NOT_WAITING, self._stage):
            for _, n, used, opened, last, reason, *query in rows:
                if self._only is None or n in self._only:
                    yield Row(n, query_from_columns(*query), used, opened, last, reason)

    def sample(self, states: Collection[State], most: int) -> Iterator[Row]:
        """Yield about `most` of the queries in these states, all if they are fewer, in the order of the input.

        Which ones follows from their positions alone, so it is the same each time, and they are spread over the input.
        """
        count = self._store.read_value(
            "SELECT count(*) FROM query WHERE stage = ? AND position IS NOT NULL "
            f"AND state IN ({', '.join('?' * len(states))})",
            *(self._stage, *states),
        )
        below = _HASHES if count <= most else most * _HASHES // count
        select = _SAMPLE.format(states=", ".join("?" * len(states)))
        for rows in self._store.read_in_batches(select, self._stage, *states, below):
            for _, n, used, opened, last, reason, *query in rows:
                yield Row(n, query_from_columns(*query), used, opened, last, reason)

    def find_answer(self, key: bytes, sample: int) -> StoredAnswer | None:
        """Return the stored answer to exactly this request, or None."""
        if self._keys is not None and key not in self._keys:
            return None  # a look at the file takes as long as sending a request
        found = self._store.read_one(f"SELECT {_ANSWER_COLUMNS} FROM answer WHERE key = ? AND sample = ?", key, sample)
        return _answer(found) if found else None

    def get_answer(self, n: int) -> StoredAnswer:
        """Return an answer by its number."""
        ((*columns,),) = self._store.read(f"SELECT {_ANSWER_COLUMNS} FROM answer WHERE n = ?", n)
        return _answer(tuple(columns))

    def answered_rows(self) -> Iterator[tuple[Row, Outcome, StoredAnswer | None]]:
        """Yield the queries with an outcome from an answer or from pairs of the input, in the order of the input.

        Each comes with its outcome and its answer, which is None if the pairs are from the input.
        """
        for rows in self._store.read_in_batches(_JUDGED, self._stage):
            for _, n, used, opened, last, state, reason, pairs, detail, repairs, *rest in rows:
                if self._only is not None and n not in self._only:
                    continue
                done = orjson.loads(repairs or "{}")
                old = Outcome(State(state), load_pairs(pairs or "[]"), reason, detail or "", done)
                answer = _answer(tuple(rest[7:])) if last is not None else None
                yield Row(n, query_from_columns(*rest[:7]), used, opened, last), old, answer

    def replace_outcome(self, n: int, outcome: Outcome) -> None:
        """Store a new outcome of the same answer, without committing."""
        self._put_outcome(n, outcome)
        self._count_rejections(outcome.rejected_by)

    def write(self, entry: Entry) -> None:
        """Write an entry into the open transaction."""
        answer = entry.reused_answer
        if entry.new_answer is not None:
            answer = entry.new_answer.n
            self._add_answer(entry.new_answer)
        if entry.spare:
            self._store.execute("UPDATE query SET attempts = attempts + ? WHERE n = ?", entry.requests, entry.row.n)
            return
        if entry.outcome is None:
            self._store.execute(
                "UPDATE query SET used = used + 1, opened = opened + ?, reason = ?, answer = ?, "
                "attempts = attempts + ? WHERE n = ?",
                *(entry.reopened, str(entry.retry_reason), answer, entry.requests, entry.row.n),
            )
            if answer is not None:
                reason = str(entry.retry_reason)
                self._store.execute("INSERT OR REPLACE INTO earlier VALUES (?, ?, ?)", entry.row.n, answer, reason)
        else:
            self._put_outcome(entry.row.n, entry.outcome, answer, entry.requests)
        if entry.parts:
            completion = entry.new_answer.completion if entry.new_answer else None
            write_parts(self._store, self.session, entry.parts, answer, completion)
        self._count_rejections(entry.rejected_by)

    def write_batch_answer(self, new: NewAnswer) -> None:
        """Write an answer from a batch into the open transaction. Its seconds say nothing about the endpoint."""
        self._insert_answer(new, self._endpoint(new.endpoint))

    def write_request_counts(self, counts: RequestCounts) -> None:
        """Add to the numbers of requests, and the latencies of answers, in the open transaction."""
        billed, tokens = counts.maybe_billed, counts.unknown_tokens
        self._store.executemany(_ADD_LATENCY, [(*key, answers) for key, answers in self._latencies.items()])
        self._latencies.clear()
        self._store.executemany(
            _ADD_ENDPOINT_REQUESTS,
            [
                (self.session, self._endpoint(name), cause, kind, count)
                for (name, cause, kind), count in counts.by_endpoint.items()
            ],
        )
        self._store.executemany(
            "INSERT INTO attempt (session, cause, requests, maybe_billed, unknown_tokens, unknown_cost) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "requests = requests + excluded.requests, maybe_billed = maybe_billed + excluded.maybe_billed, "
            "unknown_tokens = unknown_tokens + excluded.unknown_tokens, "
            "unknown_cost = unknown_cost + excluded.unknown_cost",
            [
                (self.session, cause, count, billed[cause], tokens[cause], counts.unknown_cost[cause])
                for cause, count in counts.requests.items()
            ],
        )

    def move_bill(self, every: int = BILL_EVERY) -> None:
        """Add the answers that were written to those that are added up already, if there are `every` of them."""
        newest = min(self._unwritten, default=self._next_answer) - 1
        if newest >= self._billed + every:
            self._store.execute(MOVE_BILL, self._billed, newest)
            self._store.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", BILLED, newest)
            self._billed = newest

    def note_pace(self, pace: Pace) -> None:
        """Count what the open transaction holds for the rate at which the run works."""
        values = (int(pace.now // PACE_SECONDS), pace.answers, pace.outcomes, pace.now)
        self._store.execute(ADD_PACE, *values)

    def note_reservation(self, dollars: float | None) -> None:
        """Note in the open transaction the most dollars that this session has reserved for requests in flight.

        None says that nobody counts them.
        """
        self._store.execute("UPDATE session SET reserved = ? WHERE id = ?", dollars, self.session)

    def raise_reservation(self, dollars: float) -> None:
        """Do the same, unless more is noted already."""
        noted = "max(coalesce(reserved, 0), ?)"
        self._store.execute(f"UPDATE session SET reserved = {noted} WHERE id = ?", dollars, self.session)

    def note_pairs_file(self, seq: int, size: int) -> None:
        """Note that pairs.jsonl holds all outcomes up to `seq` in its first `size` bytes."""
        self._store.execute("INSERT OR REPLACE INTO meta VALUES ('pairs_file', ?)", f"{seq} {size}")

    @property
    def last_seq(self) -> int:
        """The sequence number of the newest outcome."""
        return self._next_seq - 1

    def next_answer_number(self) -> int:
        """Return a number for a new answer."""
        n, self._next_answer = self._next_answer, self._next_answer + 1
        self._unwritten.add(n)
        return n

    def _add_answer(self, new: NewAnswer) -> None:
        endpoint = self._endpoint(new.endpoint)
        self._insert_answer(new, endpoint)
        self._latencies[self.session, endpoint, round(LATENCY_STEPS * math.log2(max(new.seconds, _SHORTEST)))] += 1

    def _insert_answer(self, new: NewAnswer, endpoint: int) -> None:
        if self._keys is not None:
            self._keys.add(new.key)
        c, u = new.completion, new.completion.usage
        flags = orjson.dumps(c.flags).decode()
        self._unwritten.discard(new.n)
        self._store.execute(
            _ADD_ANSWER,
            new.n, new.key, new.sample, c.text, c.finish_reason, c.refusal, flags, c.model, c.response_id,
            u.prompt_tokens, u.completion_tokens, u.cached_tokens, u.reasoning_tokens, u.estimated, new.seconds,
            self.session, u.cache_write_tokens, c.service_tier, c.regional, endpoint,
        )  # fmt: skip

    def _endpoint(self, name: str) -> int:
        """Return the number of an endpoint, which gets one if it has none."""
        number = self._endpoints.get(name)
        if number is None:
            self._store.execute("INSERT OR IGNORE INTO endpoint (name) VALUES (?)", name)
            ((number,),) = self._store.read_uncommitted("SELECT id FROM endpoint WHERE name = ?", name)
            self._endpoints[name] = number
        return int(number)

    def _count_rejections(self, rules: Sequence[str]) -> None:
        if rules:
            self._store.executemany(
                "INSERT INTO rejection VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET answers = answers + 1",
                [(self.session, rule) for rule in rules],
            )

    def _put_outcome(self, n: int, outcome: Outcome, answer: int | None = None, requests: int | None = None) -> None:
        """Write an outcome; one without `requests` is another outcome of the same answer."""
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        values = (outcome.state, outcome.reason, len(outcome.pairs), seq)
        if requests is None:
            self._store.execute("UPDATE query SET state = ?, reason = ?, pairs = ?, seq = ? WHERE n = ?", *values, n)
        else:
            self._store.execute(_SET_OUTCOME, *values, answer, answer is not None, requests, n)
        if outcome.pairs or outcome.detail or outcome.repairs:
            pairs, repairs = dump_pairs(outcome.pairs), orjson.dumps(outcome.repairs).decode()
            self._store.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)", n, pairs, outcome.detail, repairs)
        else:
            self._store.execute("DELETE FROM result WHERE n = ?", n)


def pending_numbers(store: Store, stage: str, most: int) -> frozenset[int]:
    """Return the numbers of the first pending queries in the order of the input, at most `most`."""
    select = "SELECT n FROM query WHERE stage = ? AND state = 'pending' AND position IS NOT NULL ORDER BY position"
    return frozenset(n for (n,) in store.read(f"{select} LIMIT ?", stage, most))


def queries_between(store: Store, stage: str, first: int, last: int) -> Iterator[tuple[int, Query]]:
    """Yield the queries of a stage whose numbers are in a range, with their numbers, in this order."""
    select = f"SELECT n, {QUERY_COLUMNS} FROM {QUERY_TABLES} WHERE stage = ? AND position IS NOT NULL"
    for n, *columns in store.read(f"{select} AND n BETWEEN ? AND ? ORDER BY n", stage, first, last):
        yield n, query_from_columns(*columns)


def reopen(store: Store, stage: str, states: Sequence[State], reason: str = "") -> int:
    """Make queries in these states pending again, each for a new answer; commit, and return their number.

    Only those whose reason contains `reason`, whatever its case.
    """
    marks = ", ".join("?" * len(states))
    which = f"stage = ? AND state IN ({marks}) AND position IS NOT NULL AND instr(lower(reason), lower(?))"
    values = (stage, *states, reason) if reason else (stage, *states)
    which = which if reason else which.rpartition(" AND ")[0]
    store.execute(
        f"INSERT OR REPLACE INTO earlier SELECT n, answer, reason FROM query WHERE {which} AND answer IS NOT NULL",
        *values,
    )
    count = store.execute(
        f"UPDATE query SET state = 'pending', opened = used, attempts = 0, reason = '', pairs = 0, seq = NULL "
        f"WHERE {which}",
        *values,
    ).rowcount
    store.commit()
    return count


def highest_seq(store: Store) -> int:
    """Return the sequence number of the newest outcome, or 0 if there is none."""
    return _highest(store, "SELECT max(seq) FROM query")


def query_from_columns(
    name: str, text: str, image_ids: str, meta: str, problem: str, ready: str, images: str | None = None
) -> Query:
    """Return a query made from the columns `QUERY_COLUMNS` of `QUERY_TABLES`."""
    pairs = load_pairs(ready) if ready != "[]" else ()
    pictures = load_images(images) if images else ()
    return Query(name, text, tuple(orjson.loads(image_ids)), orjson.loads(meta), problem, pairs, pictures)


def _answer(columns: Columns) -> StoredAnswer:
    n, text, finish_reason, refusal, flags, model, response_id, tier, regional, *tokens, seconds = columns
    completion = Completion(
        text, finish_reason, model, Usage(*tokens), refusal, tuple(orjson.loads(flags)), response_id, tier,
        bool(regional),
    )  # fmt: skip
    return StoredAnswer(n, completion, seconds)


def _highest(store: Store, sql: str) -> int:
    return int(store.read_value(sql) or 0)
