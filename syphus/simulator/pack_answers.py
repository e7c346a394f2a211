"""Answers a prompt with several items, each between tags with its id, with the mistakes that models make."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal, NamedTuple, get_args

PackSlip = Literal["", "missing", "doubled", "swapped", "unknown", "leaked", "untagged", "unordered", "mixed"]
PACK_SLIPS: tuple[str, ...] = get_args(PackSlip)[1:-1]

_ITEM = re.compile(r'^<item id="([\w-]+)">\n(.*?)\n</item>$', re.MULTILINE | re.DOTALL)


class PackItem(NamedTuple):
    """An item of a prompt: its id and its annotation."""

    id: str
    annotation: str


class PackAnswer(NamedTuple):
    """The answer to an item."""

    id: str
    text: str


def read_items(turn: str) -> list[PackItem]:
    """Return the items of a user turn; none if it is about one annotation."""
    return [PackItem(*found) for found in _ITEM.findall(turn)]


def write_pack(
    items: Sequence[PackItem], write: Callable[[PackItem], str], slip: str, share: float, random: Random, as_json: bool
) -> str:
    """Return the answer to all items. `slip` is the mistake, one of PACK_SLIPS or mixed, in this `share` of answers."""
    answers = [PackAnswer(item.id, write(item)) for item in items]
    if slip and random.random() < share:
        kind = random.choice(PACK_SLIPS) if slip == "mixed" else slip
        if kind == "untagged":
            return "\n\n".join(answer.text for answer in answers)
        answers = _slipped(answers, kind, random)
    if as_json:
        entries = ", ".join(f'{{"id": {json.dumps(name)}, "answer": {text}}}' for name, text in answers)
        return f'{{"items": [{entries}]}}'
    return "\n\n".join(f'<item id="{name}">\n{text}\n</item>' for name, text in answers)


def answer_schema(schema: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return the schema of the answer to one item, None if a schema is not that of the answer to several."""
    found: object = schema
    for name in ("properties", "items", "items", "properties", "answer"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _slipped(answers: list[PackAnswer], kind: str, random: Random) -> list[PackAnswer]:
    """Return answers with a mistake: one missing, one twice, texts or ids of two exchanged, an unknown id."""
    first, second = random.sample(range(len(answers)), 2)
    one, other = answers[first], answers[second]
    changed = list(answers)
    if kind == "missing":
        del changed[first]
    elif kind == "doubled":
        changed.insert(second, one)
    elif kind == "swapped":
        changed[first], changed[second] = PackAnswer(one.id, other.text), PackAnswer(other.id, one.text)
    elif kind == "unknown":
        changed[first] = PackAnswer("ffffff", one.text)
    elif kind == "leaked":
        changed[first] = PackAnswer(one.id, one.text.replace("?", f" in {other.id}?", 1))
    elif kind == "unordered":  # no mistake: each has its own id
        random.shuffle(changed)
    return changed
