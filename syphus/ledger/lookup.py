"""Everything that the ledger knows of one query."""

from __future__ import annotations

import orjson

from syphus.ledger.pairs import load_pairs
from syphus.ledger.part_counts import has_parts
from syphus.ledger.parts import parts_of
from syphus.ledger.pictures import as_values, load_pictures
from syphus.ledger.store import Store, storage_faults
from syphus.types import Picture

_QUERY = (
    "SELECT query.n, id, position, text, image_ids, meta, state, reason, detail, attempts, result.pairs, "
    "query.answer FROM query JOIN annotation USING (n) LEFT JOIN result USING (n) WHERE id = ? AND stage = ?"
)
_ANSWERS = (
    "SELECT answer.n, hex(key), sample, text, finish_reason, refusal, flags, model, response_id, prompt_tokens, "
    "completion_tokens, answer.seconds, strftime('%Y-%m-%dT%H:%M:%SZ', started, 'unixepoch'), endpoint, version, "
    "settings FROM answer JOIN session ON session.id = answer.session JOIN spec ON spec.id = session.spec "
    "WHERE key = (SELECT key FROM answer WHERE n = ?) ORDER BY sample"
)


def look_up(store: Store, stage: str, query: str) -> dict[str, object] | None:
    """One query as JSON values, with the answers to its newest request and what they were asked with; or None."""
    with storage_faults(store.path):
        row = store.reader.execute(_QUERY, (query, stage)).fetchone()
        if row is None:
            return None
        images = _pictures(store, row[0])
        answers = store.reader.execute(_ANSWERS, (row[-1],)).fetchall()
    parts = parts_of(store, row[0]) if has_parts(store, stage) else {}
    _, name, position, text, image_ids, meta, state, reason, detail, attempts, pairs, newest = row
    return {
        "id": name,
        "row": None if position is None else position + 1,
        "annotation": text,
        "image_ids": orjson.loads(image_ids),
        **({"images": [as_values(picture) for picture in images]} if images else {}),
        "meta": orjson.loads(meta),
        "state": state,
        "reason": reason,
        "detail": detail or "",
        "requests": attempts,
        "pairs": [
            {"id": pair.id, "instruction": pair.instruction, "answer": pair.answer}
            for pair in load_pairs(pairs or "[]")
        ],
        **({"parts": {part: kept._asdict() for part, kept in parts.items()}} if parts else {}),
        "answers": [_answer(*answer, newest=newest) for answer in answers],
    }


def _pictures(store: Store, n: int) -> tuple[Picture, ...]:
    """The images of a query; none in a ledger from before there were any."""
    there = store.reader.execute("SELECT 1 FROM sqlite_schema WHERE name = 'picture'").fetchone()
    row = there and store.reader.execute("SELECT images FROM picture WHERE n = ?", (n,)).fetchone()
    return load_pictures(row[0]) if row else ()


def _answer(n: int, *columns: object, newest: int) -> dict[str, object]:
    names = ("request", "sample", "text", "finish_reason", "refusal", "flags", "model", "response_id", "prompt_tokens",
             "completion_tokens", "seconds", "session", "endpoint", "syphus", "settings")  # fmt: skip
    answer = dict(zip(names, columns, strict=True))
    settings = orjson.loads(str(answer["settings"]))
    answer["request"] = str(answer["request"]).lower()
    answer["flags"] = orjson.loads(str(answer["flags"]))
    answer["settings"] = {name: value for name, value in settings.items() if name != "prompt_text"}
    return {**answer, "newest": n == newest}
