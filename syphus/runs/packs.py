"""Packs: several short annotations in one request, each answered between tags with its own id.

A pack is a block of the numbers that rows have in the ledger. So which rows are in it never changes, whatever is done
or asked again. All its rows make the same request, the loop sends it once, and each row reads its own part:

    <item id="3f9a2c">
    a person is gone
    </item>

A part counts only if its id is that of the row, stands once, and the part ends. What is missing, cut off, doubled,
rejected by the rules, or seems to be about another item of the pack is asked again alone.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from syphus.answers.parsing.json_forms import object_schema
from syphus.exchange import PACKED, Completion
from syphus.ledger.records import queries_between
from syphus.ledger.store import Store
from syphus.runs.run_settings import GENERATE
from syphus.types import Query

MOST_TOKENS = 16_384  #: that the answer to a pack may have: as much as every model of today takes
LONGEST_TEXT = 2_000  #: characters of an annotation that is packed; a longer one is asked alone
_BLOCKS_KEPT = 256
_OPEN = re.compile(r"^[ \t>*`]*<item\b[^>\n]*\bid\s*=\s*[\"']?([\w-]+)[\"']?\s*>[ \t]*", re.MULTILINE)
_CLOSE = re.compile(r"</item\s*>")
_TAG = re.compile(r"</?item\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]{4,}")

_LINES = (
    "Here are {count} items. Treat each by itself: its answer is about its own item alone, in the form that was asked "
    'for. Put each answer between the same tags as its item, such as <item id="{first}"> and </item>, and write '
    "nothing outside of them."
)
_JSON = (
    "Here are {count} items. Treat each by itself: its answer is about its own item alone. Answer with one JSON "
    'object, {{"items": [{{"id": "{first}", "answer": ...}}, ...]}}, with one entry for each item; each "answer" is '
    "the JSON that was asked for."
)


class PackedItem(NamedTuple):
    """A row in a pack. `label` is its id there."""

    n: int
    label: str
    query: Query


class Part(NamedTuple):
    """What a pack's answer says about one row: the text, or the problem that it has."""

    text: str = ""
    problem: str = ""


class Packs:
    """Finds the packs of a run. Blocks that were read are kept, as far as there is room."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blocks: OrderedDict[tuple[int, int], tuple[PackedItem, ...]] = OrderedDict()

    def block(self, n: int, size: int) -> tuple[PackedItem, ...]:
        """Return the rows in the pack of the row with number `n`, if packs have `size`, that can be packed at all."""
        first = (n - 1) // size * size + 1
        found = self._blocks.get((first, size))
        if found is None:
            found = self._blocks[first, size] = tuple(self._items(first, size))
            while len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return found

    def _items(self, first: int, size: int) -> Iterator[PackedItem]:
        labels = set[str]()
        for n, query in queries_between(self._store, GENERATE, first, first + size - 1):
            name = label(query.id)
            if can_be_packed(query) and name not in labels:
                labels.add(name)
                yield PackedItem(n, name, query)


def label(query_id: str) -> str:
    """Return the id of a query in its pack: short, and found in no annotation."""
    return blake2b(query_id.encode(errors="surrogatepass"), digest_size=3).hexdigest()


def can_be_packed(query: Query) -> bool:
    """Return whether a query can share a request.

    One with images can't: nothing in a request says which of the images belong to which item.
    """
    asks = not (query.problem or query.pairs or query.images)
    return asks and bool(query.text.strip()) and len(query.text) <= LONGEST_TEXT and not _TAG.search(query.text)


def has_tags(text: str) -> bool:
    """Return whether a text holds what looks like a tag around an item."""
    return _TAG.search(text) is not None


def pack_text(items: Sequence[tuple[str, str]], as_json: bool) -> str:
    """Return the user turn that asks about all items, each a label and a text."""
    head = (_JSON if as_json else _LINES).format(count=len(items), first=items[0][0])
    return "\n\n".join([head, *(f'<item id="{name}">\n{text}\n</item>' for name, text in items)])


def pack_schema(schema: Mapping[str, object]) -> dict[str, object]:
    """Return the schema of the answer to a pack; it is the same for all packs, so that servers and caches know it."""
    entry = object_schema({"id": {"type": "string"}, "answer": schema})
    return object_schema({"items": {"type": "array", "items": entry}})


def packed_size(completion: Completion) -> int:
    """Return the size of the pack that an answer was asked for, 0 if its row was asked alone."""
    return next((int(flag.removeprefix(PACKED)) for flag in completion.flags if flag.startswith(PACKED)), 0)


def own_part(completion: Completion, item: PackedItem, pack: Sequence[PackedItem], *, as_json: bool, cut: bool) -> Part:
    """Return what an answer to a pack says about one of its items. `cut` says that its end is missing."""
    found: list[tuple[str, str | None]] = list(_json_parts(completion.text)) if as_json else []
    found = found or list(_line_parts(completion.text, cut))
    mine = [text for name, text in found if name == item.label]
    if not mine:
        return Part(problem="the answer to the pack lacks this item")
    if len(mine) > 1:
        return Part(problem="the answer to the pack has this item twice")
    (text,) = mine
    if text is None:
        return Part(problem="the answer to the pack was cut off in this item")
    others = [other for other in pack if other.label != item.label]
    if _TAG.search(text) or any(other.label in text for other in others):
        return Part(problem="the answer names another item of the pack")
    if _is_about_another(text, item, others):
        return Part(problem="the answer is about another item of the pack")
    return Part(text)


def _line_parts(text: str, cut: bool) -> Iterator[tuple[str, str | None]]:
    """Yield the id and the text of each part of an answer in tags; None for the text of one that does not end."""
    starts = list(_OPEN.finditer(text))
    for number, start in enumerate(starts):
        is_last = number == len(starts) - 1
        body = text[start.end() : len(text) if is_last else starts[number + 1].start()]
        end = _CLOSE.search(body)
        if end is None and is_last and cut:
            yield start[1], None
        else:
            yield start[1], (body[: end.start()] if end else body).strip()


def _json_parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the id of each whole item of a JSON answer, which may be cut off after them, and its answer as JSON."""
    start, decoder = re.search(r'"items"\s*:\s*\[', text), json.JSONDecoder()
    position = start.end() if start else len(text)
    while position < len(text):
        position += len(text[position:]) - len(text[position:].lstrip(" \t\r\n,"))
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict) and isinstance(value.get("id"), str) and "answer" in value:
            yield value["id"], json.dumps(value["answer"], ensure_ascii=False)


def _is_about_another(text: str, item: PackedItem, others: Sequence[PackedItem]) -> bool:
    """Return whether a part has a word of another item that its own lacks, and none that only its own has.

    To ask once more for nothing costs little, and a wrong pair is worse.
    """
    said, own = _words(text), _words(item.query.text)
    for other in others:
        foreign = _words(other.query.text)
        if said & (foreign - own) and own - foreign and not said & (own - foreign):
            return True
    return False


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
