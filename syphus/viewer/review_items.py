"""What people review: accepted pairs, answers that a rule rejected, and pairs that a judge took out.

Each has an id and a text of its own. A pair has the id of the dataset; `answer:17` is the answer with that number in
the ledger; `judged:9:2` is the second pair of query 9 of the judge, if it is not an accepted pair any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from syphus.ledger.reviewed import ANSWER, JUDGED
from syphus.ledger.reviews import PairReview, ReviewLog, text_hash
from syphus.ledger.serialization import load_stored_pairs
from syphus.ledger.store import Store
from syphus.runs.pair_verdicts import judged_number, judged_pairs
from syphus.types import Query, State
from syphus.viewer.query_detail import described_pairs, read_translations
from syphus.viewer.query_images import images_of_query

_LONGEST = 20_000  # characters of an annotation or an answer that are shown
_QUERY = (
    "SELECT id, position, state, reason, coalesce(detail, ''), annotation.text, coalesce(result.pairs, '[]'), "
    "query.answer FROM query JOIN annotation USING (n) LEFT JOIN result USING (n) WHERE query.n = ?"
)


class Item(NamedTuple):
    """Something to review: of query `n`, with the id `name`. `draw` says how it was drawn, if at random."""

    n: int
    name: str
    draw: str = ""
    why: str = ""  #: why it is shown: the rule that rejected it, or its score
    hash: str = ""  #: of its text, if that is known already


class ItemText(NamedTuple):
    """The text of an item now, and the id of its query."""

    query: str
    instruction: str
    answer: str

    @property
    def hash(self) -> str:
        """What decisions about it name."""
        return text_hash(self.instruction, self.answer)


def answer_item(n: int, answer: int, draw: str = "", why: str = "") -> Item:
    """Return an answer as an item."""
    return Item(n, f"{ANSWER}:{answer}", draw, why)


def text_of(store: Store, item: Item, language: str = "") -> ItemText | None:
    """Return the text that an item has now; None if there is none."""
    row = store.read_one(_QUERY, item.n)
    if row is None:
        return None
    kind, *numbers = item.name.split(":")
    if kind == ANSWER and len(numbers) == 1 and numbers[0].isdecimal():
        text = _answer_text(store, item.n, int(numbers[0]), row[-1])
        return None if text is None else ItemText(row[0], "", text)
    if kind == JUDGED and len(numbers) == 2 and all(map(str.isdecimal, numbers)):
        texts = _judged_text(store, item.n, *map(int, numbers))
        return None if texts is None else ItemText(row[0], *texts)
    pairs = [pair for pair in load_stored_pairs(row[6]) if pair.id == item.name and row[2] == State.OK]
    if not pairs or not language:
        return next((ItemText(row[0], pair.instruction, pair.answer) for pair in pairs), None)
    translated = read_translations(store, [item.name]).get(item.name, {}).get(language)
    if translated is None or translated["in_pieces"]:
        return None
    return ItemText(row[0], str(translated["instruction"]), str(translated["answer"]))


def _answer_text(store: Store, n: int, answer: int, newest: int | None) -> str | None:
    earlier = "SELECT 1 FROM earlier WHERE n = ? AND answer = ?"
    is_ours = answer == newest or (store.has_table("earlier") and store.read_one(earlier, n, answer) is not None)
    return store.read_value("SELECT text FROM answer WHERE n = ?", answer) if is_ours else None


def _judged_text(store: Store, n: int, judged: int, number: int) -> tuple[str, str] | None:
    row = store.read_one("SELECT id, text, meta FROM query JOIN annotation USING (n) WHERE n = ?", judged)
    meta = orjson.loads(row[2]) if row else {}
    if row is None or not {"n", "judge"} <= meta.keys():
        return None
    query = Query(row[0], row[1], meta=meta)
    pairs = judged_pairs(query).pairs
    return pairs[number - 1] if judged_number(query) == n and 0 < number <= len(pairs) else None


def find_number(store: Store, pair: str, stage: str) -> int | None:
    """Return the number of the query that a pair's id names, if the plugin names pairs as usual."""
    name = pair.partition("_INS_")[2].rpartition("_")[0]
    number: int | None = store.read_value("SELECT n FROM query WHERE id = ? AND stage = ?", name, stage)
    return number


class ItemReader:
    """Reads items as the pages show them. `address` is that of a run in the API."""

    def __init__(self, store: Store, log: ReviewLog, address: str) -> None:
        self._store = store
        self._log = log
        self._address = address
        self._queries: dict[int, dict[str, object]] = {}

    def read(self, items: Sequence[Item], language: str = "") -> list[dict[str, object]]:
        """Return items as JSON values; those that are gone are left out."""
        return [each for each in (self._item(item, language) for item in items) if each is not None]

    def _item(self, item: Item, language: str) -> dict[str, object] | None:
        query = self._query(item.n)
        text = text_of(self._store, item)
        if query is None or text is None:
            return None
        pairs = query["pairs"]
        assert isinstance(pairs, dict)
        described = dict(pairs.get(item.name, {}))
        translations = described.pop("translations", {})
        shown = {
            code: {**each, "text_hash": text_hash(each["instruction"], each["answer"]),
                   "review": self._review(item.name, each["instruction"], each["answer"], code).as_json()}
            for code, each in translations.items()
        }  # fmt: skip
        if language and language not in shown:
            return None
        return {
            **{name: value for name, value in query.items() if name != "pairs"},
            "id": item.name,
            "kind": item.name.partition(":")[0] if item.name not in pairs else "pair",
            "instruction": text.instruction,
            "answer": text.answer[:_LONGEST],
            "text_hash": text.hash,
            "related": [
                {"id": name, **({k: pairs[name][k] for k in ("instruction", "answer")} if name in pairs else {})}
                for name in described.get("related", ())
            ],
            "siblings": [name for name in pairs if name != item.name],
            "translations": shown,
            "review": self._review(item.name, text.instruction, text.answer).as_json(),
            "draw": item.draw,
            "why": item.why,
        }

    def _review(self, name: str, instruction: str, answer: str, language: str = "") -> PairReview:
        return self._log.review(name, text_hash(instruction, answer), language)

    def _query(self, n: int) -> dict[str, object] | None:
        if n in self._queries:
            return self._queries[n]
        row = self._store.read_one(_QUERY, n)
        if row is None:
            return None
        name, position, state, reason, detail, text, pairs, _ = row
        stored = load_stored_pairs(pairs)
        address = f"{self._address}/images/{n}"
        self._queries[n] = {
            "n": n,
            "query": name,
            "position": position,
            "state": state,
            "reason": reason,
            "detail": detail,
            "annotation": text[:_LONGEST],
            "images": [image.as_json(k, address) for k, image in enumerate(images_of_query(self._store, n))],
            "pairs": {pair["id"]: pair for pair in described_pairs(self._store, n, stored)},
        }
        return self._queries[n]
