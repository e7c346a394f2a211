"""Pairs as texts to translate: one query a pair, and several where it is too long to be translated in one go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

from syphus.answers.translation import Language, Translatable
from syphus.ledger.parts import chunk_id
from syphus.types import Query

MAX_CHARACTERS = 3_000  #: characters of English that are translated in one go: about 1,500 tokens in most languages

_SOLID = ("Han", "Kana")  # scripts that put no space between sentences
_SEAMS = (re.compile(r"\n[ \t]*\n\s*"), re.compile(r"\n\s*"), re.compile(r"(?<=[.!?])[ \t]+"), re.compile(r"[ \t]+"))


class SourcePair(NamedTuple):
    """A pair of a MIMIC-IT dataset. `related` are its `rel_ins_ids`; `context` are those of them that are earlier
    rounds of the same conversation, which whoever translates it gets to see.
    """

    id: str
    source: Translatable
    image_ids: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


class Chunk(NamedTuple):
    """What one query is about: a pair, or number `number` of the `of` pieces of a long one.

    A piece has text in one field alone, unless it is the whole; `gap` is what stands before it in that field.
    """

    pair_id: str
    source: Translatable
    related: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    number: int = 1
    total: int = 1
    separator: str = ""


def pair_queries(pair: SourcePair) -> Iterator[Query]:
    """The pair as queries for the ledger."""
    whole: dict[str, object] = {"rel": pair.related, "context": pair.context}
    if max(len(pair.source.instruction), len(pair.source.answer)) <= MAX_CHARACTERS:
        yield Query(pair.id, dump_texts(pair.source), pair.image_ids, {k: v for k, v in whole.items() if v})
        return
    asked = [(gap, Translatable(text, "")) for gap, text in split_text(pair.source.instruction) if text]
    parts = [*asked, *((gap, Translatable("", text)) for gap, text in split_text(pair.source.answer) if text)]
    for number, (gap, source) in enumerate(parts, 1):
        meta: dict[str, object] = {"pair": pair.id, "piece": number, "of": len(parts), "gap": gap}
        first = number == 1
        meta |= {key: value for key, value in whole.items() if value and first}
        yield Query(chunk_id(pair.id, number), dump_texts(source), pair.image_ids if first else (), meta)


def parse_chunk(name: str, text: str, meta: Mapping[str, object]) -> Chunk:
    """The piece that a query of the ledger is about."""
    number, of = meta.get("piece", 1), meta.get("of", 1)
    assert isinstance(number, int)
    assert isinstance(of, int)
    pair, gap = str(meta.get("pair", name)), str(meta.get("gap", ""))
    return Chunk(pair, load_texts(text), _texts(meta, "rel"), _texts(meta, "context"), number, of, gap)


def dump_texts(texts: Translatable) -> str:
    """Both texts, as the ledger keeps them: a JSON array."""
    return orjson.dumps([texts.instruction, texts.answer]).decode()


def load_texts(text: str) -> Translatable:
    """Reads what `dump` wrote."""
    instruction, answer = orjson.loads(text)
    return Translatable(instruction, answer)


def split_text(text: str, longest: int = MAX_CHARACTERS) -> list[tuple[str, str]]:
    """A text in pieces of at most so many characters, each with what stands between it and the one before.

    It is cut between paragraphs, or else lines, sentences, words; not inside of a code block, if that can be.
    """
    pieces, gap = [], ""
    while len(text) > longest:
        end, start = _seam(text, longest)
        pieces.append((gap, text[:end]))
        gap, text = text[end:start], text[start:]
    return [*pieces, (gap, text)]


def join_chunks(parts: list[tuple[str, str]], language: Language) -> str:
    """The translated pieces of one text, each with its gap, as one text."""
    solid = any(script in _SOLID for script in language.scripts)
    return "".join(text if solid and not gap.strip(" ") else gap + text for gap, text in parts)


def _seam(text: str, longest: int) -> tuple[int, int]:
    """Where a piece ends, and where the next begins."""
    for pattern in _SEAMS:
        found = [seam.span() for seam in pattern.finditer(text, longest // 3, longest)]
        outside = [span for span in found if text.count("```", 0, span[0]) % 2 == 0]
        if found:
            return (outside or found)[-1]
    return longest, longest


def _texts(meta: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = meta.get(key, ())
    assert isinstance(values, list | tuple)
    return tuple(map(str, values))
