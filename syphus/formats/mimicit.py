"""MIMIC-IT: `XX_instructions.json` and `XX_train.json`, as the original's loaders open them.

    {"meta": {"version": "0.0.1", "time": "2026-11", "author": ...},
     "data": {"SD_INS_00076_3f9a12_1": {"instruction": ..., "answer": ..., "image_ids": [...], "rel_ins_ids": [...]}}}

Source: the format page of Otter (`mimicit_format.md`), its loader `pipeline/mimicit_utils/mimicit_dataset.py`, and
`pipeline/utils/make_a_train.py` for the rule of the train file. Written row by row: memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson

from syphus.formats.files import replacing
from syphus.formats.ids import distinct
from syphus.formats.report import Report
from syphus.formats.source import Source
from syphus.ledger.results import Result

VERSION = "0.0.1"  #: of the format
_PIECE = 1_000  # items that are written at once


def write_mimicit(folder: Path, source: Source) -> tuple[str, ...]:
    """Writes both files; returns their names.

    Raises `RunError` where two pairs have the same id, `StorageError` where the disk fails.
    """
    return write_files(folder, source.name, source.results(), source.meta)


def file_names(short_name: str) -> tuple[str, str]:
    """The names of the instructions and of the train file."""
    return f"{short_name}_instructions.json", f"{short_name}_train.json"


def header(report: Report) -> dict[str, object]:
    """The free part of the file, `meta`: where the dataset comes from, and whether a model really made it."""
    newest = report.settings[-1] if report.settings else {}
    started = report.sessions[0].started if report.sessions else 0.0
    return {
        "version": VERSION,
        "time": f"{datetime.fromtimestamp(started, UTC):%Y-%m}",
        "author": "Syphus",
        "dataset": newest.get("dataset", ""),
        "models": [use.model for use in report.spending.models],
        "prompt": newest.get("prompt", ""),
        "simulated": report.simulated,
    }


def write_files(
    folder: Path, short_name: str, results: Iterable[Result], meta: Mapping[str, object]
) -> tuple[str, str]:
    """Writes `XX_instructions.json` and `XX_train.json` in one pass, UTF-8, one entry a line; returns their names.

    The train file goes by the original's rule: a pair that has been another's context is no key of its own, so of
    mutually related pairs the first stays one. Raises `RunError` where two pairs have the same id, `StorageError` where
    the disk fails.
    """
    instructions, train = file_names(short_name)
    with replacing(folder / instructions) as file, replacing(folder / train) as train_file:
        entries = _Items(file, b'{"meta":' + orjson.dumps(meta) + b',"data":{', b"\n}}\n")
        keys = _Items(train_file, b"{", b"\n}\n")
        for _, image_ids, pairs, _ in distinct(results):
            names = ["", *[pair.id for pair in pairs]]  # they are counted from 1
            seen: set[str] = set()
            for name, instruction, answer, related in pairs:
                context = [names[number] for number in related]
                entry = {"instruction": instruction, "answer": answer, "image_ids": image_ids, "rel_ins_ids": context}
                entries.add({name: entry})
                if name not in seen:
                    seen.update(context)
                    keys.add({name: context})
        entries.close()
        keys.close()
    return instructions, train


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

    def close(self) -> None:
        """Writes what is left, and the end."""
        if self._waiting:
            self._write()
        self._file.write(self._tail)

    def _write(self) -> None:
        self._file.write(self._before + b",\n".join(self._waiting))
        self._before = b",\n"
        self._waiting.clear()
