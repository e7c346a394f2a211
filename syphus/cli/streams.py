"""stdout and stderr in any state: closed, a pipe whose reader has gone, or a terminal that knows only ASCII."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, TextIO

from syphus.errors import OutputError
from syphus.text import printable


def prepare_streams() -> None:
    """Make both streams safe to write to, and reserve stdout for results.

    A closed stream is opened to nowhere: otherwise the next opened file would get its descriptor, and output would go
    into that file. What others write to the descriptor of stdout, such as a program that a plugin starts, goes to
    stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole process
    encoding = "utf-8" if sys.stdout is None else sys.stdout.encoding
    results = io.BufferedWriter(_Results(os.dup(1), "wb"))
    os.dup2(2, 1)
    sys.stdout = io.TextIOWrapper(results, encoding, errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")  # a terminal that can't show a character must not stop a run


class _Results(io.FileIO):
    """stdout. A reader that leaves, as `head` does, is not an error; a full disk is one, reported once."""

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
    """Write a result to stdout. Raises `OutputError` if stdout is a file that can't be written."""
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def print_lines(*lines: str) -> None:
    """Writes lines to stdout."""
    print_text("".join(f"{printable(line)}\n" for line in lines))


def print_text(text: str) -> None:
    """Write text to stdout, in its encoding."""
    write_out(text.encode(sys.stdout.encoding, "replace"))


def as_json_bytes(value: object) -> bytes:
    """Return JSON values on one line, in UTF-8."""
    import orjson  # `--help` does not need it

    return orjson.dumps(value)


def print_as_json(value: object) -> None:
    """Write JSON values to stdout, indented, in UTF-8."""
    import orjson  # `--help` does not need it

    write_out(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def say(line: str) -> None:
    """Write a line to stderr, if it is still open."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(line)}\n")


def flush_streams() -> None:
    """Drop what a reader that has gone did not take: the interpreter would write it at its end, and fail."""
    sys.stdout.flush()
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def given_command() -> str:
    """Return the command line, ready to be typed again: without `--restart`, which would throw away what was done."""
    return f"{program()} {shlex.join(word for word in sys.argv[1:] if word != '--restart')}"


def program() -> str:
    """Return how Syphus was called: `syphus`, `python main.py` or `python -m syphus`; Python by its path if needed."""
    script = sys.argv[0]
    if Path(script).name == "__main__.py":
        return f"{_python()} -m {Path(script).parent.name}"
    if not script.endswith(".py"):
        return Path(script).name
    return f"{_python()} {shlex.quote(script)}"


def _python() -> str:
    return "python" if shutil.which("python") == sys.executable else shlex.quote(sys.executable)


def uses_colours(stream: TextIO) -> bool:
    """Return whether to colour a stream: a terminal, unless NO_COLOR is set; FORCE_COLOR colours anything else, too."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
