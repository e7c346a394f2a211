"""Finds the pairs to translate, and writes the translated files from the ledger.

A ledger always gives the same bytes:

XX_instructions_zh.json  the pairs in one language, with the ids, images and context of the English pairs
XX_train_zh.json         the train file, if there is an English one
XX_multilingual.parquet  English and all languages in one table, if pyarrow is installed
XX_zh.yaml               the data yaml of one language
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from syphus.errors import ConfigError, InputError, RunError
from syphus.formats.mimicit.data_yaml import write_groups
from syphus.formats.mimicit.discovery import file_language, file_prefix, find_stores, instruction_files
from syphus.formats.mimicit.entries import INSTRUCTIONS, ImageUse
from syphus.formats.mimicit.images import loader_problem
from syphus.formats.mimicit.writer import write_entry
from syphus.io.durable import replace_file
from syphus.io.parquet import require_pyarrow, write_rows
from syphus.io.records import read_json_items
from syphus.io.text_files import missing
from syphus.ledger.store import FILE, Store
from syphus.model_names import is_simulated
from syphus.text import short_path
from syphus.translation.results import ExportedPairs, TranslatedPair, read_translated_pairs

ENGLISH = "en"
COLUMNS = ("id", "language", "instruction", "answer", "image_ids", "rel_ins_ids", "model", "simulated")

_ROW_GROUP = 4_000  # table rows in memory at once; there are eight for each pair, each with all its image ids

# At the top of a data yaml without images. The loader refuses it, which is better than black images for all pairs.
_NO_STORE = """\
# The pairs name images, and there was no image store with them. Add `images_path` before you train.
"""
_CLOSED_STORE = """\
# Otter's loader can't open {store} ({problem}). Make a store that it opens, and add it as `images_path`:
# syphus convert --from {store} --output {name}.parquet
"""

Meta = Mapping[str, object]


class TranslationPaths(NamedTuple):
    """The paths of a translation job.

    `ledger` is the folder of the ledger, `english` the file with the pairs, `output` the folder of the translated
    files. The pairs of a run are read from its ledger, not from `english`.
    """

    ledger: Path
    english: Path
    output: Path
    is_run: bool

    @property
    def prefix(self) -> str:
        """`SD` for `SD_instructions.json`; the whole stem of a file with another kind of name."""
        return file_prefix(self.english) or self.english.stem


def find_paths(path: Path, output: Path | None = None) -> TranslationPaths:
    """Find the pairs to translate in a run's folder, a MIMIC-IT file, or a folder with one such file.

    A run keeps its translations in its own folder and ledger. Any other file `XX_instructions.json` gets a ledger in
    `XX_instructions.translation/` and its translations beside that, in `output` or else in the folder of the file.
    Raises `InputError` if there are no pairs, or several files; `RunError` for a run without pairs.
    """
    if not path.exists():
        raise InputError(missing(path))
    english = _find_english(path) if path.is_dir() else path
    if file_language(english):
        raise InputError(f"{english} is a translation already: its name ends in {file_language(english)}")
    if (english.parent / FILE).is_file() and INSTRUCTIONS in english.name:
        if output is not None:
            raise InputError(f"{english.parent} is a run: its translations always go into its own folder")
        return run_paths(english.parent, english)
    folder = output or english.parent
    return TranslationPaths(folder / f"{english.stem}.translation", english, folder, is_run=False)


def run_paths(folder: Path, english: Path) -> TranslationPaths:
    """Return the paths for the run in `folder`."""
    return TranslationPaths(folder, english, folder, is_run=True)


def _find_english(folder: Path) -> Path:
    is_run = (folder / FILE).is_file()
    if is_run and not any(folder.glob(f"*{INSTRUCTIONS}.json")):
        raise RunError(f"{folder} holds no pairs yet.")
    found = [file for file in instruction_files(folder) if not file_language(file)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{folder} holds several files: {', '.join(file.name for file in found)}; name one of them")
    raise InputError(f"{folder} holds no XX{INSTRUCTIONS}.json")


def write_translations(
    store: Store, paths: TranslationPaths, codes: Sequence[str], exported: ExportedPairs, meta: Meta
) -> tuple[str, ...]:
    """Write the files of these languages; return their paths, relative to the current folder where that is shorter.

    Raises `StorageError` if the disk fails.
    """
    codes = [code for code in codes if exported.written[code]]
    instructions = {code: paths.output / f"{paths.prefix}{INSTRUCTIONS}_{code}.json" for code in codes}
    use = _write_instructions(store, instructions, exported, meta)
    trains = {code: path for code in codes if (path := _write_train(paths, code, exported)) is not None}
    written = [*instructions.values(), *trains.values()]
    if codes:
        with contextlib.suppress(ConfigError):  # no table without pyarrow
            require_pyarrow("")
            table = paths.output / f"{paths.prefix}_multilingual.parquet"
            write_table(table, _table_rows(store, codes, exported))
            written.append(table)
    found = _find_stores(paths) if codes and use.first else ()
    for code in codes:
        written.append(_write_data_yaml(paths, code, instructions[code], trains.get(code), use, found))
    return tuple(short_path(path) for path in written)


def _find_stores(paths: TranslationPaths) -> tuple[Path, ...]:
    """Return the image stores of the English pairs; without pyarrow, the one that has their name."""
    try:
        return find_stores(paths.english)[0]
    except ConfigError:
        named = paths.english.with_name(f"{paths.prefix}.parquet")
        return (named,) if named.exists() else ()


def _write_instructions(store: Store, paths: Mapping[str, Path], exported: ExportedPairs, meta: Meta) -> ImageUse:
    """Write the pairs of all languages in one pass; return what they name as their images."""
    use = ImageUse()
    with contextlib.ExitStack() as stack:
        files = {code: stack.enter_context(replace_file(path)) for code, path in paths.items()}
        for code, file in files.items():
            file.write(b'{"meta":' + orjson.dumps({**meta, "language": code}) + b',"data":{')
        started: set[str] = set()
        for pair in read_translated_pairs(store):
            use.add(pair.image_ids)
            for code in _export_codes(pair, files, exported):
                write_entry(files[code], pair.id, _entry(code, pair, exported), first=code not in started)
                started.add(code)
        for file in files.values():
            file.write(b"\n}}\n")
    return use


def _export_codes(pair: TranslatedPair, codes: Iterable[str], exported: ExportedPairs) -> Iterator[str]:
    """Yield the languages in which a pair is exported."""
    return (code for code in codes if code in pair.texts and exported.has(code, pair.id))


def _entry(code: str, pair: TranslatedPair, exported: ExportedPairs) -> dict[str, object]:
    text = pair.texts[code]
    return {
        "instruction": text.instruction,
        "answer": text.answer,
        "image_ids": pair.image_ids,
        "rel_ins_ids": exported.context(code, pair),
    }


def _write_train(paths: TranslationPaths, code: str, exported: ExportedPairs) -> Path | None:
    """Write the English train file, reduced to the exported pairs; return None if there is no English one."""
    english = paths.english.with_name(f"{paths.prefix}_train.json")
    if not english.is_file():
        return None
    path = paths.output / f"{paths.prefix}_train_{code}.json"
    first = True
    with replace_file(path) as file:
        file.write(b"{")
        for pair_id, context in read_json_items(english):
            if exported.has(code, pair_id) and isinstance(context, list):
                translated = [other for other in context if exported.has(code, str(other))]
                write_entry(file, pair_id, translated, first)
                first = False
        file.write(b"\n}\n")
    return path


def _write_data_yaml(
    paths: TranslationPaths,
    code: str,
    instructions: Path,
    train: Path | None,
    use: ImageUse,
    stores: Sequence[Path],
) -> Path:
    """Write the data yaml of one language, with the image store of the English file; return its path.

    Each language needs its own: the pairs have the same ids in all languages, and Otter's loader keeps one pair of each
    id. Paths are absolute, because the loader may start in any folder.
    """
    settings, comment = {"mimicit_path": str(instructions.absolute())}, ""
    if use.first and not stores:
        comment = _NO_STORE
    elif use.first and (problem := loader_problem(stores[0])):
        comment = _CLOSED_STORE.format(store=stores[0], problem=problem, name=f"{paths.prefix}_images")
    elif use.first:
        settings["images_path"] = str(stores[0].absolute())
    if train is not None:
        settings["train_config_path"] = str(train.absolute())
    path = paths.output / f"{paths.prefix}_{code}.yaml"
    write_groups(path, {use.group: {f"{paths.prefix}_{code}": settings}}, comment)
    return path


def write_table(path: Path, rows: Iterator[tuple[object, ...]]) -> None:
    """Write a Parquet table of a dataset in all its languages, one row for a pair in a language.

    The columns are `COLUMNS`: `language` is the code, "en" for the source; `model` is the translator as the server
    names it, "" for the source; `simulated` says whether the simulated endpoint made the translation up; the image and
    context ids are lists. Raises `ConfigError` without pyarrow, `StorageError` if the disk fails.
    """
    pyarrow = require_pyarrow("Parquet")
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    types = (text, text, text, text, texts, texts, text, pyarrow.bool_())
    write_rows(path, dict(zip(COLUMNS, types, strict=True)), rows, _ROW_GROUP)


def _table_rows(store: Store, codes: Sequence[str], exported: ExportedPairs) -> Iterator[tuple[object, ...]]:
    for pair in read_translated_pairs(store):
        source, images = pair.source, list(pair.image_ids)
        yield (pair.id, ENGLISH, source.instruction, source.answer, images, list(pair.related), "", False)
        for code in _export_codes(pair, codes, exported):
            text, model = pair.texts[code], pair.models[code]
            context = exported.context(code, pair)
            yield (pair.id, code, text.instruction, text.answer, images, context, model, is_simulated(model))
