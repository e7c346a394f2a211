"""Write the files of a run besides its ledger. A deleted file is written again from the ledger, with the same bytes.

pairs.jsonl             one line per pair; grows during the run
XX_instructions.json    the MIMIC-IT dataset
XX_train.json           which of its pairs to train on, and with which context
invalid.json            the answers that stayed invalid, and why; only if there are some
report.json             what the run did, and what it cost
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from syphus.formats.mimicit.writer import dataset_meta, file_names, write_dataset
from syphus.formats.related_pairs import pairs_with_context, read_train_file
from syphus.formats.report import Report, write_report
from syphus.formats.run_files import INVALID_FILE, PAIRS_FILE, PairsFile, pair_lines, write_invalid_file
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.records import highest_seq
from syphus.ledger.results import QueryResult, accepted, accepted_since, rejected
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.model_names import is_simulated
from syphus.text import short_path
from syphus.types import State

_PAIRS = "pairs_file"  # meta: "<newest outcome in it> <its size>"; seq -1 if it must be rewritten
_EXPORTED = "exported"  # meta: the newest outcome in the exports, and the size of each file


def write_exports(
    store: Store, stage: str, short_name: str, report: Report, with_train: bool = True
) -> tuple[str, ...]:
    """Write the exports that are out of date, and a finished run's pairs.jsonl in input order; return all paths.

    Without `with_train`, remove the train file, because the user's own does not fit the pairs.
    """
    if not report.counts.pairs and report.counts.states[State.PENDING]:
        return ()  # stopped before the first pair
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
    """Open the growing pairs.jsonl: cut it back to what the ledger confirms, and add all newer outcomes."""
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
    """Note that outcomes in pairs.jsonl have changed, so that it is rewritten. Does not commit."""
    set_meta(store, _PAIRS, "-1 0")


def invalidate_exports(store: Store) -> None:
    """Note a change that the newest outcome does not show, so that the exports are rewritten. Does not commit."""
    set_meta(store, _EXPORTED, "{}")


def _file_size(path: Path) -> int:
    """Return the bytes of a file; -1 if it is missing."""
    return path.stat().st_size if path.exists() else -1


def _rewrite_pairs(store: Store, stage: str, seq: int) -> PairsFile:
    """Write pairs.jsonl in the order of the input. Meanwhile, the ledger does not confirm its content."""
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
