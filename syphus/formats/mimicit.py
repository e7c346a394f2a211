"""MIMIC-IT: `XX_instructions.json` and `XX_train.json`, as the original's loaders open them.

    {"meta": {"version": "0.0.1", "time": "2026-11", "author": ...},
     "data": {"SD_INS_00076_3f9a12_1": {"instruction": ..., "answer": ..., "image_ids": [...], "rel_ins_ids": [...]}}}

Source: the format page of Otter (`mimicit_format.md`), its loader `pipeline/mimicit_utils/mimicit_dataset.py`, and
`pipeline/utils/make_a_train.py` for the rule of the train file. Written row by row: memory does not grow with the run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import orjson

from syphus.errors import RunError
from syphus.formats.files import replacing
from syphus.ledger.results import Result

VERSION = "0.0.1"  #: of the format


def write_instructions(path: Path, results: Iterable[Result], meta: Mapping[str, object]) -> int:
    """Writes `XX_instructions.json`, UTF-8, one entry a line; returns the number of pairs.

    Raises `RunError` where two pairs have the same id, `StorageError` where the disk fails.
    """
    count = 0
    with replacing(path) as file, _Ids() as ids:
        file.write(b'{"meta":' + orjson.dumps(meta) + b',"data":{')
        for query, name, entry in _entries(results):
            ids.add(name, query)
            _write_item(file, name, entry, first=not count)
            count += 1
        file.write(b"\n}}\n")
    return count


def write_train(path: Path, results: Iterable[Result]) -> int:
    """Writes `XX_train.json` by the original's rule; returns the number of keys.

    A pair that has been another's context is no key of its own, so of mutually related pairs the first stays one.
    """
    count = 0
    with replacing(path) as file:
        file.write(b"{")
        for result in results:
            for name, related in train_keys(result):
                _write_item(file, name, related, first=not count)
                count += 1
        file.write(b"\n}\n")
    return count


def train_keys(result: Result) -> Iterator[tuple[str, list[str]]]:
    """The pairs of one query that are trained on, each with its context."""
    seen: set[str] = set()
    for pair in result.pairs:
        if pair.id not in seen:
            related = [result.pairs[number - 1].id for number in pair.related]
            seen.update(related)
            yield pair.id, related


def _entries(results: Iterable[Result]) -> Iterator[tuple[str, str, dict[str, object]]]:
    for result in results:
        for pair in result.pairs:
            yield (
                result.query,
                pair.id,
                {
                    "instruction": pair.instruction,
                    "answer": pair.answer,
                    "image_ids": result.image_ids,
                    "rel_ins_ids": [result.pairs[number - 1].id for number in pair.related],
                },
            )


def _write_item(file: IO[bytes], name: str, value: object, first: bool) -> None:
    file.write(b"\n" if first else b",\n")
    file.write(orjson.dumps(name) + b":" + orjson.dumps(value))


class _Ids:
    """Makes sure that no id comes twice, in a temporary file rather than in memory."""

    def __enter__(self) -> _Ids:
        self._db = sqlite3.connect("")  # SQLite's own temporary file, gone when closed
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE id (name TEXT PRIMARY KEY, query TEXT) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, name: str, query: str) -> None:
        """Notes the id of a pair of `query`; raises `RunError` where it was there before."""
        try:
            self._db.execute("INSERT INTO id VALUES (?, ?)", (name, query))
        except sqlite3.IntegrityError:
            (other,) = self._db.execute("SELECT query FROM id WHERE name = ?", (name,)).fetchone()
            raise RunError(
                f"Pairs of the queries {other!r} and {query!r} have the same id {name!r}. Nothing is lost: have the "
                "plugin's instruction_id tell them apart, and run the same command; it costs nothing."
            ) from None
