"""Batches of texts and their vectors. A batch is a query of its stage, whose text is a JSON list of texts, and its
answer is one vector for each, packed by `endpoints.embeddings.pack`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from syphus.ledger.store import Store, storage_faults

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


def drop_pending(store: Store, stage: str) -> None:
    """Forgets batches that nobody has answered. Commits."""
    with storage_faults(store.path):
        pending = "SELECT n FROM query WHERE stage = ? AND state = 'pending'"
        store.writer.execute(f"DELETE FROM annotation WHERE n IN ({pending})", (stage,))
        store.writer.execute("DELETE FROM query WHERE stage = ? AND state = 'pending'", (stage,))
    store.commit()


def drop_failed(store: Store, stage: str) -> int:
    """Forgets that texts got no vector, so that they are asked about again; returns how many batches. Commits."""
    with storage_faults(store.path):
        count = store.writer.execute(f"UPDATE query SET position = NULL WHERE {_WITHOUT}", (stage,)).rowcount
    store.commit()
    return count


def held(store: Store, stage: str) -> Iterator[list[str]]:
    """The texts of every batch, whether it has vectors or never will."""
    for _, texts in _rows(store, _HELD, stage):
        yield orjson.loads(texts)


def add_batches(store: Store, stage: str, batches: Iterable[Sequence[str]]) -> None:
    """Makes batches pending. Commits."""
    with storage_faults(store.path):
        db = store.writer
        n = db.execute("SELECT coalesce(max(n), 0) FROM query").fetchone()[0]
        position = db.execute("SELECT coalesce(max(position), -1) FROM query WHERE stage = ?", (stage,)).fetchone()[0]
        for number, batch in enumerate(batches, 1):
            text = orjson.dumps(batch).decode()
            digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
            db.execute(
                "INSERT INTO query (n, stage, id, position, digest, checked) VALUES (?, ?, ?, ?, ?, 1)",
                (n + number, stage, f"batch {position + number}", position + number, digest),
            )
            db.execute("INSERT INTO annotation VALUES (?, ?, '[]', '{}', '', '[]')", (n + number, text))
    store.commit()


def split(store: Store, stage: str) -> int:
    """Puts batches of several texts that have failed into two halves each; returns how many. Commits."""
    with storage_faults(store.path):
        rows = store.writer.execute(
            f"SELECT n, text FROM query JOIN annotation USING (n) WHERE {_WITHOUT} AND json_array_length(text) > 1",
            (stage,),
        ).fetchall()
        store.writer.executemany("UPDATE query SET position = NULL WHERE n = ?", [(n,) for n, _ in rows])
    texts = [orjson.loads(text) for _, text in rows]
    add_batches(store, stage, [half for each in texts for half in (each[: len(each) // 2], each[len(each) // 2 :])])
    return len(rows)


def without_vectors(store: Store, stage: str) -> list[tuple[str, str]]:
    """The texts that no vector was given for, each with the reason."""
    with storage_faults(store.path):
        rows = store.reader.execute(
            f"SELECT text, reason FROM query JOIN annotation USING (n) WHERE {_WITHOUT} ORDER BY position", (stage,)
        ).fetchall()
    return [(text, reason) for texts, reason in rows for text in orjson.loads(texts)]


def vectors(store: Store, stage: str) -> Iterator[tuple[list[str], str]]:
    """The texts of each batch that is answered, with the packed vectors."""
    for _, texts, packed in _rows(store, _ANSWERED, stage):
        yield orjson.loads(texts), packed


def _rows(store: Store, sql: str, stage: str) -> Iterator[tuple[Any, ...]]:
    after = -1
    while True:
        with storage_faults(store.path):
            rows = store.reader.execute(sql, (stage, after, _READ)).fetchall()
        if not rows:
            return
        yield from rows
        after = rows[-1][0]
