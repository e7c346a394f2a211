"""Takes the snapshots of a run while it works: in processes of their own, on a timer and at the end.

A process of its own can't slow the run down by Python's lock, and a back end that hangs or crashes stops nothing. It
runs at a low priority, and hears no signals of the terminal. Run as a module, this file is that process: it prints one
line of JSON, either what it has done or what went wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from syphus.config.options import Options
from syphus.errors import RunError, StorageError, SyphusError, machine_faults
from syphus.pipeline.observer import Observer
from syphus.runs.control import change_run
from syphus.runs.snapshots import SnapshotDone, take_snapshot
from syphus.storage.addresses import as_url
from syphus.storage.snapshots import LostError

_ROOT = Path(__file__).parent.parent.parent  # where Python finds our modules
_NICE = 10  # of 19; the run goes first
_MODULE = "syphus.runs.snapshot_process"


class _Result(NamedTuple):
    """What the process has to say: `done`, or a `problem` with its exit code; `lost` if the run belongs to another."""

    done: SnapshotDone | None = None
    problem: str = ""
    exit_code: int = 0
    lost: bool = False

    def error(self) -> SyphusError:
        """Return the problem as an error."""
        if self.exit_code == StorageError.exit_code:
            return StorageError(self.problem)
        return LostError(self.problem) if self.lost else RunError(self.problem)


def _run_process(folder: Path, place: str, ended: bool) -> _Result:
    """Take one snapshot in a process of its own, and wait for it."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(  # noqa: S603 - this Python and our own module
        [sys.executable, "-P", "-m", _MODULE, str(folder), place, "ended" if ended else "working"],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        start_new_session=True,  # Ctrl-C, and Slurm's signals, are for the run
    )
    try:
        values = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return _Result(problem=f"The process of the snapshot ended with {done.returncode}.", exit_code=5)
    return _Result(SnapshotDone(*values["done"])) if values["done"] else _Result(None, *values["problem"])


@contextlib.contextmanager
def keep_snapshots(options: Options, observer: Observer, folder: Path | None = None) -> Iterator[None]:
    """Take snapshots of the run as its options say: at once, at an interval while the block works, and after it.

    The first one shows that the place can be used. Raises `RunError` if it can't, or belongs to another run, and
    `StorageError` if it can't be reached. If another process takes the run over, the run is stopped. A later snapshot
    that fails is said, and the next one is tried.
    """
    if not options.snapshot:
        yield
        return
    where = (folder or options.folder).absolute()
    place = as_url(options.snapshot) or str(Path(options.snapshot).absolute())
    first = _run_process(where, place, ended=False)
    if first.done is None:
        raise first.error()
    stopping = threading.Event()
    keeper = _Keeper(where, place, 60 * options.snapshot_every, observer.say, stopping)
    thread = threading.Thread(target=keeper.work, name="snapshots", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        keeper.end()


class _Keeper:
    """Takes a snapshot at an interval until it is stopped."""

    def __init__(
        self, folder: Path, place: str, seconds: float, say: Callable[[str], None], stopping: threading.Event
    ) -> None:
        self._folder = folder
        self._place = place
        self._seconds = seconds
        self._say = say
        self._stopping = stopping
        self._lost = False

    def work(self) -> None:
        """Take snapshots; return when it is to stop, or the run belongs to another process."""
        while not self._lost and not self._stopping.wait(self._seconds):
            self._take(ended=False)

    def end(self) -> None:
        """Take the last snapshot."""
        if not self._lost:
            self._take(ended=True)

    def _take(self, ended: bool) -> None:
        result = _run_process(self._folder, self._place, ended)
        if result.done is not None:
            if ended:
                self._say(result.done.line(self._place))
            return
        self._lost = result.lost
        if not self._lost:
            self._say(f"No snapshot: {result.problem}")
            return
        self._say(f"{result.problem} This process stops, so that nothing is paid twice.")
        with contextlib.suppress(SyphusError):  # it has ended, or asks no model at the moment
            change_run(self._folder, {}, stop=True, who="snapshot", wait=0)


def main(folder: str, place: str, state: str) -> int:
    """Take one snapshot, print what became of it, and return the exit code."""
    os.nice(_NICE)
    try:
        with machine_faults():
            done = take_snapshot(Path(folder), place, ended=state == "ended")
    except SyphusError as error:
        problem = [str(error), error.exit_code, isinstance(error, LostError)]
        sys.stdout.write(json.dumps({"done": None, "problem": problem}) + "\n")
        return error.exit_code
    sys.stdout.write(json.dumps({"done": list(done), "problem": None}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
