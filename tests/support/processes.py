"""Running the main job in a test as people do, `python main.py ...` in a process of its own, and watching its requests.

Run as a script, this file is `main.py` that kills itself: `processes.py SIGKILL open report.json 1 --name ...` when the
process opens a file whose path holds "report.json" for the first time. The names are those of Python's audit events.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
def start(arguments: list[str], folder: Path, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Starts a command in `folder`; its stdout and stderr are text in pipes unless told otherwise."""
    usual: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), "text": True}
    with subprocess.Popen(arguments, cwd=folder, encoding="utf-8", **{**usual, **how}) as process:
        try:
            yield process
        finally:
            process.kill()  # where a test has failed; otherwise it has ended


_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(
    ["syphus.cli", "syphus.main_job", "syphus.cli.summary", "syphus.endpoints.remote_endpoint"]
)


def syphus(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python main.py` with these arguments in `folder`, in a process of its own that has its modules already.

    Loading them takes longer than what most commands do, so a server that has loaded them forks for each command.
    """
    with tempfile.TemporaryDirectory() as files:
        streams = [Path(files, name) for name in ("out", "err")]
        process = _WARM.Process(target=_be_main, args=(folder, arguments, dict(env or environment()), streams))
        process.start()
        process.join(60)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(arguments)
        out, err = (path.read_text("utf-8") for path in streams)
    return subprocess.CompletedProcess(list(arguments), process.exitcode, out, err)


def _be_main(folder: Path, arguments: tuple[str, ...], env: dict[str, str], streams: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv[:] = [str(MAIN), *arguments]
    sys.path[0] = str(MAIN.parent)
    runpy.run_path(str(MAIN), run_name="__main__")


def finish(arguments: list[str], folder: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """Starts a command and waits for its end."""
    with start(arguments, folder, **how) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out or "", err or "")


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
