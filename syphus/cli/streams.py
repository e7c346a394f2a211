"""stdout and stderr as they really are: closed, a pipe whose reader has gone, or a terminal that knows only ASCII."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from syphus.errors import OutputError
from syphus.text import printable


def prepare_streams() -> None:
    """Makes both streams safe to write to, and stdout ours alone.

    A closed one goes nowhere from now on: otherwise the next file that is opened would get its number, and whatever
    still writes to that number would write into the file. Results keep going to where stdout goes now, but what others
    write to its number, such as a program that a plugin starts, goes to stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole process
    encoding = "utf-8" if sys.stdout is None else sys.stdout.encoding
    results = io.BufferedWriter(_Results(os.dup(1), "wb"))
    os.dup2(2, 1)
    sys.stdout = io.TextIOWrapper(results, encoding, errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")  # a terminal that can't show a letter is no reason to stop


class _Results(io.FileIO):
    """stdout. A reader that has left, as `head` does, is no fault of the command; a disk that is full is one, once."""

    _lost = False

    def write(self, data: Any, /) -> int:  # anything that holds bytes
        if not self._lost:
            try:
                return super().write(data)
            except BrokenPipeError:
                self._lost = True
            except OSError as error:
                self._lost = True
                raise OutputError(f"stdout can't be written: {error.strerror}.") from error
        return memoryview(data).nbytes


def write_out(data: bytes) -> None:
    """Writes a result to stdout. Raises `OutputError` where stdout is a file that can't take it."""
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def print_lines(*lines: str) -> None:
    """Writes lines to stdout."""
    print_text("".join(f"{printable(line)}\n" for line in lines))


def print_text(text: str) -> None:
    """Writes text to stdout, in its encoding."""
    write_out(text.encode(sys.stdout.encoding, "replace"))


def print_as_json(value: object) -> None:
    """Writes JSON values to stdout, indented, in UTF-8."""
    import orjson  # here, so that `--help` does without

    write_out(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def say(line: str) -> None:
    """One line on stderr, for whoever still reads it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(line)}\n")


def flush_streams() -> None:
    """Drops what a reader that has gone did not take: the interpreter would try again at its end, and fail."""
    sys.stdout.flush()
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def command_given() -> str:
    """The command as it was given, to be given again."""
    return f"{program()} {shlex.join(sys.argv[1:])}"


def program() -> str:
    """How Syphus was called: `python main.py`, or `syphus`; with the whole path of a Python that is not found so."""
    script = sys.argv[0]
    if not script.endswith(".py"):
        return Path(script).name
    python = "python" if shutil.which("python") == sys.executable else shlex.quote(sys.executable)
    return f"{python} {shlex.quote(script)}"
