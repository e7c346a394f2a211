"""The translated files, from the ledger alone: the same ledger gives the same bytes.

XX_instructions_zh.json ...  the pairs in each language, with the ids, images and context of the English ones
XX_train_zh.json ...         the train file, where there is an English one
XX_multilingual.parquet      English and all languages in one table, where pyarrow is installed
XX_zh.yaml ...               the data yaml of each
translation.html             pairs beside their source
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import orjson

from syphus.errors import ConfigError
from syphus.formats.files import replacing
from syphus.formats.multilingual import ENGLISH, write_table
from syphus.formats.parquet import require_pyarrow
from syphus.formats.translated import data_yaml, write_entry
from syphus.ledger.store import Store
from syphus.reading.records import read_json_items
from syphus.runs.projections import short_path
from syphus.runs.translating.outcome import Chosen, TranslatedPair, translated_pairs
from syphus.runs.translating.place import MARK, Place
from syphus.types import SIMULATED

Meta = Mapping[str, object]


def write_files(store: Store, place: Place, codes: Sequence[str], chosen: Chosen, meta: Meta) -> tuple[str, ...]:
    """Writes the files in these languages; returns their paths, as short as they are clear.

    Raises `StorageError` where the disk fails.
    """
    codes = [code for code in codes if chosen.written[code]]
    paths = {code: place.files / f"{place.prefix}{MARK}_{code}.json" for code in codes}
    most_images = _write_languages(store, paths, chosen, meta)
    trains = {code: path for code in codes if (path := _write_train(place, code, chosen)) is not None}
    written = [*paths.values(), *trains.values()]
    if codes:
        with contextlib.suppress(ConfigError):  # without pyarrow there is no table
            require_pyarrow("")
            table = place.files / f"{place.prefix}_multilingual.parquet"
            write_table(table, _rows(store, codes, chosen))
            written.append(table)
    for code in codes:
        yaml = place.files / f"{place.prefix}_{code}.yaml"
        data_yaml(yaml, place.english, paths[code], trains.get(code), f"{place.prefix}_{code}", most_images)
        written.append(yaml)
    return tuple(short_path(path) for path in written)


def _write_languages(store: Store, paths: Mapping[str, Path], chosen: Chosen, meta: Meta) -> int:
    """One pass for all languages; returns the largest number of images that a pair has."""
    most_images = 0
    with contextlib.ExitStack() as opened:
        files = {code: opened.enter_context(replacing(path)) for code, path in paths.items()}
        for code, file in files.items():
            file.write(b'{"meta":' + orjson.dumps({**meta, "language": code}) + b',"data":{')
        begun: set[str] = set()
        for pair in translated_pairs(store):
            most_images = max(most_images, len(pair.image_ids))
            for code in _going_out(pair, files, chosen):
                write_entry(files[code], pair.id, _entry(code, pair, chosen), first=code not in begun)
                begun.add(code)
        for file in files.values():
            file.write(b"\n}}\n")
    return most_images


def _going_out(pair: TranslatedPair, files: Mapping[str, IO[bytes]], chosen: Chosen) -> Iterator[str]:
    return (code for code in files if code in pair.texts and chosen.has(code, pair.id))


def _entry(code: str, pair: TranslatedPair, chosen: Chosen) -> dict[str, object]:
    text = pair.texts[code]
    return {
        "instruction": text.instruction,
        "answer": text.answer,
        "image_ids": pair.image_ids,
        "rel_ins_ids": chosen.related(code, pair),
    }


def _write_train(place: Place, code: str, chosen: Chosen) -> Path | None:
    """The English train file with the pairs that go out."""
    english = place.english.with_name(f"{place.prefix}_train.json")
    if not english.is_file():
        return None
    path = place.files / f"{place.prefix}_train_{code}.json"
    first = True
    with replacing(path) as file:
        file.write(b"{")
        for name, context in read_json_items(english):
            if chosen.has(code, name) and isinstance(context, list):
                write_entry(file, name, [each for each in context if chosen.has(code, str(each))], first)
                first = False
        file.write(b"\n}\n")
    return path


def _rows(store: Store, codes: Sequence[str], chosen: Chosen) -> Iterator[tuple[object, ...]]:
    for pair in translated_pairs(store):
        source, images = pair.source, list(pair.image_ids)
        yield (pair.id, ENGLISH, source.instruction, source.answer, images, list(pair.related), "", False)
        for code in codes:
            if code in pair.texts and chosen.has(code, pair.id):
                text, model = pair.texts[code], pair.models[code]
                related = chosen.related(code, pair)
                simulated = model.startswith(SIMULATED)
                yield (pair.id, code, text.instruction, text.answer, images, related, model, simulated)
