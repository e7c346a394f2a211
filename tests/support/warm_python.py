"""A server that has loaded Syphus and forks a process for each command: `python main.py` without the time to load.

Loading takes longer than most commands do, and the tests run hundreds of them. A forked process is a process of its own
all the same: it has its own streams, environment, folder and limits, it can be killed, and it ends with an exit code.

    warm_python.py serve SOCKET                 listens until its stdin ends, and loads Syphus at the first call
    warm_python.py call SOCKET SCRIPT ARGUMENT...    runs a script with the caller's own streams, environment and folder

A client sends the three descriptors and a JSON object: `argv`, which begins with a script, or with `-c` and a program,
`cwd`, `env`, and what else the process inherits (see `inherit`). It receives the process id on one line, and at the end
the exit code on another: -9 for a process that was killed by signal 9.
"""

# ruff: noqa: PTH100, PTH109, PTH120 - loading pathlib would take a client longer than all the rest

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress

TYPE_CHECKING = False  # typing.py takes long to load
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LOADED = (
    "syphus.cli",
    "syphus.main_job",
    "syphus.cli.summary",
    "syphus.progress",
    "syphus.api",
    "syphus.endpoints.remote_endpoint",
    "syphus.simulator",
)
_LARGEST = 1 << 20  # bytes of a call
SHARED = "WARM_PYTHON"  #: the variable with the address of a server that several test processes share


def server_address() -> str:
    """The address of the server that all test processes share, or of one that is started for this process."""
    if SHARED not in os.environ:
        share_server()
    return os.environ[SHARED]


def share_server() -> None:
    """Starts a server that ends with this process, for it and for the test processes that it starts."""
    import atexit
    import shutil
    import subprocess
    import tempfile

    folder = tempfile.mkdtemp(prefix="syphus")
    address = os.path.join(folder, "socket")  # noqa: PTH118
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    program = [sys.executable, __file__, "serve", address]
    server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bare)
    assert server.stdin is not None
    assert server.stdout is not None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.wait)
    atexit.register(server.stdin.close)  # the last one registered goes first
    assert server.stdout.readline() == b"ready\n"
    os.environ[SHARED] = address


def call(
    address: str,
    argv: list[str],
    cwd: str,
    env: dict[str, str],
    streams: tuple[int, int, int],
    inherited: dict[str, Any] | None = None,
) -> socket.socket:
    """Has a server run a script; what comes back on the socket is the process id and the exit code, a line each."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    data = json.dumps({"argv": argv, "cwd": cwd, "env": env, "inherited": inherited or {}}).encode()
    socket.send_fds(connection, [len(data).to_bytes(4, "big")], streams)
    connection.sendall(data)
    return connection


def inherit(
    limits: Sequence[tuple[int, int, int]] = (), ignored: Sequence[int] = (), closed: Sequence[int] = ()
) -> None:
    """Sets resource limits (which, soft, hard), ignores signals, and closes descriptors, for a process to begin so."""
    import resource

    for what, *limit in limits:
        resource.setrlimit(what, (limit[0], limit[1]))
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    for descriptor in closed:
        os.close(descriptor)


def serve(address: str) -> None:
    """Forks a process for each call, until stdin ends."""
    import selectors

    loaded = False
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            if any(key.fd == 0 for key, _ in selector.select()):
                return
            if not loaded:
                _load()
                loaded = True
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                selector.close()
                os._exit(_watch(connection))
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _load() -> None:
    """Does once what every process does at its start: loads modules, builds commands, reads the code that judges."""
    import gc
    import importlib

    for name in _LOADED:
        importlib.import_module(name)
    from syphus.answers.judging_digest import ACCEPTANCE_FILES, TRANSLATION_CHECK_FILES, code_digest
    from syphus.answers.scoring.words import stem
    from syphus.cli.app import all_commands

    all_commands()
    code_digest((*ACCEPTANCE_FILES, *TRANSLATION_CHECK_FILES))
    stem("birds")
    gc.collect()
    gc.freeze()  # a process that looked for garbage among all that is loaded would copy its memory


def _watch(connection: socket.socket) -> int:
    """Forks the process itself, waits for its end, and tells how it ended."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    data, size = b"", int.from_bytes(head, "big")
    while len(data) < size:
        data += connection.recv(_LARGEST)
    given = json.loads(data)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(given, streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # the test did not wait for it
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    return 0


def _become(given: Any, streams: list[int]) -> None:
    """Does what a new Python does: streams, environment and folder first, then the script, then the exit."""
    import atexit
    import threading

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(given["env"])
    os.chdir(given["cwd"])
    inherit(**given["inherited"])
    closed = given["inherited"].get("closed", ())
    sys.stdin, sys.stdout, sys.stderr = (None if number in closed else _stream(number) for number in range(3))
    code = 0
    try:
        _execute(given["argv"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - a Python that ends prints whatever it was
        _print_error(error)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # a Python that ends does this, then atexit
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):
            print(end="", flush=True)
        _end(code)


def _stream(number: int) -> Any:
    """stdin, stdout or stderr."""
    if number == 0:
        return os.fdopen(0, encoding="utf-8", closefd=False)
    errors, buffering = ("surrogateescape", -1) if number == 1 else ("backslashreplace", 1)
    return os.fdopen(number, "w", buffering, encoding="utf-8", errors=errors, closefd=False)


def _execute(argv: list[str]) -> None:
    """Runs a script, or what comes after `-c`."""
    import runpy
    import types

    path = os.environ.get("PYTHONPATH")
    sys.path[1:1] = path.split(os.pathsep) if path else []
    if argv[0] == "-c":
        sys.argv[:], sys.path[0] = ["-c", *argv[2:]], ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(argv[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv[:], sys.path[0] = argv, os.path.dirname(os.path.abspath(argv[0]))
        runpy.run_path(argv[0], run_name="__main__")


def _print_error(error: BaseException) -> None:
    """The traceback as a new Python prints it: it begins in the script."""
    import traceback

    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>"):
        frames = frames.tb_next
    traceback.print_exception(error.with_traceback(frames))


def _end(code: int) -> None:
    """Ends with an exit code, or by the signal of that negative number."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        serve(sys.argv[2])
    else:
        with call(sys.argv[2], sys.argv[3:], os.getcwd(), dict(os.environ), (0, 1, 2)).makefile("r") as reply:
            reply.readline()
            code = int(reply.readline() or 1)
        _end(code)
