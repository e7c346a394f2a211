"""A run that is refused before its first session leaves nothing behind."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from syphus.errors import UsageError
from syphus.ledger.sessions import was_used
from syphus.ledger.store import FILE, LOCK, Store, open_for_writing
from syphus.vision.album import IMAGES


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """The run's ledger, open for writing.

    Where a `UsageError` ends the block before any stage has asked anything, the folders that were made for it go again.
    Raises what `open_for_writing` does.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    store = open_for_writing(folder)
    try:
        yield store
    except UsageError:
        in_vain = folder in new and not was_used(store)
        store.close()
        if in_vain:
            _remove(folder, new)
        raise
    finally:
        store.close()


def _remove(folder: Path, new: list[Path]) -> None:
    with contextlib.suppress(OSError):  # somebody else has put something there: then it stays
        shutil.rmtree(folder / IMAGES, ignore_errors=True)
        for name in (f"{FILE}-wal", f"{FILE}-shm", FILE, LOCK):
            (folder / name).unlink(missing_ok=True)
        for each in new:
            each.rmdir()
