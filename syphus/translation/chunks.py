"""Split pairs into chunks to translate: one query for a pair, several for a pair that is too long for one answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

from syphus.answers.translation import Language, Translatable
from syphus.ledger.parts import chunk_id
from syphus.types import Query

MAX_CHARACTERS = 3_000  #: English characters in one chunk: about 1,500 tokens of translation in most languages

_UNSPACED_SCRIPTS = ("Han", "Kana")  # no space between sentences
_BREAKS = (re.compile(r"\n[ \t]*\n\s*"), re.compile(r"\n\s*"), re.compile(r"(?<=[.!?])[ \t]+"), re.compile(r"[ \t]+"))


class SourcePair(NamedTuple):
    """A pair of a MIMIC-IT dataset.

    `related` holds its `rel_ins_ids`. `context` holds those of them that are earlier rounds of the same conversation:
    the translation prompt shows them.
    """

    id: str
    source: Translatable
    image_ids: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


class Chunk(NamedTuple):
    """The text of one query: a pair, or chunk `number` (from 1) of the `total` chunks of a long pair.

    A chunk of a long pair has text in one field only. `separator` is the text between the previous chunk and this one.
    """

    pair_id: str
    source: Translatable
    related: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    number: int = 1
    total: int = 1
    separator: str = ""


def pair_queries(pair: SourcePair) -> Iterator[Query]:
    """Yield the queries that the ledger keeps for a pair."""
    shared: dict[str, object] = {"rel": pair.related, "context": pair.context}
    if max(len(pair.source.instruction), len(pair.source.answer)) <= MAX_CHARACTERS:
        yield Query(pair.id, dump_texts(pair.source), pair.image_ids, {k: v for k, v in shared.items() if v})
        return
    chunks = [
        *((separator, Translatable(text, "")) for separator, text in split_text(pair.source.instruction) if text),
        *((separator, Translatable("", text)) for separator, text in split_text(pair.source.answer) if text),
    ]
    for number, (separator, source) in enumerate(chunks, 1):
        meta: dict[str, object] = {"pair": pair.id, "piece": number, "of": len(chunks), "gap": separator}
        first = number == 1
        meta |= {key: value for key, value in shared.items() if value and first}
        yield Query(chunk_id(pair.id, number), dump_texts(source), pair.image_ids if first else (), meta)


def parse_chunk(name: str, text: str, meta: Mapping[str, object]) -> Chunk:
    """Return the chunk that a query of the ledger holds."""
    number, total = meta.get("piece", 1), meta.get("of", 1)
    assert isinstance(number, int)
    assert isinstance(total, int)
    pair_id, separator = str(meta.get("pair", name)), str(meta.get("gap", ""))
    return Chunk(pair_id, load_texts(text), _texts(meta, "rel"), _texts(meta, "context"), number, total, separator)


def dump_texts(texts: Translatable) -> str:
    """Return both texts as the ledger keeps them: a JSON array."""
    return orjson.dumps([texts.instruction, texts.answer]).decode()


def load_texts(text: str) -> Translatable:
    """Read the output of `dump_texts`."""
    instruction, answer = orjson.loads(text)
    return Translatable(instruction, answer)


def split_text(text: str, longest: int = MAX_CHARACTERS) -> list[tuple[str, str]]:
    """Split a text into chunks of at most `longest` characters, each with the separator before it.

    Cuts between paragraphs if possible, otherwise between lines, sentences or words, and outside code blocks where it
    can.
    """
    chunks, separator = [], ""
    while len(text) > longest:
        end, start = _find_break(text, longest)
        chunks.append((separator, text[:end]))
        separator, text = text[end:start], text[start:]
    return [*chunks, (separator, text)]


def join_chunks(chunks: list[tuple[str, str]], language: Language) -> str:
    """Join the translated chunks of one text, each given with the separator before it."""
    unspaced = any(script in _UNSPACED_SCRIPTS for script in language.scripts)
    return "".join(text if unspaced and not separator.strip(" ") else separator + text for separator, text in chunks)


def _find_break(text: str, longest: int) -> tuple[int, int]:
    """Return where a chunk ends and where the next one begins."""
    for pattern in _BREAKS:
        spans = [match.span() for match in pattern.finditer(text, longest // 3, longest)]
        outside_code = [span for span in spans if text.count("```", 0, span[0]) % 2 == 0]
        if spans:
            return (outside_code or spans)[-1]
    return longest, longest


def _texts(meta: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = meta.get(key, ())
    assert isinstance(values, list | tuple)
    return tuple(map(str, values))
