"""Pairs as the ledger keeps them: [[id, instruction, answer, related numbers], ...], JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import NamedTuple

import orjson

from syphus.types import Pair, PromptImage


class StoredPair(NamedTuple):
    """A pair as it is kept: what a `Pair` has, in the order of the JSON.

    A tuple, since every export makes millions of them: one takes a fifth of the time of a `Pair`.
    """

    id: str
    instruction: str
    answer: str
    related: Sequence[int] = ()

    def as_pair(self) -> Pair:
        """The same as a `Pair`."""
        return Pair(self.instruction, self.answer, self.id, tuple(self.related))


def load_stored_pairs(text: str) -> list[StoredPair]:
    """Reads what `dump_pairs` wrote, for those that only look at it."""
    return list(map(StoredPair._make, orjson.loads(text)))


def load_pairs(text: str) -> tuple[Pair, ...]:
    """Reads what `dump_pairs` wrote."""
    return tuple(kept.as_pair() for kept in load_stored_pairs(text))


def dump_pairs(pairs: Sequence[Pair]) -> str:
    """Writes pairs."""
    return orjson.dumps([(pair.id, pair.instruction, pair.answer, pair.related) for pair in pairs]).decode()


# FOLDED from pictures.py:
# The images of a query as the ledger keeps them: where each is and what it was, as JSON, never the image itself.

_KEPT = {field.name: field.default for field in fields(PromptImage) if field.name != "data"}


def dump_images(pictures: Sequence[PromptImage]) -> str:
    """A JSON array of objects; "" where there are none."""
    return orjson.dumps([image_as_json(picture) for picture in pictures]).decode() if pictures else ""


def load_images(text: str | None) -> tuple[PromptImage, ...]:
    """What `dump_pictures` has written."""
    return tuple(PromptImage(**values) for values in orjson.loads(text)) if text else ()


def image_as_json(picture: PromptImage) -> dict[str, str | int]:
    """One picture as JSON values, without what does not hold for it."""
    return {name: value for name, empty in _KEPT.items() if (value := getattr(picture, name)) != empty}


def images_identity(pictures: Iterable[PromptImage]) -> str:
    """What makes other pictures of them: their content, or where they should be as long as that can't be read."""
    return "\0".join(each.digest or each.path or each.id or hashlib.blake2b(each.data).hexdigest() for each in pictures)
