"""stdout and stderr as they really are: closed, a pipe whose reader has gone, or a terminal that knows only ASCII."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

from syphus.errors import StorageError
from syphus.text import printable


def prepare_streams() -> None:
    """Makes both streams safe to write to.

    A closed one goes nowhere from now on: otherwise the next file that is opened would get its number, and whatever
    still writes to that number would write into the file.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a letter is no reason to stop


def write_out(data: bytes) -> None:
    """Writes a result to stdout; a reader that has left, as `head` does, is no fault of the command.

    Raises `StorageError` where stdout is a file that can't take it.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except OSError as error:
        _let_go(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise StorageError(f"stdout can't be written: {error.strerror}.") from error


def say(line: str) -> None:
    """One line on stderr, for whoever still reads it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(line)}\n")


def flush_streams() -> None:
    """Drops what a reader that has gone did not take: the interpreter would try again at its end, and fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _let_go(stream)


def _let_go(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
