"""Writing a file so that nobody ever sees half of it: beside the old one, synced, then put in its place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from syphus.errors import RunError
from syphus.ledger.store import storage_faults, sync_folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    Raises `StorageError` where the disk fails, `RunError` where another process has begun to write the same file.
    """
    temporary = path.with_name(f".{path.name}.partial")
    ours = False
    with storage_faults(path):
        try:
            temporary.unlink(missing_ok=True)  # of a process that was killed, or of one that will then give way
            with temporary.open("xb") as file:
                try:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                finally:
                    ours = _leads_to(temporary, file)
            if not ours:
                raise FileExistsError
            temporary.replace(path)
        except FileExistsError as error:
            told = f"{path} is being written by another process, too; this one has given way."
            raise RunError(told) from error
        except OSError as error:
            if error.filename == str(temporary):
                error.filename = str(path)  # which people know
            raise
        finally:
            if ours:
                temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def _leads_to(path: Path, file: IO[bytes]) -> bool:
    """Whether a name is still that of the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False
