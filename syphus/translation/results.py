"""Reads the translated pairs, and decides which of them are exported in each language.

A pair is exported in a language when all of it was translated and accepted. A round of a conversation also needs its
earlier rounds: without them it would be a different training sample from the English one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from syphus.answers.translation import LANGUAGES, Translatable
from syphus.errors import RunError
from syphus.formats.mimicit.ids import IdSet
from syphus.formats.translation_report import TRANSLATE_STAGE, known_languages
from syphus.io.durable import temporary_database
from syphus.ledger.parts import QueryPartTexts, queries_with_part_texts
from syphus.ledger.results import QueryResult, accepted
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.text import short_path
from syphus.translation.chunks import Chunk, dump_texts, join_chunks, load_texts, parse_chunk
from syphus.translation.options import ALL, parse_languages
from syphus.types import State

_CACHE = 16_000  # KiB


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


class ExportTranslations:
    """The translations of a run for `export`, in a temporary file: `Translations` of `syphus.formats.source`.

    What is exported is what `translate` writes into its files, but for translations of English pairs that have changed
    since. Raises `RunError` if a language has none.
    """

    def __init__(self, store: Store, codes: Sequence[str]) -> None:
        self.codes = codes
        self._db = temporary_database(_CACHE)
        self._db.execute(
            "CREATE TABLE text (code TEXT, id TEXT, instruction TEXT, answer TEXT, source TEXT, context TEXT, "
            "model TEXT, PRIMARY KEY (code, id)) WITHOUT ROWID"
        )
        for pair in read_translated_pairs(store):
            source, context = dump_texts(pair.source), orjson.dumps(pair.context).decode()
            for code in (code for code in codes if code in pair.texts):
                text = pair.texts[code]
                row = (code, pair.id, text.instruction, text.answer, source, context, pair.models[code])
                self._db.execute("INSERT INTO text VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._missing = self._leave_out(store)

    def has(self, code: str, pair_id: str) -> bool:
        """Return whether a pair is exported in a language."""
        return self._find(code, pair_id) is not None

    def translate(self, code: str, result: QueryResult) -> QueryResult | None:
        """Return the pairs of a query in a language, without those that it lacks; None if it lacks all."""
        found = [self._find(code, pair.id) for pair in result.pairs]
        number_of = {old: new for new, old in enumerate((n for n, text in enumerate(found, 1) if text), 1)}
        if not number_of:
            return None
        pairs, models = [], []
        for pair, text in zip(result.pairs, found, strict=True):
            if text:
                related = [number_of[number] for number in pair.related if number in number_of]
                pairs.append(pair._replace(instruction=text.instruction, answer=text.answer, related=related))
                models.append(text.model)
        nearest = result.nearest
        if nearest is not None:
            kept = (ids for ids, text in zip(nearest, found, strict=True) if text)
            nearest = [[pair_id for pair_id in ids if self.has(code, pair_id)] for ids in kept]
        return result._replace(pairs=pairs, nearest=nearest, translators=models)

    def missing(self) -> dict[str, int]:
        """Return the number of English pairs that each language lacks, of those that lack some."""
        return {code: count for code, count in self._missing.items() if count}

    def models(self, code: str) -> list[str]:
        """Return the models that translated into a language, as the server names them."""
        sql = "SELECT DISTINCT model FROM text WHERE code = ? ORDER BY model"
        return [model for (model,) in self._db.execute(sql, (code,))]

    def close(self) -> None:
        """Delete the temporary file."""
        self._db.close()

    def _leave_out(self, store: Store) -> dict[str, int]:
        """Delete translations of other English texts than today's, and rounds whose earlier rounds are missing."""
        missing = dict.fromkeys(self.codes, 0)
        for result in accepted(store, GenerateStage.name):
            for pair in result.pairs:
                source = dump_texts(Translatable(pair.instruction, pair.answer))
                for code in self.codes:
                    text = self._find(code, pair.id)
                    if text and text.source == source and all(self.has(code, each) for each in text.context):
                        continue
                    missing[code] += 1
                    self._db.execute("DELETE FROM text WHERE code = ? AND id = ?", (code, pair.id))
        return missing

    def _find(self, code: str, pair_id: str) -> _Text | None:
        sql = "SELECT instruction, answer, source, context, model FROM text WHERE code = ? AND id = ?"
        row = self._db.execute(sql, (code, pair_id)).fetchone()
        return _Text(row[0], row[1], row[2], orjson.loads(row[3]), row[4]) if row else None


class _Text(NamedTuple):
    instruction: str
    answer: str
    source: str  # the English texts, as the ledger keeps them
    context: list[str]  # the ids of the earlier rounds
    model: str


def open_translations(store: Store, languages: str) -> ExportTranslations:
    """Open the translations of a run that `--languages` names, `all` for all that it has.

    English comes with them, so that "en" adds nothing. Raises `ConfigError` for an unknown language, `RunError` for one
    that the run is not translated into.
    """
    known = [each.code for each in LANGUAGES.values() if each.code in known_languages(store)]
    named = [name for name in languages.split(",") if name.strip().lower() not in ("en", "english", "")]
    every = any(name.strip().lower() == ALL for name in named)
    codes = known if every else parse_languages(",".join(named), ()) if named else []
    lacking = [code for code in codes if code not in known]
    if lacking or (every and not codes):
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise RunError(
            f"The run has no translations into {', '.join(lacking) or 'any language'}: {has}. "
            f"Translate it first: syphus translate {short_path(store.folder)} --languages {','.join(lacking) or ALL}"
        )
    return ExportTranslations(store, codes)


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
