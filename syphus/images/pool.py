"""Several processes that decode files side by side, and their answers in the order of the jobs.

A file that crashes a process or keeps it for too long is that file's fault: it gets a reason, the process is started
anew, and goes on with what else it had. (`concurrent.futures` gives up the whole pool then, and can't say which file it
was.) A process that somebody has killed, as Linux does where memory is short, may do its file once more. No more than a
window of answers is held: a process that is far ahead waits.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from syphus.errors import ConfigError
from syphus.images.convert_options import EncodeOptions
from syphus.images.worker_protocol import READY, Answer, ImageJob

Result: TypeAlias = tuple[float, bytes | str]  #: a key, and the image or the reason

_STARTING = 120.0  # seconds that a process may take to be there
_AHEAD = 4  # stills that a process has got besides the one that it is at
_WINDOW = 1 << 26  # bytes of answers that wait for their turn
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


class _Task:
    """A job that was handed out, and its answers that nobody has taken yet."""

    def __init__(self, job: ImageJob) -> None:
        self.job = job
        self.done = False
        self.bytes = 0
        self.is_repeated = False
        self._results: deque[Result] = deque()
        self._count = self._known = 0

    def put(self, result: Result) -> None:
        if self._known:  # it came already, before the job was begun anew
            self._known -= 1
            return
        self._count += 1
        self._results.append(result)
        self.bytes += len(result[1])

    def fail(self, reason: str) -> None:
        """Gives the rest of the file a reason."""
        self._known = 0
        self.put((-1, reason))
        self.done = True

    def repeat(self) -> None:
        """Expects all answers once more: those that have come are the same again."""
        self.is_repeated = True
        self._known = self._count

    def taken(self) -> Iterator[Result]:
        """Takes all there are."""
        while self._results:
            result = self._results.popleft()
            self.bytes -= len(result[1])
            yield result


class _Process:
    """One process, what it has to do, and when it was last heard of."""

    def __init__(self, look: EncodeOptions) -> None:
        self._look = look
        self.tasks: deque[_Task] = deque()
        self.heard = 0.0
        self.ready = False
        self._start()

    def give(self, task: _Task) -> None:
        if not self.tasks:
            self.heard = time.monotonic()
        self.tasks.append(task)
        with suppress(OSError):  # it has just died: it is seen at the next look at it
            self.connection.send(task.job)

    def takes(self, job: ImageJob) -> bool:
        """Whether it may get another job: of videos one at a time, whose frames would fill the window."""
        if job.is_video or (self.tasks and self.tasks[-1].job.is_video):
            return not self.tasks
        return len(self.tasks) <= _AHEAD

    def fail(self, reason: str) -> None:
        """Gives its job a reason, and starts anew with the others."""
        self.tasks[0].fail(reason)
        self.tasks.popleft()
        self._renew()

    def die(self) -> None:
        """It has died: whose fault that is, how it ended says."""
        if self._process.wait() in _KILLED and not self.tasks[0].is_repeated:
            self.tasks[0].repeat()
            self._renew()
        else:
            self.fail(self.fate())

    def fate(self) -> str:
        """Why it died, once it has."""
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the decoder crashed ({name})"

    def _renew(self) -> None:
        self.end()
        self._start()
        waiting, self.tasks = self.tasks, deque()
        for task in waiting:
            self.give(task)

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self.connection, theirs = Pipe()
        paths = [str(Path(__file__).parent.parent.parent), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(  # noqa: S603 - this Python and a module of ours
            [sys.executable, "-P", "-m", "syphus.images.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # decoders warn of all kinds of things; what counts is a reason
        )
        theirs.close()
        self.ready = False
        self.heard = time.monotonic()
        with suppress(OSError):
            self.connection.send(self._look)


class DecoderPool:
    """`count` processes for images of this look; `seconds` is how long the next image of one may take."""

    def __init__(self, look: EncodeOptions, count: int, seconds: float) -> None:
        self._seconds = seconds
        self._listened = time.monotonic()
        with ExitStack() as started:  # where one can't be started, the others go, too
            self._processes = []
            for _ in range(count):
                self._processes.append(_Process(look))
                started.callback(self._processes[-1].end)
            started.pop_all()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.end()

    def results(self, jobs: Iterable[ImageJob]) -> Iterator[tuple[int, float, bytes | str]]:
        """Yields the number of the job, the key and the image or the reason: jobs in their order, a video's frames as
        they come. A reason for the whole file has the key -1.
        """
        coming = iter(jobs)
        following = next(coming, None)
        tasks: deque[_Task] = deque()
        most = len(self._processes) * (2 * _AHEAD + 2)
        while tasks or following is not None:
            while following is not None and len(tasks) < most:
                free = min((each for each in self._processes if each.takes(following)), key=_busy, default=None)
                if free is None:
                    break
                tasks.append(_Task(following))
                free.give(tasks[-1])
                following = next(coming, None)
            first = tasks[0]
            for result in first.taken():
                yield first.job.number, *result
            if first.done:
                tasks.popleft()
            else:
                self._listen(first, sum(task.bytes for task in tasks) > _WINDOW)

    def _listen(self, first: _Task, full: bool) -> None:
        """Waits for the next answers; for none but the first task's where the window is `full`."""
        away = time.monotonic() - self._listened  # they may have waited for us
        for process in self._processes:
            process.heard += away
        heard = [each for each in self._processes if each.tasks and (not full or each.tasks[0] is first)]
        if full:
            for process in self._processes:  # who is not listened to is not late
                process.heard = time.monotonic() if process not in heard else process.heard
        due = min(map(self._due, heard))
        ready = wait([each.connection for each in heard], max(0.0, due - time.monotonic()))
        for process in heard:
            if process.connection in ready:
                self._hear(process)
            elif time.monotonic() > self._due(process):
                process.fail(f"took more than {self._seconds:g} s")
        self._listened = time.monotonic()

    def _due(self, process: _Process) -> float:
        """When it will have been silent for too long."""
        return process.heard + (self._seconds if process.ready else _STARTING)

    @staticmethod
    def _hear(process: _Process) -> None:
        try:
            answer: Answer = process.connection.recv()
        except (EOFError, OSError):
            if not process.ready:
                raise ConfigError(
                    f"Images can't be decoded here: {process.fate()} before it began. Does `import PIL.Image` work?"
                ) from None
            process.die()
            return
        process.heard = time.monotonic()
        number, key, image = answer
        if number == READY:
            process.ready = True
        elif key is None:
            process.tasks.popleft().done = True
        else:
            process.tasks[0].put((key, image))


def _busy(process: _Process) -> int:
    return len(process.tasks)
