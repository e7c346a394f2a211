"""Writes MIMIC-IT files: `XX_instructions.json` and `XX_train.json`, as Otter's loaders open them.

    {"meta": {"version": "0.0.1", "time": "2026-11", "author": ...},
     "data": {"SD_INS_00076_3f9a12_1": {"instruction": ..., "answer": ..., "image_ids": [...], "rel_ins_ids": [...]}}}

Source: the format page of Otter (`mimicit_format.md`) and its loader `pipeline/mimicit_utils/mimicit_dataset.py`; for
the train file see `train.py`. Writes row by row, so memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson

from syphus.formats.export_images import ExportImages
from syphus.formats.mimicit.ids import IdSet, check_unique
from syphus.formats.report import Report
from syphus.formats.source import ExportSource
from syphus.formats.train import TrainFile
from syphus.images.part_writer import PartWriter
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.results import QueryResult

FORMAT_VERSION = "0.0.1"  #: of the format
_BUFFER = 1_000  # items per write


def write_mimicit(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write both files, and the image store `XX.parquet` if there are images; return their names.

    A split is a folder of its own, so that its files have the names that loaders and `verify` know. A translation has
    the image store of the English pairs. Raises `RunError` if two pairs have the same id, `StorageError` if the disk
    fails.
    """
    target = folder / source.split
    with storage_faults(target):
        target.mkdir(exist_ok=True)
    results, store = source.results(), None
    if source.images and not source.language:
        store = PartWriter(target, "mimicit", _NO_LIMIT, "")
        results = _stored(results, source.images, store)
    try:
        train = source.train()
        names: list[str] = list(write_dataset(target, source.name, results, source.meta, train, source.language))
        if store and (part := store.finish()[0]):
            names.append(f"{source.name}.parquet")
            with storage_faults(target):
                (target / part).replace(target / names[-1])
    finally:
        if store:
            store.close()
    return tuple(str(Path(source.split, name)) for name in names)


_NO_LIMIT = 1 << 62  # bytes of a store: the loader opens one file


def _stored(results: Iterable[QueryResult], images: ExportImages, store: PartWriter) -> Iterator[QueryResult]:
    """Yield the results unchanged, and add each of their images to a store, once."""
    with IdSet() as seen:
        for result in results:
            for image_id in result.image_ids:
                if seen.add(image_id):
                    store.add(image_id, images.read(image_id))
            yield result


def file_names(short_name: str, language: str = "") -> tuple[str, str]:
    """Return the names of the instruction file and the train file, or those of a translation, as `translate` has it."""
    end = f"_{language}.json" if language else ".json"
    return f"{short_name}_instructions{end}", f"{short_name}_train{end}"


def dataset_meta(report: Report, translated_from: str = "") -> dict[str, object]:
    """Return the free part of the file, `meta`: the origin of the dataset, and whether it is simulated.

    `translated_from` is the name of the file with the pairs in English, if these are translations.
    """
    newest = report.settings[-1] if report.settings else {}
    started = report.sessions[0].started if report.sessions else 0.0
    origin = {"translated_from": translated_from} if translated_from else {"dataset": newest.get("dataset", "")}
    return {
        "version": FORMAT_VERSION,
        "time": f"{datetime.fromtimestamp(started, UTC):%Y-%m}",
        "author": "Syphus",
        **origin,
        "models": report.models,
        **({} if translated_from else {"prompt": newest.get("prompt", "")}),
        "simulated": report.simulated,
    }


def write_dataset(
    folder: Path,
    short_name: str,
    results: Iterable[QueryResult],
    meta: Mapping[str, object],
    train: TrainFile | None,
    language: str = "",
) -> tuple[str, str]:
    """Write `XX_instructions.json` and `XX_train.json` in one pass, in UTF-8, one entry per line; return their names.

    Without `train`, writes no train file. Raises `RunError` if two pairs have the same id, `StorageError` if the disk
    fails.
    """
    names = file_names(short_name, language)
    with ExitStack() as stack:
        head = b'{"meta":' + orjson.dumps(meta) + b',"data":{'
        entries = _ObjectWriter(stack.enter_context(replace_file(folder / names[0])), head, b"\n}}\n")
        keys = _ObjectWriter(stack.enter_context(replace_file(folder / names[1])), b"{", b"\n}\n") if train else None
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


def _add_entries(entries: _ObjectWriter, result: QueryResult, contexts: Sequence[Sequence[str]]) -> None:
    image_ids, edited = result.image_ids, result.edited or ()
    for number, ((name, instruction, answer, _), context) in enumerate(zip(result.pairs, contexts, strict=True)):
        entry: dict[str, object] = {
            "instruction": instruction,
            "answer": answer,
            "image_ids": image_ids,
            "rel_ins_ids": context,
        }
        if edited and edited[number]:
            entry["edited"] = True  # the loader reads the others by name
        entries.add({name: entry})


class _ObjectWriter:
    """Writes a large JSON object to a file, one item per line, in large writes."""

    def __init__(self, file: IO[bytes], head: bytes, tail: bytes) -> None:
        self._file = file
        self._tail = tail
        self._separator = b"\n"  # before the next item
        self._buffer: list[bytes] = []
        file.write(head)

    def add(self, item: Mapping[str, object]) -> None:
        """Add an item, given as an object with one member."""
        self._buffer.append(orjson.dumps(item)[1:-1])
        if len(self._buffer) == _BUFFER:
            self._write()

    def add_all(self, items: Iterable[tuple[str, object]]) -> None:
        """Add items by name and value."""
        for name, value in items:
            self.add({name: value})

    def close(self) -> None:
        """Write the buffered items, and the end of the object."""
        if self._buffer:
            self._write()
        self._file.write(self._tail)

    def _write(self) -> None:
        self._file.write(self._separator + b",\n".join(self._buffer))
        self._separator = b",\n"
        self._buffer.clear()


def write_entry(file: IO[bytes], name: str, value: object, first: bool) -> None:
    """Write one member of a JSON object on its own line, in UTF-8."""
    file.write(b"\n" if first else b",\n")
    file.write(orjson.dumps(name) + b":" + orjson.dumps(value))
