"""Running the main job in a test as people do, `python main.py ...` in a process of its own, and watching its requests.

Run as a script, this file is `main.py` that kills itself: `processes.py SIGKILL open report.json 1 --name ...` when the
process opens a file whose path holds "report.json" for the first time. The names are those of Python's audit events.
"""

from __future__ import annotations

import io
import os
import runpy
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent
MAIN = HERE.parents[1] / "main.py"


if __name__ == "__main__":
    number, event, text, times = signal.Signals[sys.argv[1]], sys.argv[2], sys.argv[3], int(sys.argv[4])

    def listen(name: str, args: tuple[object, ...]) -> None:
        global times
        if name == event and any(isinstance(arg, (str, Path)) and text in str(arg) for arg in args):
            times -= 1
            if not times:
                os.kill(os.getpid(), number)

    sys.argv[:] = [str(MAIN), *sys.argv[5:]]
    sys.path[0] = str(MAIN.parent)
    sys.addaudithook(listen)
    runpy.run_path(str(MAIN), run_name="__main__")


from harness import write_config, write_rows  # noqa: E402 - the script above is not slowed down by them
from warm_python import call, inherit, server_address  # noqa: E402

from syphus.simulator import RequestRecord, ServerStats, SimulatedServer  # noqa: E402


def command(
    folder: Path,
    url: str,
    texts: int | Iterable[str] | Mapping[str, str],
    *flags: str,
    config: Mapping[str, Any] | None = None,
    killed_at: tuple[str, str, int] | None = None,
    by: signal.Signals = signal.SIGKILL,
) -> list[str]:
    """The same run as `run_rows` with these arguments, with 8 threads, as a command."""
    rows = write_rows(folder / "rows.jsonl", texts)
    settings = write_config(folder / "config.json", url, **(config or {}))
    script = [str(Path(__file__)), by.name, *map(str, killed_at)] if killed_at else [str(MAIN)]
    fixed = ["--name", "Rows.rows", "-in", str(rows), "--datasets-dir", str(HERE / "plugins")]
    where = ["--output-dir", str(folder / "output"), "--config", str(settings), "--num_threads", "8"]
    return [sys.executable, *script, *fixed, *where, *flags]


def typed(*arguments: str) -> str:
    """A command as Syphus tells it to type, by this Python as it is found in `environment()`."""
    python = "python" if shutil.which("python") == sys.executable else sys.executable
    return " ".join([python, *arguments])


def environment(**more: str) -> dict[str, str]:
    """A bare one, with nothing of the machine in it that could change a run."""
    return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **more}


@contextmanager
def start(
    arguments: list[str], folder: Path, cold: bool = False, inherited: Mapping[str, Any] | None = None, **how: Any
) -> Iterator[AnyProcess]:
    """Starts a command in `folder`; its stdout and stderr are text in pipes unless told otherwise.

    `main.py`, and a program after `-c`, is forked from a server that has loaded Syphus, which takes longer than most
    commands do. `cold` starts a new Python, and so does everything that a fork can't do. `inherited` are the arguments
    of `warm_python.inherit`.
    """
    usual: dict[str, Any] = {"stdin": None, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    usual.setdefault("env", environment())
    if cold or not _can_be_forked(arguments, usual):
        if inherited:
            usual["preexec_fn"] = lambda: inherit(**inherited)
        with subprocess.Popen(arguments, cwd=folder, encoding="utf-8", text=True, **usual) as process:
            try:
                yield process
            finally:
                process.kill()  # where a test has failed; otherwise it has ended
        return
    streams = (usual["stdin"], usual["stdout"], usual["stderr"])
    forked = ForkedProcess(arguments[1:], folder, usual["env"], streams, inherited or {})
    try:
        yield forked
    finally:
        forked.close()


def _can_be_forked(arguments: list[str], how: Mapping[str, Any]) -> bool:
    """Whether the command needs nothing that only the start of a Python can give it."""
    scripts = {str(MAIN), str(Path(__file__)), "-c"}
    as_usual = arguments[0] == sys.executable and arguments[1] in scripts
    as_usual = as_usual and set(how) == {"stdin", "stdout", "stderr", "env"}
    loads = arguments[1] == str(Path(__file__)) and arguments[3] == "import"  # is to be killed while it loads a module
    python = any(name.startswith(("LC_", "LANG", "PYTHON")) and name != "PYTHONPATH" for name in how["env"])
    return as_usual and not loads and not python


class ForkedProcess:
    """`python SCRIPT ...`, forked by `warm_python`; has what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        env: Mapping[str, str],
        streams: Sequence[Any],
        inherited: Mapping[str, Any],
    ) -> None:
        given, out, err = streams
        self.args = arguments
        self.stdout, out_end = _pipe(out)
        self.stderr, err_end = (None, out_end) if err == subprocess.STDOUT else _pipe(err)
        with Path(os.devnull).open("rb") as nothing:
            ends = (nothing.fileno() if given is None else given, out_end, err_end)
            self._connection = call(server_address(), arguments, str(folder), dict(env), ends, dict(inherited))
        for given, end in ((out, out_end), (err, err_end)):
            if given in (subprocess.PIPE, subprocess.DEVNULL):
                os.close(end)
        self._replies = self._connection.makefile("rb", buffering=0)
        self.pid = int(self._replies.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while it works."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end. Raises `TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._replies.readline())
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it writes until it ends; both pipes are read at once, so that none fills up."""
        with ThreadPoolExecutor(2) as readers:
            reading = [readers.submit(pipe.read) if pipe else None for pipe in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            out, err = (each.result() if each else "" for each in reading)
        return out, err

    def close(self) -> None:
        """Ends it, where a test has failed, and lets go of the pipes."""
        self.kill()
        self.wait()
        self._replies.close()
        self._connection.close()
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()


def _pipe(given: int | IO[Any]) -> tuple[IO[str] | None, int]:
    """What the test reads, if anything, and the descriptor that the process writes to."""
    if given == subprocess.PIPE:
        ours, theirs = os.pipe()
        return io.TextIOWrapper(io.FileIO(ours), encoding="utf-8"), theirs
    if given == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    return None, given if isinstance(given, int) else given.fileno()


AnyProcess = subprocess.Popen[str] | ForkedProcess


def syphus(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python main.py` with these arguments in `folder`, in a process of its own."""
    return finish([sys.executable, str(MAIN), *arguments], folder, env=env or environment())


def finish(arguments: list[str], folder: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """Starts a command and waits for its end."""
    with start(arguments, folder, **how) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode or 0, out or "", err or "")


class Watch(ServerStats):
    """The counters of a server, which do something at a given request.

    It is done in the server's own thread: at that very moment, while nothing else is received or answered.
    """

    def __init__(self, server: SimulatedServer) -> None:
        super().__init__()
        self.over = 0  #: requests that are answered, or were given up
        self._alarms: dict[tuple[str, int], Callable[[], None]] = {}
        server.endpoint.stats = self

    def at(self, what: str, number: int, act: Callable[[], None]) -> None:
        """Calls `act` as the `number`th "request" from now on comes in, or its "answer" is about to leave."""
        count = self.requests if what == "request" else self.over
        self._alarms[what, count + number] = act

    def start(self) -> None:
        super().start()
        self._ring("request", self.requests)

    def end(self, record: RequestRecord) -> None:
        super().end(record)
        self.over += 1
        self._ring("answer", self.over)

    def _ring(self, what: str, number: int) -> None:
        if act := self._alarms.pop((what, number), None):
            act()
