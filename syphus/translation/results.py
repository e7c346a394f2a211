"""Reads the translated pairs, and decides which of them are exported in each language.

A pair is exported in a language when all of it was translated and accepted. A round of a conversation also needs its
earlier rounds: without them it would be a different training sample from the English one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from syphus.answers.translation import LANGUAGES, Translatable
from syphus.formats.mimicit.ids import IdSet
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.parts import QueryPartTexts, queries_with_part_texts
from syphus.ledger.store import Store
from syphus.translation.chunks import Chunk, join_chunks, load_texts, parse_chunk
from syphus.types import State


class TranslatedPair(NamedTuple):
    """A pair, with its accepted translations and the models that wrote them by language."""

    id: str
    source: Translatable
    image_ids: tuple[str, ...]
    related: tuple[str, ...]
    context: tuple[str, ...]
    texts: dict[str, Translatable]
    models: dict[str, str]


def read_translated_pairs(store: Store) -> Iterator[TranslatedPair]:
    """Yield all pairs in input order, translated or not."""
    chunks: list[tuple[Chunk, QueryPartTexts]] = []
    for query in queries_with_part_texts(store, TRANSLATE_STAGE, State.OK):
        chunk = parse_chunk(query.id, query.text, orjson.loads(query.meta))
        chunks.append((chunk, query))
        if chunk.number == chunk.total:
            yield _translated_pair(chunks)
            chunks = []


class ExportedPairs:
    """Says which pairs are exported in each language. Use it as a context manager.

    `partial` also exports rounds of a conversation whose earlier rounds are missing.
    """

    def __init__(self, store: Store, codes: Sequence[str], partial: bool) -> None:
        self.written = dict.fromkeys(codes, 0)
        self.missing_context = dict.fromkeys(codes, 0)  #: rounds with a missing earlier round, exported or not
        self._exported = IdSet()
        for pair in read_translated_pairs(store):
            for code in pair.texts.keys() & self.written.keys():
                is_incomplete = any(not self.has(code, pair_id) for pair_id in pair.context)
                self.missing_context[code] += is_incomplete
                if partial or not is_incomplete:
                    self._exported.add(_key(code, pair.id))
                    self.written[code] += 1

    def __enter__(self) -> ExportedPairs:
        return self

    def __exit__(self, *reason: object) -> None:
        self._exported.__exit__(*reason)

    def has(self, code: str, pair_id: str) -> bool:
        """Return whether a pair is exported in a language."""
        return _key(code, pair_id) in self._exported

    def context(self, code: str, pair: TranslatedPair) -> list[str]:
        """Return the ids of a pair's context that are exported in a language."""
        return [pair_id for pair_id in pair.related if self.has(code, pair_id)]


def _key(code: str, pair_id: str) -> str:
    return f"{code} {pair_id}"


def _translated_pair(chunks: list[tuple[Chunk, QueryPartTexts]]) -> TranslatedPair:
    """Join the chunks of one pair. A language counts if every chunk was accepted in it."""
    first, query = chunks[0]
    codes = [code for code in query.parts if code in LANGUAGES and all(code in each.parts for _, each in chunks)]
    if len(chunks) == 1:
        source, texts = first.source, {code: load_texts(query.parts[code][0]) for code in codes}
    else:
        source = _join([(chunk, chunk.source) for chunk, _ in chunks], "")
        texts = {
            code: _join([(chunk, load_texts(each.parts[code][0])) for chunk, each in chunks], code) for code in codes
        }
    models = {code: query.parts[code][1] for code in codes}
    images = tuple(orjson.loads(query.image_ids))
    return TranslatedPair(first.pair_id, source, images, first.related, first.context, texts, models)


def _join(chunks: list[tuple[Chunk, Translatable]], code: str) -> Translatable:
    """Join the texts of the chunks, field by field. `code` is "" for English."""
    fields = []
    for field in ("instruction", "answer"):
        parts = [(chunk.separator, getattr(text, field)) for chunk, text in chunks if getattr(chunk.source, field)]
        english = "".join(separator + text for separator, text in parts)
        fields.append(join_chunks(parts, LANGUAGES[code]) if code else english)
    return Translatable(*fields)
