"""Reading ledgers in threads: each read opens the ledger, holds one short snapshot, and closes it again.

No connection stays open: the last one to close writes the log back into the ledger's file, and that must be the run's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from syphus.errors import RunError, StorageError
from syphus.ledger.store import FILE, LOCK, Store, open_for_reading

_THREADS = 3  #: each needs a few megabytes while it reads
_CACHE = 2000  #: KiB of pages that one read keeps; the system keeps more

T = TypeVar("T")


class LedgerAccess:
    """The threads that read ledgers."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="viewer")

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function that blocks in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def read(self, folder: Path, function: Callable[[Store], T]) -> T:
        """Call a function with the ledger of a run in one snapshot, in a thread. Raises `RunError`."""
        return await self.call(partial(read_ledger, folder, function))

    def close(self) -> None:
        """End the threads; what is not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def signature(folder: Path) -> tuple[object, ...]:
    """Return what changes when the ledger of a run changes; it reads no content."""
    seen: list[object] = []
    for name in (FILE, f"{FILE}-wal", LOCK):
        try:
            stat = (folder / name).stat()
        except OSError:
            seen.append(None)
        else:
            seen.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(seen)


def read_ledger(folder: Path, function: Callable[[Store], T]) -> T:
    """Call a function with the ledger of a run, open for reading in one snapshot. Raises `RunError`."""
    try:
        return _read(folder, function)
    except (RunError, StorageError):  # a run may have begun in the very moment in which the file was opened
        return _read(folder, function)


def _read(folder: Path, function: Callable[[Store], T]) -> T:
    store = open_for_reading(folder)
    try:
        store.read("PRAGMA query_only = 1")
        store.read(f"PRAGMA cache_size = -{_CACHE}")
        with store.snapshot():
            return function(store)
    finally:
        store.close()
