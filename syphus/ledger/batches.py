"""Stages whose queries are batches: of parts to retry, and of texts that need vectors.

A batch of parts belongs to the queries of another stage, such as pairs whose translation into one language failed.
Batches of parts are made from what is still pending, so they are replaced at each start.

A batch of texts is a query whose text is a JSON list of texts. Its answer is one vector per text, packed by
`endpoints.embeddings_reply.pack_vectors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store

PartBatch = Sequence[tuple[int, str]]  #: parts, each as the number of its query and its name


def replace_part_batches(store: Store, stage: str, batches: Iterable[PartBatch]) -> int:
    """Replace the pending queries of the stage by these batches, commit, and return their number.

    This loses nothing: the outcome of a batch that was sent is already stored with its parts.
    """
    pending = "stage = ? AND state = 'pending'"
    store.execute(f"DELETE FROM annotation WHERE n IN (SELECT n FROM query WHERE {pending})", stage)
    store.execute(f"DELETE FROM query WHERE {pending}", stage)
    last_n, last_position = _last_numbers(store, stage)
    count = 0
    for count, batch in enumerate(batches, 1):
        meta = orjson.dumps({"parts": batch}).decode()
        position = last_position + count
        store.execute(
            "INSERT INTO query (n, stage, id, position, digest, checked) VALUES (?, ?, ?, ?, x'', 0)",
            *(last_n + count, stage, str(position), position),
        )
        store.execute("INSERT INTO annotation VALUES (?, '', '[]', ?, '', '[]')", last_n + count, meta)
    store.commit()
    return count


def settle_failed_part_batches(store: Store, stage: str) -> None:
    """Note failures in the parts of batches that ended without an answer to judge, and commit.

    If a batch has one part, the part ends in the state of the batch. If it has several, the culprit is unknown: each
    part counts one failed attempt and stays pending.
    """
    last_settled = f"{stage} accounted"  # meta: sequence number of the last batch that was handled
    ended = (
        "SELECT seq, state, reason, coalesce(detail, ''), meta FROM query JOIN annotation USING (n) "
        "LEFT JOIN result USING (n) WHERE stage = ? AND state IN ('failed', 'refused', 'truncated') AND seq > ? "
        "ORDER BY seq"
    )
    for seq, state, reason, detail, meta in store.read(ended, stage, get_meta(store, last_settled) or 0):
        parts = orjson.loads(meta)["parts"]
        new_state = state if len(parts) == 1 else "pending"
        store.executemany(
            "UPDATE part SET state = ?, asked = asked + 1, reason = ?, detail = ? WHERE n = ? AND name = ?",
            [(new_state, reason, detail, n, name) for n, name in parts],
        )
        set_meta(store, last_settled, seq)
    store.commit()


_READ_SIZE = 16  # batches at a time
_REGISTERED = (
    "SELECT position, text FROM query JOIN annotation USING (n) WHERE stage = ? AND position > ? "
    "ORDER BY position LIMIT ?"
)
_ANSWERED = (
    "SELECT position, annotation.text, answer.text FROM query JOIN annotation USING (n) "
    "JOIN answer ON answer.n = query.answer WHERE stage = ? AND state = 'ok' AND position > ? "
    "ORDER BY position LIMIT ?"
)
_FAILED = "stage = ? AND state IN ('failed', 'refused', 'invalid') AND position IS NOT NULL"


def delete_pending_text_batches(store: Store, stage: str) -> None:
    """Delete batches that have no outcome yet, and commit."""
    pending = "SELECT n FROM query WHERE stage = ? AND state = 'pending'"
    store.execute(f"DELETE FROM annotation WHERE n IN ({pending})", stage)
    store.execute("DELETE FROM query WHERE stage = ? AND state = 'pending'", stage)
    store.commit()


def forget_failed_text_batches(store: Store, stage: str) -> int:
    """Forget batches that got no vectors, so that their texts are sent again; commit, and return their number."""
    count = store.execute(f"UPDATE query SET position = NULL WHERE {_FAILED}", stage).rowcount
    store.commit()
    return count


def registered_texts(store: Store, stage: str) -> Iterator[list[str]]:
    """Yield the texts of every batch, with or without vectors."""
    for _, texts in _rows(store, _REGISTERED, stage):
        yield orjson.loads(texts)


def add_text_batches(store: Store, stage: str, batches: Iterable[Sequence[str]]) -> None:
    """Add batches as pending queries of the stage, and commit."""
    n, position = _last_numbers(store, stage)
    for number, batch in enumerate(batches, 1):
        text = orjson.dumps(batch).decode()
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        store.execute(
            "INSERT INTO query (n, stage, id, position, digest, checked) VALUES (?, ?, ?, ?, ?, 1)",
            *(n + number, stage, f"batch {position + number}", position + number, digest),
        )
        store.execute("INSERT INTO annotation VALUES (?, ?, '[]', '{}', '', '[]')", n + number, text)
    store.commit()


def split_failed_text_batches(store: Store, stage: str) -> int:
    """Replace each failed batch of several texts by its two halves; commit, and return how many batches were split."""
    rows = store.read_uncommitted(
        f"SELECT n, text FROM query JOIN annotation USING (n) WHERE {_FAILED} AND json_array_length(text) > 1", stage
    )
    store.executemany("UPDATE query SET position = NULL WHERE n = ?", [(n,) for n, _ in rows])
    texts = [orjson.loads(text) for _, text in rows]
    add_text_batches(
        store, stage, [half for each in texts for half in (each[: len(each) // 2], each[len(each) // 2 :])]
    )
    return len(rows)


def texts_without_vector(store: Store, stage: str) -> list[tuple[str, str]]:
    """Return the texts that got no vector, each with the reason."""
    rows = store.read(
        f"SELECT text, reason FROM query JOIN annotation USING (n) WHERE {_FAILED} ORDER BY position", stage
    )
    return [(text, reason) for texts, reason in rows for text in orjson.loads(texts)]


def texts_with_vectors(store: Store, stage: str) -> Iterator[tuple[list[str], str]]:
    """Yield the texts of each answered batch with their packed vectors."""
    for _, texts, packed in _rows(store, _ANSWERED, stage):
        yield orjson.loads(texts), packed


def _rows(store: Store, sql: str, stage: str) -> Iterator[tuple[Any, ...]]:
    for rows in store.read_in_batches(sql, stage, size=_READ_SIZE):
        yield from rows


def _last_numbers(store: Store, stage: str) -> tuple[int, int]:
    """Return the highest number of any query (0 if there is none) and the last position of this stage (or -1)."""
    ((n,),) = store.read_uncommitted("SELECT coalesce(max(n), 0) FROM query")
    ((position,),) = store.read_uncommitted("SELECT coalesce(max(position), -1) FROM query WHERE stage = ?", stage)
    return n, position
