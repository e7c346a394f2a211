"""The results of a run, for exports and reports: accepted pairs, rejected answers, single queries with all details."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from syphus.exchange import BilledUsage, Usage
from syphus.ledger.parts import parts_of
from syphus.ledger.records import QUERY_COLUMNS, QUERY_TABLES, query_from_columns
from syphus.ledger.serialization import StoredPair, image_as_json, load_images, load_pairs, load_stored_pairs
from syphus.ledger.store import Store
from syphus.ledger.summary import has_parts
from syphus.types import Pair, PromptImage, Query, State


class QueryResult(NamedTuple):
    """The pairs of one query."""

    query: str  #: its id
    image_ids: tuple[str, ...]
    pairs: list[StoredPair]
    model: str  #: the server's name for it, or "" if no model was asked
    nearest: Sequence[Sequence[str]] | None = None  #: for each pair the ids of its context; None: by `related`
    translators: Sequence[str] | None = None  #: for each translated pair the model that translated it
    edited: Sequence[bool] | None = None  #: for each pair whether a reviewer wrote its text; None: nobody has

    def edit_marks(self) -> dict[str, bool]:
        """Return for each pair, by id, whether a reviewer wrote its text."""
        return {
            pair.id: edited for pair, edited in zip(self.pairs, self.edited or [False] * len(self.pairs), strict=True)
        }

    def contexts(self) -> list[list[str]]:
        """Return the `rel_ins_ids` of each pair, in the order of the context."""
        if self.nearest is not None:
            return [list(ids) for ids in self.nearest]
        ids = ["", *(pair.id for pair in self.pairs)]  # by number, from 1
        return [[ids[number] for number in pair.related] for pair in self.pairs]


def conversations(pairs: Sequence[StoredPair]) -> list[list[StoredPair]]:
    """Group pairs that are each other's context, directly or through others, and keep their order.

    So the rounds of a conversation stay together, and a pair without context is a conversation of its own.
    """
    group_of = list(range(len(pairs)))  # the number of the first pair of the group
    for number, pair in enumerate(pairs):
        for other in pair.related:
            first, second = sorted((group_of[number], group_of[other - 1]))
            if first != second:
                group_of = [first if group == second else group for group in group_of]
    groups: dict[int, list[StoredPair]] = {}
    for group, pair in zip(group_of, pairs, strict=True):
        groups.setdefault(group, []).append(pair)
    return list(groups.values())


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


def accepted(store: Store, stage: str, nearest: bool = False) -> Iterator[QueryResult]:
    """Yield the accepted pairs of a stage, query by query, in the order of the input.

    With `nearest`, their nearest pairs come along.
    """
    select = _WITH_NEAREST if nearest else _SELECT
    for rows in store.read_in_batches(select + "position > ? ORDER BY position LIMIT ?", stage):
        yield from (_result(*columns) for _, *columns in rows)


def accepted_since(store: Store, stage: str, seq: int) -> Iterator[QueryResult]:
    """Yield the accepted pairs of the outcomes after sequence number `seq`, in the order of arrival."""
    for _, *columns in store.read(_SELECT + "seq > ? ORDER BY seq", stage, seq):
        yield _result(*columns)


def max_images_per_query(store: Store, stage: str) -> int:
    """Return the largest number of images of any accepted query."""
    most = store.read_value(
        "SELECT max(json_array_length(image_ids)) FROM query JOIN annotation USING (n) "
        "WHERE stage = ? AND state = 'ok' AND position IS NOT NULL",
        stage,
    )
    return int(most or 0)


class RejectedAnswer(NamedTuple):
    """A query whose answer was rejected."""

    query: str  #: its id
    annotation: str
    reason: str
    places: str  #: where in the answer the problem is
    answer: str  #: the raw answer, or "" if the pairs are from the input


def rejected(store: Store, stage: str) -> Iterator[RejectedAnswer]:
    """Yield the queries that ended as invalid, in the order of the input."""
    for rows in store.read_in_batches(_REJECTED, stage):
        yield from (RejectedAnswer(*columns) for _, *columns in rows)


def _result(query: str, image_ids: str, pairs: str, model: str, nearest: str | None = None) -> QueryResult:
    ids = None if nearest is None else orjson.loads(nearest)
    return QueryResult(query, tuple(orjson.loads(image_ids)), load_stored_pairs(pairs), model, ids)


_MAX_IDS = 500  # in one statement

_ASKABLE = (
    "SELECT id, text FROM query JOIN annotation USING (n) WHERE stage = ? AND position IS NOT NULL AND problem = '' "
    "AND ready = '[]' AND trim(text) <> '' ORDER BY position"
)
_ANSWERED = (
    f"SELECT position, {QUERY_COLUMNS}, state, reason, coalesce(result.pairs, '[]'), coalesce(answer.text, ''), "
    "coalesce(model, ''), coalesce(prompt_tokens, 0), coalesce(completion_tokens, 0), coalesce(cached_tokens, 0), "
    "coalesce(reasoning_tokens, 0), coalesce(estimated, 0), coalesce(detail, '') "
    f"FROM {QUERY_TABLES} "
    "LEFT JOIN result USING (n) LEFT JOIN answer ON answer.n = query.answer "
    "WHERE stage = ? AND position > ? ORDER BY position LIMIT ?"
)


class AnsweredQuery(NamedTuple):
    """A query and its outcome."""

    query: Query
    state: State
    reason: str
    pairs: tuple[Pair, ...]  #: if they were accepted
    text: str  #: raw text of the newest answer, if any
    model: str  #: the server's name for it
    usage: Usage
    detail: str


def askable_queries(store: Store, stage: str) -> Iterator[tuple[str, str]]:
    """Yield id and text of each query that a model can be asked about, in the order of the input."""
    yield from store.stream(_ASKABLE, stage)


def count_distinct_texts(store: Store, stage: str, most: int) -> int:
    """Count the different texts that a model can be asked about, up to `most`."""
    texts: set[str] = set()
    for _, text in askable_queries(store, stage):
        texts.add(text)
        if len(texts) == most:
            break
    return len(texts)


def queries_by_id(store: Store, stage: str, names: Sequence[str]) -> list[Query]:
    """Return the queries with these ids, in this order. Raises `KeyError` for an unknown id."""
    found: dict[str, Query] = {}
    for start in range(0, len(names), _MAX_IDS):
        ids = names[start : start + _MAX_IDS]
        marks = ", ".join("?" * len(ids))
        rows = store.read(
            f"SELECT {QUERY_COLUMNS} FROM {QUERY_TABLES} WHERE stage = ? AND id IN ({marks})", stage, *ids
        )
        found |= {row[0]: query_from_columns(*row) for row in rows}
    return [found[name] for name in names]


def answered_queries(store: Store, stage: str) -> Iterator[AnsweredQuery]:
    """Yield each query of a stage with its outcome, in the order of the input; pending queries have no answer."""
    for rows in store.read_in_batches(_ANSWERED, stage):
        yield from (_answered(*columns) for _, *columns in rows)


def _answered(*columns: str | int) -> AnsweredQuery:
    name, text, image_ids, meta, problem, ready = map(str, columns[:6])
    state, reason, pairs, answer, model = map(str, columns[7:12])
    usage = Usage(*(int(count) for count in columns[12:17]))
    query = query_from_columns(name, text, image_ids, meta, problem, ready, str(columns[6]) if columns[6] else None)
    return AnsweredQuery(query, State(state), reason, load_pairs(pairs), answer, model, usage, str(columns[17]))


_RAW = (
    "SELECT answer.n, text, model, finish_reason, service_tier, regional, prompt_tokens, completion_tokens, "
    "cached_tokens, reasoning_tokens, estimated, cache_write_tokens, answer.seconds, stage, "
    "coalesce(json_extract(settings, '$.model'), '') FROM answer JOIN session ON session.id = answer.session "
    "JOIN spec ON spec.id = session.spec WHERE answer.n > ? ORDER BY answer.n LIMIT ?"
)
_NEWEST = (  # `query` has no index on `answer`, so this temporary table, on disk if it is large, provides one
    "DROP TABLE IF EXISTS temp.newest_answer",
    "CREATE TEMP TABLE newest_answer AS SELECT answer, id FROM query WHERE answer IS NOT NULL",
    "CREATE INDEX temp.newest_answer_n ON newest_answer (answer)",
)


class RawAnswer(NamedTuple):
    """An answer as it arrived."""

    text: str
    model: str  #: the server's name for it
    finish_reason: str
    bill: BilledUsage
    seconds: float
    stage: str
    queries: tuple[str, ...]  #: ids of the queries whose newest answer this is


def raw_answers(store: Store) -> Iterator[RawAnswer]:
    """Yield all answers of a run, of all stages, in the order of arrival."""
    for statement in _NEWEST:
        store.read(statement)
    for rows in store.read_in_batches(_RAW):
        queries: dict[int, list[str]] = {}
        newest = "SELECT answer, id FROM newest_answer WHERE answer BETWEEN ? AND ?"
        for answer, query in store.read(newest, rows[0][0], rows[-1][0]):
            queries.setdefault(answer, []).append(query)
        for n, text, model, finish_reason, tier, regional, *columns in rows:
            *tokens, seconds, stage, asked = columns
            usage = Usage(*tokens)
            bill = BilledUsage(model, asked, usage, tier, bool(regional), usage.prompt_tokens)
            yield RawAnswer(text, model, finish_reason, bill, seconds, stage, tuple(queries.get(n, ())))


_QUERY = (
    "SELECT query.n, id, position, text, image_ids, meta, state, reason, detail, attempts, result.pairs, "
    "query.answer FROM query JOIN annotation USING (n) LEFT JOIN result USING (n) WHERE id = ? AND stage = ?"
)
_ANSWERS = (
    "SELECT answer.n, hex(key), sample, text, finish_reason, refusal, flags, model, response_id, prompt_tokens, "
    "completion_tokens, answer.seconds, strftime('%Y-%m-%dT%H:%M:%SZ', started, 'unixepoch'), "
    "coalesce(nullif((SELECT name FROM endpoint WHERE id = served_by), ''), endpoint), version, "
    "settings FROM answer JOIN session ON session.id = answer.session JOIN spec ON spec.id = session.spec "
    "WHERE key = (SELECT key FROM answer WHERE n = ?) OR answer.n IN (SELECT value FROM json_each(?)) ORDER BY answer.n"
)


def describe_query(store: Store, stage: str, query: str) -> dict[str, object] | None:
    """Return one query as JSON values; or None.

    It has its earlier answers and all answers to its newest request, in the order of arrival, with their settings.
    """
    row = store.read_one(_QUERY, query, stage)
    if row is None:
        return None
    images = _images(store, row[0])
    reasons = _reasons_of_earlier_answers(store, row[0])
    answers = store.read(_ANSWERS, row[-1], orjson.dumps(list(reasons)).decode())
    parts = parts_of(store, row[0]) if has_parts(store, stage) else {}
    _, name, position, text, image_ids, meta, state, reason, detail, attempts, pairs, newest = row
    reasons |= {newest: reason}
    return {
        "id": name,
        "row": None if position is None else position + 1,
        "annotation": text,
        "image_ids": orjson.loads(image_ids),
        **({"images": [image_as_json(image) for image in images]} if images else {}),
        "meta": orjson.loads(meta),
        "state": state,
        "reason": reason,
        "detail": detail or "",
        "requests": attempts,
        "pairs": [
            {"id": pair.id, "instruction": pair.instruction, "answer": pair.answer}
            for pair in load_pairs(pairs or "[]")
        ],
        **({"parts": {name: part._asdict() for name, part in parts.items()}} if parts else {}),
        "answers": [
            {**_answer(*answer), "newest": answer[0] == newest, "reason": reasons.get(answer[0], "")}
            for answer in answers
        ],
    }


def _images(store: Store, n: int) -> tuple[PromptImage, ...]:
    """Return the images of a query. Old ledgers have no table of images."""
    exists = store.has_table("picture")
    return load_images(store.read_value("SELECT images FROM picture WHERE n = ?", n)) if exists else ()


def _reasons_of_earlier_answers(store: Store, n: int) -> dict[int, str]:
    """Return what was wrong with each earlier answer, by its number. Old ledgers have no table of them."""
    exists = store.has_table("earlier")
    return dict(store.read("SELECT answer, reason FROM earlier WHERE n = ?", n)) if exists else {}


def _answer(_: int, *columns: object) -> dict[str, object]:
    names = ("request", "sample", "text", "finish_reason", "refusal", "flags", "model", "response_id", "prompt_tokens",
             "completion_tokens", "seconds", "session", "endpoint", "syphus", "settings")  # fmt: skip
    answer = dict(zip(names, columns, strict=True))
    settings = orjson.loads(str(answer["settings"]))
    answer["request"] = str(answer["request"]).lower()
    answer["flags"] = orjson.loads(str(answer["flags"]))
    answer["settings"] = {name: value for name, value in settings.items() if name != "prompt_text"}
    return answer


#: Few answers are further samples: the index finds them, so that not all texts are read.
_REPEATED = """
    SELECT 1 FROM answer AS later JOIN answer AS former ON former.key = later.key AND former.sample = later.sample - 1
    WHERE later.n IN (SELECT n FROM answer WHERE sample > 0)
    AND later.text = former.text AND trim(later.text) <> '' AND later.refusal = '' LIMIT 1"""


def has_repeated_answer(store: Store) -> bool:
    """Return whether the same request has brought the same text twice in a row. Refusals are alike anyway."""
    return store.read_one(_REPEATED) is not None
