"""Writing a file so that nobody ever sees half of it: beside the old one, synced, then put in its place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from syphus.ledger.store import storage_faults, sync_folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    Raises `StorageError` where the disk fails.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with storage_faults(path):
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
