"""Translations as queries to a judge, and what it says of them."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from syphus.stages.judge import Rubric
from syphus.translation import LANGUAGES, Translatable
from syphus.translation.judge import OPINION_SCHEMA, read_opinion, second_reading
from syphus.types import Message, Query


class Read(NamedTuple):
    """The translation that a query is about: part `language` of query number `n`."""

    n: int
    language: str


def to_read(n: int, name: str, language: str, source: str, translated: str) -> Query:
    """Part `language` of query `name`, number `n`, as a query to a judge; both texts as `pieces.dump` writes them."""
    return Query(f"{language} {name}", f"[{source},{translated}]", meta={"n": n, "language": language})


def read_of(query: Query) -> Read:
    """What `to_read` was told of it."""
    n = query.meta["n"]
    assert isinstance(n, int)
    return Read(n, str(query.meta["language"]))


def _messages(query: Query) -> list[Message]:
    source, translated = (Translatable(*texts) for texts in orjson.loads(query.text))
    return second_reading(source, translated, LANGUAGES[read_of(query).language])


OF_TRANSLATIONS = Rubric(_messages, OPINION_SCHEMA, lambda text: read_opinion(text).problem)
