"""Everything known about one query: annotation, images, messages, each raw answer with its verdict, the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from syphus.config.pricing import Prices
from syphus.exchange import BilledUsage, Usage
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.parts import chunk_id, marks, parts_of
from syphus.ledger.serialization import StoredPair, load_stored_pairs
from syphus.ledger.store import Columns, Store
from syphus.ledger.summary import has_parts
from syphus.runs.row_text import find_marks
from syphus.runs.run_settings import stored_prices
from syphus.types import State
from syphus.viewer.overview import usage_as_json
from syphus.viewer.query_images import images_of_query, sent_images

_MOST_ANSWERS = 100  #: of a query
_LONGEST = 1_000_000  #: characters of an answer that are shown

_QUERY = (
    "SELECT query.stage, id, position, query.state, query.reason, coalesce(detail, ''), annotation.text, meta, "
    "problem, attempts, used, query.answer, coalesce(result.pairs, '[]'), ready, coalesce(repairs, '{}') "
    "FROM query JOIN annotation USING (n) LEFT JOIN result USING (n) WHERE query.n = ?"
)
_ANSWERS = (
    "SELECT answer.n, sample, text, refusal, flags, finish_reason, model, response_id, answer.seconds, answer.session, "
    "coalesce(settings ->> 'model', ''), service_tier, regional, spec, prompt_tokens, completion_tokens, "
    "cached_tokens, reasoning_tokens, estimated, cache_write_tokens FROM answer "
    "LEFT JOIN session ON session.id = answer.session LEFT JOIN spec ON spec.id = session.spec "
    "WHERE answer.n IN ({marks}) ORDER BY answer.n"
)


def read_query(store: Store, n: int, address: str) -> dict[str, object] | None:
    """Return a query by its number as JSON values, None if there is none. `address` is that of its images."""
    row = store.read_one(_QUERY, n)
    if row is None:
        return None
    stage, name, position, state, reason, detail, text, meta, problem, attempts, used, newest, pairs, ready, repairs = (
        row
    )
    images = images_of_query(store, n)
    reasons = {**_earlier(store, n), **({newest: reason} if newest is not None else {})}
    found = _answers(store, reasons, newest)
    stored, prices = load_stored_pairs(pairs), stored_prices(store)
    return {
        "n": n,
        "stage": stage,
        "id": name,
        "position": position,
        "state": state,
        "reason": reason,
        "detail": detail,
        "annotation": text,
        "problem": problem,
        "meta": orjson.loads(meta),
        "repairs": orjson.loads(repairs),
        "images": [image.as_json(k, address) for k, image in enumerate(images)],
        "messages": [*_prompt(store, found), _own_turn(text, len(sent_images(store, [n]).get(n, ())))],
        "answers": [_answer(answer, newest, reasons, (state, detail), prices) for answer in found],
        "attempts": attempts,
        "used": used,
        "ready": len(orjson.loads(ready)),
        "pairs": described_pairs(store, n, stored),
        "parts": _parts(store, n),
        "neighbours": _neighbours(store, stage, position),
    }


def _neighbours(store: Store, stage: str, position: int | None) -> dict[str, int | None]:
    """Return the numbers of the queries before and after one in the input."""
    if position is None:
        return {"previous": None, "next": None}
    before = "SELECT n FROM query WHERE stage = ? AND position < ? ORDER BY position DESC LIMIT 1"
    after = "SELECT n FROM query WHERE stage = ? AND position > ? ORDER BY position LIMIT 1"
    return {"previous": store.read_value(before, stage, position), "next": store.read_value(after, stage, position)}


def _earlier(store: Store, n: int) -> dict[int, str]:
    """Return what was wrong with the earlier answers of a query, by number. Old ledgers have no table of them."""
    if not store.has_table("earlier"):
        return {}
    return dict(
        store.read("SELECT answer, reason FROM earlier WHERE n = ? ORDER BY answer DESC LIMIT ?", n, _MOST_ANSWERS)
    )


def _answers(store: Store, reasons: Mapping[int, str], newest: int | None) -> list[Columns]:
    """Return the earlier answers of a query that the ledger names, and all answers to its newest request."""
    numbers = [n for n in reasons if n is not None]
    if newest is not None:
        same = "SELECT n FROM answer WHERE key = (SELECT key FROM answer WHERE n = ?) AND n <= ? LIMIT ?"
        numbers += [n for (n,) in store.read(same, newest, newest, _MOST_ANSWERS) if n not in reasons]
    return store.read(_ANSWERS.format(marks=marks(numbers)), *numbers)


def _answer(
    columns: Columns, newest: int | None, reasons: Mapping[int, str], verdict: tuple[str, str], prices: Prices
) -> dict[str, object]:
    n, sample, text, refusal, flags, finish, model, response, seconds, session, asked, tier, regional, _, *tokens = (
        columns
    )
    usage = Usage(*tokens)
    bill = BilledUsage(model, asked, usage, tier, bool(regional), usage.prompt_tokens)
    state, detail = verdict
    is_newest = n == newest
    return {
        "number": n,
        "sample": sample,
        "text": text[:_LONGEST],
        "refusal": refusal,
        "flags": orjson.loads(flags),
        "model": model,
        "finish_reason": finish,
        "response_id": response,
        "tokens": usage_as_json(usage),
        "cost": prices.cost([bill]),
        "seconds": seconds,
        "session": session,
        "verdict": {
            "state": state if is_newest else State.INVALID.value if n in reasons else "",
            "reason": reasons.get(n, ""),
            "detail": detail if is_newest else "",
        },
        "marks": [list(mark) for mark in find_marks(text[:_LONGEST], detail)] if is_newest else [],
        "used": is_newest,
    }


def _prompt(store: Store, answers: Sequence[Columns]) -> list[dict[str, object]]:
    """Return the messages before a query's own turn, by the settings of its newest answer, or of the newest session."""
    newest = "SELECT settings FROM spec ORDER BY id DESC LIMIT 1"
    spec = answers[-1][13] if answers else None
    settings = store.read_value("SELECT settings FROM spec WHERE id = ?", spec) if spec else store.read_value(newest)
    prompt = orjson.loads(settings or "{}").get("prompt_text") or {}
    messages = [{"role": "system", "content": prompt["system_message"]}] if prompt.get("system_message") else []
    return [_message(each) for each in (*messages, *prompt.get("in_context", ()))]


