"""The files of a run besides its ledger. Each can be deleted and is written again from it, byte for byte the same.

pairs.jsonl             one line a pair; grows while the run works
XX_instructions.json    the MIMIC-IT dataset
XX_train.json           which of its pairs are trained on, and with which context
invalid.json            what was rejected to the last, and why; only where something was
report.json             what the run did and what it cost
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from syphus.formats.context import pairs_with_context, read_train_file
from syphus.formats.mimicit.writer import dataset_meta, file_names, write_dataset
from syphus.formats.report import Report, write_report
from syphus.formats.run_files import INVALID_FILE, PAIRS_FILE, PairsFile, pair_lines, write_invalid_file
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.records import highest_seq
from syphus.ledger.results import QueryResult, accepted, accepted_since, rejected
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.text import short_path
from syphus.types import State, is_simulated

_PAIRS = "pairs_file"  # meta: "<newest outcome in it> <its size>"; seq -1 says that it must be written anew
_EXPORTED = "exported"  # meta: the newest outcome in the exports, and the size of each


def write_exports(
    store: Store, stage: str, short_name: str, report: Report, with_train: bool = True
) -> tuple[str, ...]:
    """Writes the exports, and a finished run's pairs.jsonl in input order, where they are not up to date.

    Without `with_train` there is no train file afterwards: the one that the user has brought does not fit.
    Returns their paths, as short as they are clear.
    """
    if not report.counts.pairs and report.counts.states[State.PENDING]:
        return ()  # stopped before there was anything to export
    seq = highest_seq(store)
    folder = store.folder
    names = file_names(short_name)
    writers: dict[tuple[str, ...], Callable[[], object]] = {
        names if with_train else names[:1]: lambda: write_dataset(
            folder,
            short_name,
            pairs_with_context(store, stage),
            dataset_meta(report),
            read_train_file(store, stage) if with_train else None,
        )
    }
    if not with_train:
        (folder / names[1]).unlink(missing_ok=True)
    if not report.counts.states[State.PENDING]:
        writers[PAIRS_FILE,] = lambda: _rewrite_pairs(store, stage, seq)
    if report.counts.states[State.INVALID]:
        writers[INVALID_FILE,] = lambda: write_invalid_file(folder / INVALID_FILE, rejected(store, stage))
    else:
        (folder / INVALID_FILE).unlink(missing_ok=True)
    known = orjson.loads(str(get_meta(store, _EXPORTED) or "{}"))
    for files, write in writers.items():
        if known.get("seq") != seq or any(known["sizes"].get(name) != _file_size(folder / name) for name in files):
            write()
    sizes = {name: _file_size(folder / name) for files in writers for name in files}
    write_report(folder / "report.json", report)
    if known != {"seq": seq, "sizes": sizes}:
        set_meta(store, _EXPORTED, orjson.dumps({"seq": seq, "sizes": sizes}).decode())
        store.commit()
    return tuple(short_path(folder / name) for name in dict.fromkeys((*sizes, PAIRS_FILE, "report.json")))


def open_pairs(store: Store, stage: str) -> PairsFile:
    """The growing pairs.jsonl: cut back to what the ledger vouches for, and brought up to its newest outcome."""
    path = store.folder / PAIRS_FILE
    seq, size = (int(part) for part in str(get_meta(store, _PAIRS) or "-1 0").split())
    with storage_faults(path):
        if seq < 0 or not path.exists() or path.stat().st_size < size:
            return _rewrite_pairs(store, stage, highest_seq(store))
        with path.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            for result in accepted_since(store, stage, seq):
                file.write(_lines(result))
            return PairsFile(path, highest_seq(store), file.tell())


def invalidate_pairs(store: Store) -> None:
    """Outcomes that are in pairs.jsonl have changed: it must be written anew. Without committing."""
    set_meta(store, _PAIRS, "-1 0")


def invalidate_exports(store: Store) -> None:
    """The ledger has changed in a way that its newest outcome does not show. Without committing."""
    set_meta(store, _EXPORTED, "{}")


def _file_size(path: Path) -> int:
    """Bytes; -1 where there is no file."""
    return path.stat().st_size if path.exists() else -1


def _rewrite_pairs(store: Store, stage: str, seq: int) -> PairsFile:
    """In the order of the input. The ledger does not vouch for the file while it changes."""
    path = store.folder / PAIRS_FILE
    invalidate_pairs(store)
    store.commit()
    with replace_file(path) as file:
        for result in accepted(store, stage):
            file.write(_lines(result))
        size = file.tell()
    set_meta(store, _PAIRS, f"{seq} {size}")
    store.commit()
    return PairsFile(path, seq, size)


def _lines(result: QueryResult) -> bytes:
    return pair_lines(result.query, result.image_ids, result.pairs, is_simulated(result.model)).encode()
