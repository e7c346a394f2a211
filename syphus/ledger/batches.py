"""A stage whose queries are batches of parts of another stage: formed anew from what is to be asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store, storage_faults

Batch = Sequence[tuple[int, str]]  #: parts, by the number of their query and their name


def register_batches(store: Store, stage: str, batches: Iterable[Batch]) -> int:
    """Takes the batches in as the pending queries of the stage, instead of those that were; returns how many. Commits.

    A batch that was asked for has left its outcome with its parts; one that was not can be dropped.
    """
    pending = "stage = ? AND state = 'pending'"
    with storage_faults(store.path):
        db = store.writer
        db.execute(f"DELETE FROM annotation WHERE n IN (SELECT n FROM query WHERE {pending})", (stage,))
        db.execute(f"DELETE FROM query WHERE {pending}", (stage,))
        n = int(db.execute("SELECT coalesce(max(n), 0) FROM query").fetchone()[0])
        last = "SELECT coalesce(max(position), -1) FROM query WHERE stage = ?"
        first = int(db.execute(last, (stage,)).fetchone()[0]) + 1
        count = 0
        for count, batch in enumerate(batches, 1):
            meta = orjson.dumps({"parts": batch}).decode()
            position = first + count - 1
            db.execute(
                "INSERT INTO query (n, stage, id, position, digest, checked) VALUES (?, ?, ?, ?, x'', 0)",
                (n + count, stage, str(position), position),
            )
            db.execute("INSERT INTO annotation VALUES (?, '', '[]', ?, '', '[]')", (n + count, meta))
    store.commit()
    return count


def account_for_batches(store: Store, stage: str) -> None:
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
    with storage_faults(store.path):
        for seq, state, reason, detail, meta in store.reader.execute(ended, (stage, get_meta(store, known) or 0)):
            parts = orjson.loads(meta)["parts"]
            after = state if len(parts) == 1 else "pending"
            store.writer.executemany(
                "UPDATE part SET state = ?, asked = asked + 1, reason = ?, detail = ? WHERE n = ? AND name = ?",
                [(after, reason, detail, n, name) for n, name in parts],
            )
            set_meta(store, known, seq)
    store.commit()
