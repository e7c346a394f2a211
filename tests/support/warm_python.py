"""A server that has loaded Syphus and forks a process for each command: `python main.py` without the time to load.

Loading takes longer than most commands do, and the tests run hundreds of them. A forked process is a process of its own
all the same: it has its own streams, environment and folder, it can be killed, and it ends with an exit code.

    warm_python.py serve SOCKET                 listens until its stdin ends
    warm_python.py call SOCKET SCRIPT ARGUMENT...    runs a script with the caller's own streams, environment and folder

A client sends the three descriptors and a JSON object with `argv`, `cwd` and `env`. It receives the process id on one
line, and at the end the exit code on another: -9 for a process that was killed by signal 9.
"""

# ruff: noqa: PTH100, PTH109, PTH120 - loading pathlib would take a client longer than all the rest

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress

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


def call(address: str, argv: list[str], cwd: str, env: dict[str, str], streams: tuple[int, int, int]) -> socket.socket:
    """Has a server run a script; what comes back on the socket is the process id and the exit code, a line each."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    data = json.dumps({"argv": argv, "cwd": cwd, "env": env}).encode()
    socket.send_fds(connection, [len(data).to_bytes(4, "big")], streams)
    connection.sendall(data)
    return connection


def serve(address: str) -> None:
    """Forks a process for each call, until stdin ends."""
    import importlib
    import selectors

    for name in _LOADED:
        importlib.import_module(name)
    _prepare()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            if any(key.fd == 0 for key, _ in selector.select()):
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                selector.close()
                os._exit(_watch(connection))
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _prepare() -> None:
    """Does once what every process does at its start: builds the commands, and reads the code that judges answers."""
    from syphus.answers.judging_digest import ACCEPTANCE_FILES, TRANSLATION_CHECK_FILES, code_digest
    from syphus.answers.scoring.words import stem
    from syphus.cli.app import all_commands

    all_commands()
    code_digest((*ACCEPTANCE_FILES, *TRANSLATION_CHECK_FILES))
    stem("birds")


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
        _become(given["argv"], given["cwd"], given["env"], streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # the test did not wait for it
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    return 0


def _become(argv: list[str], cwd: str, env: dict[str, str], streams: list[int]) -> None:
    """Does what a new Python does: streams, environment and folder first, then the script, then the exit."""
    import atexit
    import runpy
    import threading
    import traceback

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    sys.argv[:] = argv
    sys.path[0] = os.path.dirname(os.path.abspath(argv[0]))
    code = 0
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - a Python that ends prints whatever it was
        traceback.print_exc()
        code = 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # a Python that ends does this, then atexit
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        serve(sys.argv[2])
    else:
        with call(sys.argv[2], sys.argv[3:], os.getcwd(), dict(os.environ), (0, 1, 2)).makefile("r") as reply:
            reply.readline()
            code = int(reply.readline() or 1)
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        sys.exit(code)
