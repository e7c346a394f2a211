"""MIMIC-IT: `XX_instructions.json` and `XX_train.json`, as the original's loaders open them.

    {"meta": {"version": "0.0.1", "time": "2026-11", "author": ...},
     "data": {"SD_INS_00076_3f9a12_1": {"instruction": ..., "answer": ..., "image_ids": [...], "rel_ins_ids": [...]}}}

Source: the format page of Otter (`mimicit_format.md`) and its loader `pipeline/mimicit_utils/mimicit_dataset.py`; for
the train file see `train.py`. Written row by row: memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson
import yaml

from syphus.formats.mimicit.ids import check_unique
from syphus.formats.report import Report
from syphus.formats.source import ExportSource
from syphus.formats.train import TrainFile
from syphus.io.durable import replace_file
from syphus.ledger.results import QueryResult

FORMAT_VERSION = "0.0.1"  #: of the format
_PIECE = 1_000  # items that are written at once


def write_mimicit(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Writes both files; returns their names.

    Raises `RunError` where two pairs have the same id, `StorageError` where the disk fails.
    """
    return write_dataset(folder, source.name, source.results(), source.meta, source.train())


def file_names(short_name: str) -> tuple[str, str]:
    """The names of the instructions and of the train file."""
    return f"{short_name}_instructions.json", f"{short_name}_train.json"


def group_for_images(most_images: int) -> str:
    """The group of the data yaml for pairs that have so many images at the most, counted where these can be loaded."""
    return {0: "TEXT_ONLY", 1: "IMAGE_TEXT"}.get(most_images, "VIDEO_TEXT")


def dataset_meta(report: Report) -> dict[str, object]:
    """The free part of the file, `meta`: where the dataset comes from, and whether a model really made it."""
    newest = report.settings[-1] if report.settings else {}
    started = report.sessions[0].started if report.sessions else 0.0
    return {
        "version": FORMAT_VERSION,
        "time": f"{datetime.fromtimestamp(started, UTC):%Y-%m}",
        "author": "Syphus",
        "dataset": newest.get("dataset", ""),
        "models": report.models,
        "prompt": newest.get("prompt", ""),
        "simulated": report.simulated,
    }


def write_dataset(
    folder: Path, short_name: str, results: Iterable[QueryResult], meta: Mapping[str, object], train: TrainFile | None
) -> tuple[str, str]:
    """Writes `XX_instructions.json` and `XX_train.json` in one pass, UTF-8, one entry a line; returns their names.

    Without a `train` there is no train file. Raises `RunError` where two pairs have the same id, `StorageError` where
    the disk fails.
    """
    names = file_names(short_name)
    with ExitStack() as files:
        head = b'{"meta":' + orjson.dumps(meta) + b',"data":{'
        entries = _Items(files.enter_context(replace_file(folder / names[0])), head, b"\n}}\n")
        keys = _Items(files.enter_context(replace_file(folder / names[1])), b"{", b"\n}\n") if train else None
        for result in check_unique(results):
            contexts = result.contexts()
            _add_entries(entries, result, contexts)
            if train and keys:
                keys.add_all(train.entries(result, contexts))
        entries.close()
        if train and keys:
            keys.add_all(train.remaining())
            keys.close()
    return names


def _add_entries(entries: _Items, result: QueryResult, contexts: Sequence[Sequence[str]]) -> None:
    image_ids = result.image_ids
    for (name, instruction, answer, _), context in zip(result.pairs, contexts, strict=True):
        entry = {"instruction": instruction, "answer": answer, "image_ids": image_ids, "rel_ins_ids": context}
        entries.add({name: entry})


class _Items:
    """The items of one large JSON object, a line each, on their way to a file in pieces that are worth a write."""

    def __init__(self, file: IO[bytes], head: bytes, tail: bytes) -> None:
        self._file = file
        self._tail = tail
        self._before = b"\n"  # the next piece
        self._waiting: list[bytes] = []
        file.write(head)

    def add(self, item: Mapping[str, object]) -> None:
        """Adds an item, which comes as an object of its own."""
        self._waiting.append(orjson.dumps(item)[1:-1])
        if len(self._waiting) == _PIECE:
            self._write()

    def add_all(self, items: Iterable[tuple[str, object]]) -> None:
        """Adds items by name and value."""
        for name, value in items:
            self.add({name: value})

    def close(self) -> None:
        """Writes what is left, and the end."""
        if self._waiting:
            self._write()
        self._file.write(self._tail)

    def _write(self) -> None:
        self._file.write(self._before + b",\n".join(self._waiting))
        self._before = b",\n"
        self._waiting.clear()


# FOLDED from translated.py:
# A translated MIMIC-IT file, entry by entry, and the data yaml for it.

_ALONE = """\
# There was no image store {store}, so this is TEXT_ONLY. With one, add `images_path`, and make it IMAGE_TEXT
# (one image a pair) or VIDEO_TEXT (several).
"""


def write_entry(file: IO[bytes], name: str, value: object, first: bool) -> None:
    """One entry of a JSON object, on a line of its own, in UTF-8."""
    file.write(b"\n" if first else b",\n")
    file.write(orjson.dumps(name) + b":" + orjson.dumps(value))


def write_data_yaml(
    path: Path, english: Path, translated: Path, train: Path | None, name: str, most_images: int
) -> None:
    """Writes the data yaml of a dataset in one language, with its train file.

    It is one for each language, as the pairs have the same ids in all of them, and Otter's loader keeps one of each id.
    Paths are absolute, as it takes them from the folder that it is started in. The images are those of `XX.parquet`
    beside the English file. Raises `StorageError` where the disk fails.
    """
    images = english.with_name(f"{english.name.partition('_instructions')[0]}.parquet")
    entry = {"mimicit_path": str(translated.absolute())}
    group = group_for_images(most_images if images.exists() else 0)
    if images.exists() and most_images:
        entry["images_path"] = str(images.absolute())
    if train is not None:
        entry["train_config_path"] = str(train.absolute())
    told = _ALONE.format(store=images.name) if group == "TEXT_ONLY" and most_images else ""
    with replace_file(path) as file:
        text = yaml.safe_dump({group: {name: entry}}, sort_keys=False, allow_unicode=True, width=1_000)
        file.write(f"{told}{text}".encode())
