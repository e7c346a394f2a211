"""Run several decoder processes, and return their results in the order of the jobs.

If a file crashes a process or takes too long, only that file fails: the process is restarted and continues with its
other jobs. (`concurrent.futures` gives up the whole pool in that case, and can't say which file it was.) If a process
was killed from outside, as Linux does when memory runs out, its file gets a second try. Only a window of results is
held in memory: a process that is far ahead waits.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import TypeAlias

from syphus.errors import ConfigError
from syphus.images.convert_options import READY, Answer, EncodeOptions, ImageJob
from syphus.images.decoder_process import start_process

Result: TypeAlias = tuple[float, bytes | str]  #: a key, and the image or the reason why there is none

_TICK = 1.0  # seconds that are waited at once; if it took much longer, the process was stopped meanwhile
_START_SECONDS = 120.0  # that a process may take to start
_PREFETCH = 4  # stills that are queued in a process besides the current one
_WINDOW = 1 << 26  # bytes of results that wait for their turn
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)


class _Task:
    """A job that was sent to a process, and its results that were not taken yet."""

    def __init__(self, job: ImageJob) -> None:
        self.job = job
        self.done = False
        self.bytes = 0
        self.is_retried = False
        self._results: deque[Result] = deque()
        self._count = self._to_skip = 0

    def put(self, result: Result) -> None:
        if self._to_skip:
            self._to_skip -= 1
            return
        self._count += 1
        self._results.append(result)
        self.bytes += len(result[1])

    def fail(self, reason: str) -> None:
        """End the job: the reason stands for all further results."""
        self._to_skip = 0
        self.put((-1, reason))
        self.done = True

    def expect_retry(self) -> None:
        """Expect all results a second time, and skip those that have already come."""
        self.is_retried = True
        self._to_skip = self._count

    def take_results(self) -> Iterator[Result]:
        """Yield and remove the results that have come so far."""
        while self._results:
            result = self._results.popleft()
            self.bytes -= len(result[1])
            yield result


class _Process:
    """A decoder process with its tasks; `last_heard` is when it last sent something."""

    def __init__(self, options: EncodeOptions) -> None:
        self._options = options
        self.tasks: deque[_Task] = deque()
        self.last_heard = 0.0
        self.ready = False
        self._start()

    def send(self, task: _Task) -> None:
        if not self.tasks:
            self.last_heard = time.monotonic()
        self.tasks.append(task)
        with suppress(OSError):  # the process has just died, which the next `recv` notices
            self.connection.send(task.job)

    def accepts(self, job: ImageJob) -> bool:
        """Return whether it can queue another job. A video must be its only job: the frames fill the window."""
        if job.is_video or (self.tasks and self.tasks[-1].job.is_video):
            return not self.tasks
        return len(self.tasks) <= _PREFETCH

    def fail(self, reason: str) -> None:
        """Fail the current task, and restart with the others."""
        self.tasks[0].fail(reason)
        self.tasks.popleft()
        self._restart()

    def handle_exit(self) -> None:
        """Retry the current task if the process was killed from outside; otherwise fail it."""
        if self._process.wait() in _KILLED and not self.tasks[0].is_retried:
            self.tasks[0].expect_retry()
            self._restart()
        else:
            self.fail(self.exit_reason())

    def exit_reason(self) -> str:
        """Wait until the process has ended, and return why."""
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the decoder crashed ({name})"

    def _restart(self) -> None:
        self.kill()
        self._start()
        pending, self.tasks = self.tasks, deque()
        for task in pending:
            self.send(task)

    def kill(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._process, self.connection = start_process("syphus.images.worker")
        self.ready = False
        self.last_heard = time.monotonic()
        with suppress(OSError):
            self.connection.send(self._options)


class DecoderPool:
    """`count` decoder processes; each may take up to `timeout` seconds for its next image."""

    def __init__(self, options: EncodeOptions, count: int, timeout: float) -> None:
        self._timeout = timeout
        self._listened_at = time.monotonic()
        with ExitStack() as started:  # if one can't be started, kill the others
            self._processes = []
            for _ in range(count):
                self._processes.append(_Process(options))
                started.callback(self._processes[-1].kill)
            started.pop_all()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()

    def results(self, jobs: Iterable[ImageJob]) -> Iterator[tuple[int, float, bytes | str]]:
        """Yield job number, key, and the image or the reason why there is none.

        Jobs come in order, the frames of a video as they are decoded. The key -1 is for a reason that concerns the
        whole file, or the rest of it.
        """
        remaining = iter(jobs)
        next_job = next(remaining, None)
        tasks: deque[_Task] = deque()
        max_tasks = len(self._processes) * (2 * _PREFETCH + 2)
        while tasks or next_job is not None:
            while next_job is not None and len(tasks) < max_tasks:
                available = [process for process in self._processes if process.accepts(next_job)]
                if not available:
                    break
                tasks.append(_Task(next_job))
                min(available, key=lambda process: len(process.tasks)).send(tasks[-1])
                next_job = next(remaining, None)
            first = tasks[0]
            for result in first.take_results():
                yield first.job.number, *result
            if first.done:
                tasks.popleft()
            else:
                self._listen(first, sum(task.bytes for task in tasks) > _WINDOW)

    def _listen(self, first: _Task, window_is_full: bool) -> None:
        """Receive the next answers, and fail what takes too long. If the window is full, hear the first task only."""
        away = time.monotonic() - self._listened_at  # meanwhile, the processes may have waited for us
        for process in self._processes:
            process.last_heard += away
        listening = [
            process
            for process in self._processes
            if process.tasks and (not window_is_full or process.tasks[0] is first)
        ]
        if window_is_full:
            listening = [process for process in listening if process.tasks[0] is first]
            for process in self._processes:  # a process that we do not listen to is not late
                process.last_heard = time.monotonic() if process not in listening else process.last_heard
        began = time.monotonic()
        patience = min(_TICK, max(0.0, min(map(self._deadline, listening)) - began))
        ready = wait([process.connection for process in listening], patience)
        stopped = time.monotonic() - began - patience
        if stopped > _TICK:  # we were stopped or asleep, and the decoders perhaps as well
            for process in self._processes:
                process.last_heard += stopped
        for process in listening:
            if process.connection in ready:
                self._receive(process)
            elif time.monotonic() > self._deadline(process):
                process.fail(f"took more than {self._timeout:g} s")
        self._listened_at = time.monotonic()

    def _deadline(self, process: _Process) -> float:
        return process.last_heard + (self._timeout if process.ready else _START_SECONDS)

    @staticmethod
    def _receive(process: _Process) -> None:
        try:
            answer: Answer = process.connection.recv()
        except (EOFError, OSError):
            if not process.ready:
                raise ConfigError(
                    f"Images can't be decoded here: {process.exit_reason()} before it was ready. "
                    "Does `import PIL.Image` work?"
                ) from None
            process.handle_exit()
            return
        process.last_heard = time.monotonic()
        number, key, image = answer
        if number == READY:
            process.ready = True
        elif key is None:
            process.tasks.popleft().done = True
        else:
            process.tasks[0].put((key, image))
