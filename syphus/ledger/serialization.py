"""Pairs and images as JSON in the ledger.

Pairs are [[id, instruction, answer, related numbers], ...]. Of images only paths and properties are stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import NamedTuple

import orjson

from syphus.types import Pair, PromptImage


class StoredPair(NamedTuple):
    """A pair in the order of the JSON.

    It is a tuple because exports make millions of them: a tuple takes a fifth of the time of a `Pair`.
    """

    id: str
    instruction: str
    answer: str
    related: Sequence[int] = ()

    def as_pair(self) -> Pair:
        """Return the pair as a `Pair`."""
        return Pair(self.instruction, self.answer, self.id, tuple(self.related))


def load_stored_pairs(text: str) -> list[StoredPair]:
    """Read the JSON of `dump_pairs` as tuples, which is faster."""
    return list(map(StoredPair._make, orjson.loads(text)))


def load_pairs(text: str) -> tuple[Pair, ...]:
    """Read the JSON of `dump_pairs`."""
    return tuple(pair.as_pair() for pair in load_stored_pairs(text))


def dump_pairs(pairs: Sequence[Pair]) -> str:
    """Return pairs as JSON."""
    return orjson.dumps([(pair.id, pair.instruction, pair.answer, pair.related) for pair in pairs]).decode()


_DEFAULTS = {field.name: field.default for field in fields(PromptImage) if field.name != "data"}


def dump_images(images: Sequence[PromptImage]) -> str:
    """Return images as a JSON array of objects, or "" if there are none."""
    return orjson.dumps([image_as_json(image) for image in images]).decode() if images else ""


def load_images(text: str | None) -> tuple[PromptImage, ...]:
    """Read the JSON of `dump_images`."""
    return tuple(PromptImage(**values) for values in orjson.loads(text)) if text else ()


def image_as_json(image: PromptImage) -> dict[str, str | int]:
    """Return an image as JSON values, without fields that have their default."""
    return {name: value for name, empty in _DEFAULTS.items() if (value := getattr(image, name)) != empty}


def images_identity(images: Iterable[PromptImage]) -> str:
    """Return a text that changes with the images' content, or with their paths while the content can't be read."""
    return "\0".join(each.digest or each.path or each.id or hashlib.blake2b(each.data).hexdigest() for each in images)
