"""The runs that the viewer shows: those in the folders that it was given, new ones included.

A run is known in addresses by a short hash of its place below the folder given, so no path of the machine is in them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from syphus.errors import RunError
from syphus.ledger.store import FILE, open_for_reading
from syphus.runs.reader import find_runs
from syphus.text import listed

_DIGITS = 8
_SECONDS = 2.0  #: after which folders are searched again


class ViewedRun(NamedTuple):
    """A run that the viewer shows."""

    key: str  #: in addresses
    name: str  #: for people: its place below the folder given
    folder: Path


class RunList:
    """The runs in and below some folders. Any thread may use it."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(path.absolute() for path in paths)
        self._lock = threading.Lock()
        self._runs: dict[str, ViewedRun] = {}
        self._searched = float("-inf")

    def check(self) -> None:
        """Raise `RunError` if a folder does not exist or holds no run, or if its only run can't be read."""
        empty = [path for path in self._paths if not any(True for _ in find_runs(path))]
        if empty:
            names = listed([str(path) for path in empty])
            raise RunError(f"{names}: no run here or below. A run's folder has a {FILE}; the usual folder is output.")
        for path in self._paths:
            if (path / FILE).exists():
                open_for_reading(path).close()

    def all(self) -> list[ViewedRun]:
        """Return all runs, in the order of the folders given, and by name."""
        with self._lock:
            if time.monotonic() - self._searched > _SECONDS:
                self._runs = self._found()
                self._searched = time.monotonic()
            return list(self._runs.values())

    def get(self, key: str) -> ViewedRun | None:
        """Return the run of this key, None if there is none."""
        run = self._runs.get(key)
        if run is None:
            self.all()
            run = self._runs.get(key)
        return run

    def _found(self) -> dict[str, ViewedRun]:
        runs: dict[str, ViewedRun] = {}
        for path in self._paths:
            if not path.is_dir():
                continue  # removed meanwhile
            for folder in find_runs(path):
                inside = folder.relative_to(path).as_posix()
                name = inside if inside != "." else "/".join(folder.parts[-2:])
                key = _digits(name)
                if key in runs and runs[key].folder != folder:  # runs of the same name below two folders
                    name = f"{path.name}/{name}"
                    key = _digits(str(folder))
                runs.setdefault(key, ViewedRun(key, name, folder))
        return runs


def _digits(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=_DIGITS // 2).hexdigest()
