"""The images of a query as the ledger keeps them: where each is and what it was, as JSON, never the image itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields

import orjson

from syphus.types import Picture

_KEPT = {field.name: field.default for field in fields(Picture) if field.name != "data"}


def dump_pictures(pictures: Sequence[Picture]) -> str:
    """A JSON array of objects; "" where there are none."""
    return orjson.dumps([as_values(picture) for picture in pictures]).decode() if pictures else ""


def load_pictures(text: str | None) -> tuple[Picture, ...]:
    """What `dump_pictures` has written."""
    return tuple(Picture(**values) for values in orjson.loads(text)) if text else ()


def as_values(picture: Picture) -> dict[str, str | int]:
    """One picture as JSON values, without what does not hold for it."""
    return {name: value for name, empty in _KEPT.items() if (value := getattr(picture, name)) != empty}


def identity(pictures: Iterable[Picture]) -> str:
    """What makes other pictures of them: their content, or where they should be as long as that can't be read."""
    return "\0".join(each.digest or each.path or each.id or hashlib.blake2b(each.data).hexdigest() for each in pictures)
