"""A stage whose queries are batches of parts of another stage: formed anew from what is to be asked for again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store

PartBatch = Sequence[tuple[int, str]]  #: parts, by the number of their query and their name


def replace_part_batches(store: Store, stage: str, batches: Iterable[PartBatch]) -> int:
    """Takes the batches in as the pending queries of the stage, instead of those that were; returns how many. Commits.

    A batch that was asked for has left its outcome with its parts; one that was not can be dropped.
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
    """Tells the parts of batches that ended in an error, without an answer to be judged. Commits.

    A part that was alone ends as its batch did; of several, who knows whose fault it was: they have been asked for once
    more, in vain.
    """
    known = f"{stage} accounted"
    ended = (
        "SELECT seq, state, reason, coalesce(detail, ''), meta FROM query JOIN annotation USING (n) "
        "LEFT JOIN result USING (n) WHERE stage = ? AND state IN ('failed', 'refused', 'truncated') AND seq > ? "
        "ORDER BY seq"
    )
    for seq, state, reason, detail, meta in store.read(ended, stage, get_meta(store, known) or 0):
        parts = orjson.loads(meta)["parts"]
        after = state if len(parts) == 1 else "pending"
        store.executemany(
            "UPDATE part SET state = ?, asked = asked + 1, reason = ?, detail = ? WHERE n = ? AND name = ?",
            [(after, reason, detail, n, name) for n, name in parts],
        )
        set_meta(store, known, seq)
    store.commit()


# FOLDED from vectors.py:
# Batches of texts and their vectors. A batch is a query of its stage, whose text is a JSON list of texts, and its
# answer is one vector for each, packed by `endpoints.embeddings_reply.pack_vectors`.

_READ = 16  # batches at a time
_HELD = (
    "SELECT position, text FROM query JOIN annotation USING (n) WHERE stage = ? AND position > ? "
    "ORDER BY position LIMIT ?"
)
_ANSWERED = (
    "SELECT position, annotation.text, answer.text FROM query JOIN annotation USING (n) "
    "JOIN answer ON answer.n = query.answer WHERE stage = ? AND state = 'ok' AND position > ? "
    "ORDER BY position LIMIT ?"
)
_WITHOUT = "stage = ? AND state IN ('failed', 'refused', 'invalid') AND position IS NOT NULL"


def delete_pending_text_batches(store: Store, stage: str) -> None:
    """Forgets batches that nobody has answered. Commits."""
    pending = "SELECT n FROM query WHERE stage = ? AND state = 'pending'"
    store.execute(f"DELETE FROM annotation WHERE n IN ({pending})", stage)
    store.execute("DELETE FROM query WHERE stage = ? AND state = 'pending'", stage)
    store.commit()


def forget_failed_text_batches(store: Store, stage: str) -> int:
    """Forgets that texts got no vector, so that they are asked about again; returns how many batches. Commits."""
    count = store.execute(f"UPDATE query SET position = NULL WHERE {_WITHOUT}", stage).rowcount
    store.commit()
    return count


def registered_texts(store: Store, stage: str) -> Iterator[list[str]]:
    """The texts of every batch, whether it has vectors or never will."""
    for _, texts in _rows(store, _HELD, stage):
        yield orjson.loads(texts)


def add_text_batches(store: Store, stage: str, batches: Iterable[Sequence[str]]) -> None:
    """Makes batches pending. Commits."""
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
    """Puts batches of several texts that have failed into two halves each; returns how many. Commits."""
    rows = store.read_uncommitted(
        f"SELECT n, text FROM query JOIN annotation USING (n) WHERE {_WITHOUT} AND json_array_length(text) > 1", stage
    )
    store.executemany("UPDATE query SET position = NULL WHERE n = ?", [(n,) for n, _ in rows])
    texts = [orjson.loads(text) for _, text in rows]
    add_text_batches(
        store, stage, [half for each in texts for half in (each[: len(each) // 2], each[len(each) // 2 :])]
    )
    return len(rows)


def texts_without_vector(store: Store, stage: str) -> list[tuple[str, str]]:
    """The texts that no vector was given for, each with the reason."""
    rows = store.read(
        f"SELECT text, reason FROM query JOIN annotation USING (n) WHERE {_WITHOUT} ORDER BY position", stage
    )
    return [(text, reason) for texts, reason in rows for text in orjson.loads(texts)]


def texts_with_vectors(store: Store, stage: str) -> Iterator[tuple[list[str], str]]:
    """The texts of each batch that is answered, with the packed vectors."""
    for _, texts, packed in _rows(store, _ANSWERED, stage):
        yield orjson.loads(texts), packed


def _rows(store: Store, sql: str, stage: str) -> Iterator[tuple[Any, ...]]:
    for rows in store.read_in_batches(sql, stage, size=_READ):
        yield from rows


def _last_numbers(store: Store, stage: str) -> tuple[int, int]:
    """Return the highest number of any query (0 if there is none) and the last position of this stage (or -1)."""
    ((n,),) = store.read_uncommitted("SELECT coalesce(max(n), 0) FROM query")
    ((position,),) = store.read_uncommitted("SELECT coalesce(max(position), -1) FROM query WHERE stage = ?", stage)
    return n, position
