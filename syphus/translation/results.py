"""The pairs that are translated, and which of them go out in each language.

A pair goes out in a language once all of it is translated and was accepted. A round of a conversation needs its earlier
rounds, too: without them it would be another training sample than the English one.
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
    """A pair with its accepted translations and who wrote them, by language."""

    id: str
    source: Translatable
    image_ids: tuple[str, ...]
    related: tuple[str, ...]
    context: tuple[str, ...]
    texts: dict[str, Translatable]
    models: dict[str, str]


def read_translated_pairs(store: Store) -> Iterator[TranslatedPair]:
    """All pairs, in the order of the input, whether or not they are translated."""
    pieces: list[tuple[Chunk, QueryPartTexts]] = []
    for taken in queries_with_part_texts(store, TRANSLATE_STAGE, State.OK):
        piece = parse_chunk(taken.id, taken.text, orjson.loads(taken.meta))
        pieces.append((piece, taken))
        if piece.number == piece.total:
            yield _whole(pieces)
            pieces = []


class ExportedPairs:
    """Which pairs go out, by language; use it as a context manager. `partial` keeps rounds without earlier ones."""

    def __init__(self, store: Store, codes: Sequence[str], partial: bool) -> None:
        self.written = dict.fromkeys(codes, 0)
        self.missing_context = dict.fromkeys(codes, 0)  #: rounds without all of their earlier ones, kept or not
        self._names = IdSet()
        for pair in read_translated_pairs(store):
            for code in pair.texts.keys() & self.written.keys():
                gaps = any(not self.has(code, name) for name in pair.context)
                self.missing_context[code] += gaps
                if partial or not gaps:
                    self._names.add(_key(code, pair.id))
                    self.written[code] += 1

    def __enter__(self) -> ExportedPairs:
        return self

    def __exit__(self, *reason: object) -> None:
        self._names.__exit__(*reason)

    def has(self, code: str, name: str) -> bool:
        """Whether a pair goes out in a language."""
        return _key(code, name) in self._names

    def context(self, code: str, pair: TranslatedPair) -> list[str]:
        """The context of a pair, as far as it goes out."""
        return [name for name in pair.related if self.has(code, name)]


def _key(code: str, name: str) -> str:
    return f"{code} {name}"


def _whole(pieces: list[tuple[Chunk, QueryPartTexts]]) -> TranslatedPair:
    first, taken = pieces[0]
    codes = [code for code in taken.parts if code in LANGUAGES and all(code in each.parts for _, each in pieces)]
    if len(pieces) == 1:
        source, texts = first.source, {code: load_texts(taken.parts[code][0]) for code in codes}
    else:
        source = _joined([(piece, piece.source) for piece, _ in pieces], "")
        texts = {
            code: _joined([(piece, load_texts(each.parts[code][0])) for piece, each in pieces], code) for code in codes
        }
    models = {code: taken.parts[code][1] for code in codes}
    images = tuple(orjson.loads(taken.image_ids))
    return TranslatedPair(first.pair_id, source, images, first.related, first.context, texts, models)


def _joined(pieces: list[tuple[Chunk, Translatable]], code: str) -> Translatable:
    """The pieces of each field as one text; "" is English."""
    fields = []
    for field in ("instruction", "answer"):
        parts = [(piece.separator, getattr(text, field)) for piece, text in pieces if getattr(piece.source, field)]
        fields.append(join_chunks(parts, LANGUAGES[code]) if code else "".join(gap + text for gap, text in parts))
    return Translatable(*fields)
