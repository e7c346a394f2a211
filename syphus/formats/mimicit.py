"""MIMIC-IT: `XX_instructions.json` and `XX_train.json`, as the original's loaders open them.

    {"meta": {"version": "0.0.1", "time": "2026-11", "author": ...},
     "data": {"SD_INS_00076_3f9a12_1": {"instruction": ..., "answer": ..., "image_ids": [...], "rel_ins_ids": [...]}}}

Source: the format page of Otter (`mimicit_format.md`) and its loader `pipeline/mimicit_utils/mimicit_dataset.py`; for
the train file see `train.py`. Written row by row: memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


def write_mimicit(folder: Path, source: Source) -> tuple[str, ...]:
    """Writes both files; returns their names.

    Raises `RunError` where two pairs have the same id, `StorageError` where the disk fails.
    """
    names = (f"{source.name}_instructions.json", f"{source.name}_train.json")
    write_instructions(folder / names[0], source.results(), source.meta)
    write_train(folder / names[1], source.train())
    return names


def header(report: Report) -> dict[str, object]:
    """The free part of the file, `meta`: where the dataset comes from, and whether a model really made it."""
    newest = report.settings[-1] if report.settings else {}
    started = report.sessions[0].started if report.sessions else 0.0
    return {
        "version": VERSION,
        "time": f"{datetime.fromtimestamp(started, UTC):%Y-%m}",
        "author": "Syphus",
        "dataset": newest.get("dataset", ""),
        "models": report.models,
        "prompt": newest.get("prompt", ""),
        "simulated": report.simulated,
    }


def write_instructions(path: Path, results: Iterable[Result], meta: Mapping[str, object]) -> int:
    """Writes `XX_instructions.json`, UTF-8, one entry a line; returns the number of pairs.

    Raises `RunError` where two pairs have the same id, `StorageError` where the disk fails.
    """
    count = 0
    with replacing(path) as file:
        file.write(b'{"meta":' + orjson.dumps(meta) + b',"data":{')
        for name, entry in _entries(distinct(results)):
            _write_item(file, name, entry, first=not count)
            count += 1
        file.write(b"\n}}\n")
    return count


def write_train(path: Path, entries: Iterable[tuple[str, list[str]]]) -> int:
    """Writes `XX_train.json`: the pairs that are trained on, each with its context; returns how many there are."""
    count = 0
    with replacing(path) as file:
        file.write(b"{")
        for name, context in entries:
            _write_item(file, name, context, first=not count)
            count += 1
        file.write(b"\n}\n")
    return count


def _entries(results: Iterable[Result]) -> Iterator[tuple[str, dict[str, object]]]:
    for result in results:
        for pair, context in zip(result.pairs, result.contexts(), strict=True):
            yield (
                pair.id,
                {
                    "instruction": pair.instruction,
                    "answer": pair.answer,
                    "image_ids": result.image_ids,
                    "rel_ins_ids": context,
                },
            )


def _write_item(file: IO[bytes], name: str, value: object, first: bool) -> None:
    file.write(b"\n" if first else b",\n")
    file.write(orjson.dumps(name) + b":" + orjson.dumps(value))
