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
from typing import IO, NamedTuple

import orjson

from syphus.errors import ConfigError, InputError, RunError
from syphus.formats.mimicit.discovery import file_language, file_prefix
from syphus.formats.mimicit.writer import write_data_yaml, write_entry
from syphus.io.durable import replace_file
from syphus.io.parquet import require_pyarrow, write_rows
from syphus.io.records import read_json_items
from syphus.ledger.store import FILE, Store
from syphus.text import short_path
from syphus.translation.results import ExportedPairs, TranslatedPair, read_translated_pairs
from syphus.types import is_simulated

# FOLDED from multilingual.py:
# One Parquet table of a dataset in all its languages: a pair in a language a row.
#
# id, language, instruction, answer   string; the language as its code, "en" for the source
# image_ids, rel_ins_ids              list<string>
# model                               string; who translated it, as the server named it, "" for the source
# simulated                           bool; whether the simulated endpoint made the translation up

ENGLISH = "en"
COLUMNS = ("id", "language", "instruction", "answer", "image_ids", "rel_ins_ids", "model", "simulated")

_GROUP = 4_000  # rows that are held at once: there are eight for each pair, with all its images


def write_table(path: Path, rows: Iterator[tuple[object, ...]]) -> None:
    """Writes rows with `COLUMNS`.

    Raises `ConfigError` without pyarrow, `StorageError` where the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, text, texts, texts, text, pyarrow.bool_())
    write_rows(path, dict(zip(COLUMNS, types, strict=True)), rows, _GROUP)


# FOLDED from place.py:
# Where the pairs are, and where the translations and their ledger go.
#
# A run's folder      its pairs are those of its ledger, which keeps the translations too; the files go
# beside the English
# Any other file      XX_instructions.json: its ledger is in XX_instructions.translation/ beside it, and so
# are the files
# With --output-dir   the same, in that folder

INSTRUCTIONS = "_instructions"


class TranslationPaths(NamedTuple):
    """`ledger` is the folder of the ledger, `english` the file of the pairs, `files` where the translated ones go.

    Of a run, the pairs are in the ledger itself.
    """

    ledger: Path
    english: Path
    output: Path
    is_run: bool

    @property
    def prefix(self) -> str:
        """`SD` of `SD_instructions.json`, or all of a name that is put together otherwise."""
        return file_prefix(self.english) or self.english.stem


def find_paths(path: Path, output: Path | None = None) -> TranslationPaths:
    """What a folder or a file means. Raises `InputError` where there are no pairs, or no single file of them."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    english = _english(path) if path.is_dir() else path
    if file_language(english):
        raise InputError(f"{english} is a translation already: its name says {file_language(english)}")
    if (english.parent / FILE).is_file() and INSTRUCTIONS in english.name:
        if output is not None:
            raise InputError(f"{english.parent} is a run: its translations are kept in it, and go nowhere else")
        return run_paths(english.parent, english)
    files = output or english.parent
    return TranslationPaths(files / f"{english.stem}.translation", english, files, is_run=False)


def run_paths(folder: Path, english: Path) -> TranslationPaths:
    """That of a run."""
    return TranslationPaths(folder, english, folder, is_run=True)


def _english(folder: Path) -> Path:
    found = [file for file in sorted(folder.glob(f"*{INSTRUCTIONS}.json")) if not file_language(file)]
    if len(found) == 1:
        return found[0]
    if (folder / FILE).is_file() and not found:
        raise RunError(f"{folder} holds no pairs yet.")
    what = (
        f"holds several: {', '.join(file.name for file in found)}; name one"
        if found
        else f"holds no XX{INSTRUCTIONS}.json"
    )
    raise InputError(f"{folder} {what}")


Meta = Mapping[str, object]


def write_translations(
    store: Store, place: TranslationPaths, codes: Sequence[str], chosen: ExportedPairs, meta: Meta
) -> tuple[str, ...]:
    """Writes the files in these languages; returns their paths, as short as they are clear.

    Raises `StorageError` where the disk fails.
    """
    codes = [code for code in codes if chosen.written[code]]
    paths = {code: place.output / f"{place.prefix}{INSTRUCTIONS}_{code}.json" for code in codes}
    most_images = _write_languages(store, paths, chosen, meta)
    trains = {code: path for code in codes if (path := _write_train(place, code, chosen)) is not None}
    written = [*paths.values(), *trains.values()]
    if codes:
        with contextlib.suppress(ConfigError):  # without pyarrow there is no table
            require_pyarrow("")
            table = place.output / f"{place.prefix}_multilingual.parquet"
            write_table(table, _rows(store, codes, chosen))
            written.append(table)
    for code in codes:
        yaml = place.output / f"{place.prefix}_{code}.yaml"
        write_data_yaml(yaml, place.english, paths[code], trains.get(code), f"{place.prefix}_{code}", most_images)
        written.append(yaml)
    return tuple(short_path(path) for path in written)


def _write_languages(store: Store, paths: Mapping[str, Path], chosen: ExportedPairs, meta: Meta) -> int:
    """One pass for all languages; returns the largest number of images that a pair has."""
    most_images = 0
    with contextlib.ExitStack() as opened:
        files = {code: opened.enter_context(replace_file(path)) for code, path in paths.items()}
        for code, file in files.items():
            file.write(b'{"meta":' + orjson.dumps({**meta, "language": code}) + b',"data":{')
        begun: set[str] = set()
        for pair in read_translated_pairs(store):
            most_images = max(most_images, len(pair.image_ids))
            for code in _going_out(pair, files, chosen):
                write_entry(files[code], pair.id, _entry(code, pair, chosen), first=code not in begun)
                begun.add(code)
        for file in files.values():
            file.write(b"\n}}\n")
    return most_images


def _going_out(pair: TranslatedPair, files: Mapping[str, IO[bytes]], chosen: ExportedPairs) -> Iterator[str]:
    return (code for code in files if code in pair.texts and chosen.has(code, pair.id))


def _entry(code: str, pair: TranslatedPair, chosen: ExportedPairs) -> dict[str, object]:
    text = pair.texts[code]
    return {
        "instruction": text.instruction,
        "answer": text.answer,
        "image_ids": pair.image_ids,
        "rel_ins_ids": chosen.context(code, pair),
    }


def _write_train(place: TranslationPaths, code: str, chosen: ExportedPairs) -> Path | None:
    """The English train file with the pairs that go out."""
    english = place.english.with_name(f"{place.prefix}_train.json")
    if not english.is_file():
        return None
    path = place.output / f"{place.prefix}_train_{code}.json"
    first = True
    with replace_file(path) as file:
        file.write(b"{")
        for name, context in read_json_items(english):
            if chosen.has(code, name) and isinstance(context, list):
                write_entry(file, name, [each for each in context if chosen.has(code, str(each))], first)
                first = False
        file.write(b"\n}\n")
    return path


def _rows(store: Store, codes: Sequence[str], chosen: ExportedPairs) -> Iterator[tuple[object, ...]]:
    for pair in read_translated_pairs(store):
        source, images = pair.source, list(pair.image_ids)
        yield (pair.id, ENGLISH, source.instruction, source.answer, images, list(pair.related), "", False)
        for code in codes:
            if code in pair.texts and chosen.has(code, pair.id):
                text, model = pair.texts[code], pair.models[code]
                related = chosen.context(code, pair)
                simulated = is_simulated(model)
                yield (pair.id, code, text.instruction, text.answer, images, related, model, simulated)
