"""Write the files of a run besides its ledger. A deleted file is written again from the ledger, with the same bytes.

pairs.jsonl             one line per pair; grows during the run
XX_instructions.json    the MIMIC-IT dataset
XX_train.json           which of its pairs to train on, and with which context
invalid.json            the answers that stayed invalid, and why; only if there are some
report.json             what the run did, and what it cost
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO

import orjson

from syphus.errors import StorageError
from syphus.formats.mimicit.writer import dataset_meta, file_names, write_dataset
from syphus.formats.related_pairs import pairs_with_context, read_train_file
from syphus.formats.report import Report, RunResult, make_report, write_report
from syphus.formats.run_files import INVALID_FILE, PAIRS_FILE, PairsFile, pair_lines, write_invalid_file
from syphus.io.durable import replace_file, storage_faults
from syphus.ledger.records import highest_seq
from syphus.ledger.results import QueryResult, accepted, accepted_since, rejected
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store, open_for_reading
from syphus.model_names import is_simulated
from syphus.runs.run_settings import stored_prices
from syphus.storage.publish import Owner
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
    exports = _Exports(store)
    folder = store.folder
    names = file_names(short_name)
    dataset = names if with_train else names[:1]
    if not with_train:
        (folder / names[1]).unlink(missing_ok=True)
    is_finished = not report.counts.states[State.PENDING]
    with ExitStack() as opened:
        results = pairs_with_context(store, stage)
        needs_pairs = is_finished and exports.is_stale(PAIRS_FILE)
        if needs_pairs:
            results = opened.enter_context(_rewritten_pairs(store, results, exports.seq))
        if exports.is_stale(*dataset):
            train = read_train_file(store, stage) if with_train else None
            write_dataset(folder, short_name, results, dataset_meta(report), train)
        elif needs_pairs:
            deque(results, maxlen=0)
    has_invalid = bool(report.counts.states[State.INVALID])
    if not has_invalid:
        (folder / INVALID_FILE).unlink(missing_ok=True)
    elif exports.is_stale(INVALID_FILE):
        write_invalid_file(folder / INVALID_FILE, rejected(store, stage))
    write_report(folder / "report.json", report)
    written = (*dataset, *([PAIRS_FILE] if is_finished else ()), *([INVALID_FILE] if has_invalid else ()))
    exports.note(written)
    return tuple(short_path(folder / name) for name in dict.fromkeys((*written, PAIRS_FILE, "report.json")))


class _Exports:
    """Which exports of a run are up to date: the newest outcome in them, and the size of each file."""

    def __init__(self, store: Store) -> None:
        self.seq = highest_seq(store)
        self._store = store
        self._known = orjson.loads(str(get_meta(store, _EXPORTED) or "{}"))

    def is_stale(self, *names: str) -> bool:
        """Return whether there are newer outcomes, or a file is missing or was changed."""
        sizes = self._known["sizes"] if self._known.get("seq") == self.seq else {}
        return any(sizes.get(name) != size for name, size in self._sizes(names).items())

    def note(self, names: Iterable[str]) -> None:
        """Note and commit that these exports are up to date."""
        now = {"seq": self.seq, "sizes": self._sizes(names)}
        if self._known != now:
            set_meta(self._store, _EXPORTED, orjson.dumps(now).decode())
            self._store.commit()

    def _sizes(self, names: Iterable[str]) -> dict[str, int | None]:
        return {name: _file_size(self._store.folder / name) for name in names}


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


def run_owner(folder: Path) -> Owner:
    """Return the owner of what a run publishes. It is the same for all copies of the run, such as one from a snapshot.

    Raises `RunError` if the folder holds no run.
    """
    store = open_for_reading(folder)
    try:
        began = store.read_value("SELECT started FROM session ORDER BY id LIMIT 1")
    finally:
        store.close()
    title = f"{folder.absolute().parent.name}/{folder.absolute().name}"
    return Owner(blake2b(f"{title}|{began}".encode(), digest_size=16).hexdigest(), title)


def _file_size(path: Path) -> int:
    """Return the bytes of a file; -1 if it is missing."""
    return path.stat().st_size if path.exists() else -1


def _rewrite_pairs(store: Store, stage: str, seq: int) -> PairsFile:
    """Write pairs.jsonl in the order of the input."""
    with _rewritten_pairs(store, accepted(store, stage), seq) as results:
        deque(results, maxlen=0)
    path = store.folder / PAIRS_FILE
    return PairsFile(path, seq, _file_size(path))


@contextmanager
def _rewritten_pairs(store: Store, results: Iterable[QueryResult], seq: int) -> Iterator[Iterator[QueryResult]]:
    """Write pairs.jsonl from the results that the block takes. Meanwhile, the ledger does not confirm its content."""
    invalidate_pairs(store)
    store.commit()
    with replace_file(store.folder / PAIRS_FILE) as file:
        yield _noted(file, results)
        size = file.tell()
    set_meta(store, _PAIRS, f"{seq} {size}")
    store.commit()


def _noted(file: IO[bytes], results: Iterable[QueryResult]) -> Iterator[QueryResult]:
    for result in results:
        file.write(_lines(result))
        yield result


def _lines(result: QueryResult) -> bytes:
    return pair_lines(result.query, result.image_ids, result.pairs, is_simulated(result.model)).encode()


def result_after_disk_failure(store: Store, stage: str, fault: StorageError) -> RunResult:
    """Return what the ledger holds after the disk failed. Raises `fault` if it can't be read any more."""
    try:
        store.check_files()
        return RunResult(make_report(store, stage, stored_prices(store)), fault, (), [])
    except StorageError:
        raise fault from None
