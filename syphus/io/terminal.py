"""A few lines on a terminal that are redrawn in place, with other lines scrolling above them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from syphus.text import cut, display_width, printable

_YELLOW, _USUAL = "\033[33m", "\033[0m"
_USUAL_WIDTH = 80  # columns of a terminal that does not say
_TROUBLE = 2  # the number of the line that has a colour of its own


class Panel:
    """Lines that are redrawn in place. `columns` gives the width of the terminal, which may change at any time."""

    def __init__(self, terminal: TextIO, columns: Callable[[], int] | None = None) -> None:
        self._terminal = terminal
        self._columns = columns or self._terminal_columns
        self._has_colours = not os.environ.get("NO_COLOR")
        self._lines: list[str] = []  # that stand there

    @property
    def width(self) -> int:
        """The columns for a line: some terminals wrap one that ends in the last column."""
        return max(1, self._columns() - 1)

    def draw(self, lines: Sequence[str]) -> None:
        """Write the lines over those that stand there; the third one is about trouble, and yellow."""
        start, width = self._to_start(), self.width
        self._lines = [cut(printable(line), width) for line in lines]
        shown = "\n".join(f"{self._coloured(number, line)}\033[K" for number, line in enumerate(self._lines))
        self._write(f"{start}{shown}\033[J")

    def erase(self) -> None:
        """Remove the lines."""
        if self._lines:
            self._write(f"{self._to_start()}\033[J")
            self._lines = []

    def say(self, text: str) -> None:
        """Write whole lines above those that are redrawn."""
        lines = self._lines
        self.erase()
        self._write(text)
        if lines:
            self.draw(lines)

    def ask(self, text: str) -> None:
        """Write a question, after which the cursor stays."""
        self.erase()
        self._write(text)

    def _coloured(self, number: int, line: str) -> str:
        return f"{_YELLOW}{line}{_USUAL}" if number == _TROUBLE and self._has_colours else line

    def _to_start(self) -> str:
        """Return what moves the cursor to the first line. On a terminal that became narrower they take more rows."""
        columns = max(1, self._columns())
        rows = sum(max(1, -(-display_width(line) // columns)) for line in self._lines)
        return f"\033[{rows - 1}A\r" if rows > 1 else "\r"

    def _terminal_columns(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            if columns := os.get_terminal_size(self._terminal.fileno()).columns:
                return columns
        given = os.environ.get("COLUMNS", "")
        return int(given) if given.isdecimal() and int(given) else _USUAL_WIDTH

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._terminal.write(text)
            self._terminal.flush()

    @contextlib.contextmanager
    def others_above(self) -> Iterator[None]:
        """Let what others write to stderr, such as a plugin or a warning, appear above the lines that are redrawn."""
        if sys.stderr is not self._terminal:
            yield
            return
        above = _Above(self.say)
        with contextlib.redirect_stderr(above):
            try:
                yield
            finally:
                above.end()


class _Above(io.StringIO):
    """A stream whose whole lines are passed on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say
        self._begun = ""

    def write(self, text: str, /) -> int:
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        for line in lines:
            self._say(f"{printable(line)}\n")
        return len(text)

    def end(self) -> None:
        if self._begun:
            self._say(f"{printable(self._begun)}\n")
