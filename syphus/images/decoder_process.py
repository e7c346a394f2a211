"""Start a process that reads images, and serve in it: the two ends of one connection.

Such a process is a module of ours, run as `python -m MODULE DESCRIPTOR`. It may crash, and be killed at any time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent  # where Python finds our modules


def start_process(module: str) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a module as a process; return it with our end of the connection. Raises `OSError`."""
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - this Python and our own module
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # decoders print warnings of all kinds
        )
    return process, ours


def serve_parent(serve: Callable[[Connection], None]) -> None:
    """Call `serve` with the connection to the process that has started this one, until that one closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends this one
    with suppress(EOFError, OSError):
        serve(Connection(int(sys.argv[1])))