def _message(message: Mapping[str, object]) -> dict[str, object]:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": str(content or "")}]
    texts = [{"text": str(part.get("text", "[image]"))} for part in parts if isinstance(part, Mapping)]
    return {"role": str(message.get("role", "")), "content": texts}


def _own_turn(annotation: str, images: int) -> dict[str, object]:
    """Return the turn of the query, unless its plugin renders it in another way."""
    return {"role": "user", "content": [*({"image": k} for k in range(images)), {"text": annotation}], "own": True}


def described_pairs(store: Store, n: int, pairs: Sequence[StoredPair]) -> list[dict[str, object]]:
    """Return pairs of a query as JSON values, with their context and translations."""
    nearest = store.read_value("SELECT related FROM nearest WHERE n = ?", n) if store.has_table("nearest") else None
    ids = ["", *(pair.id for pair in pairs)]  # by number, from 1
    contexts = orjson.loads(nearest) if nearest else [[ids[number] for number in pair.related] for pair in pairs]
    translations = read_translations(store, [pair.id for pair in pairs])
    return [
        {
            "id": pair.id,
            "instruction": pair.instruction,
            "answer": pair.answer,
            "related": contexts[number] if number < len(contexts) else [],
            "translations": translations.get(pair.id, {}),
        }
        for number, pair in enumerate(pairs)
    ]


def read_translations(store: Store, pairs: Sequence[str]) -> dict[str, dict[str, dict[str, object]]]:
    """Return the translations of pairs by pair and language. Of a pair that is translated in pieces, the first one."""
    if not pairs or not has_parts(store, TRANSLATE_STAGE):
        return {}
    names = {name: pair for pair in pairs for name in (pair, chunk_id(pair, 1))}
    rows = store.read(
        "SELECT id, name, part.state, part.reason, part.text FROM query JOIN part USING (n) "
        f"WHERE stage = ? AND id IN ({marks([*names])}) ORDER BY name",
        *(TRANSLATE_STAGE, *names),
    )
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name, language, state, reason, text in rows:
        instruction, answer = _translated(text)
        found.setdefault(names[name], {})[language] = {
            "instruction": instruction,
            "answer": answer,
            "state": state,
            "reason": reason,
            "in_pieces": name not in pairs,
        }
    return found


def _translated(text: str) -> tuple[str, str]:
    """Return instruction and answer of a translation; the whole text as the answer if it is not a pair."""
    try:
        instruction, answer = orjson.loads(text)
    except (ValueError, TypeError):
        return "", text
    return str(instruction), str(answer)


def _parts(store: Store, n: int) -> list[dict[str, object]]:
    """Return the parts of a query: of a pair that is translated, its languages."""
    if not store.has_table("part"):
        return []
    return [
        {
            "name": name,
            "state": part.state.value,
            "reason": part.reason,
            "detail": part.detail,
            "asked": part.asked,
            "text": part.text,
        }
        for name, part in sorted(parts_of(store, n).items())
    ]
