"""JSON values out of a text of any size, one after the other, and the memory of where each stood.

Only a window of the text is held. Values are scanned by the standard library's C scanner; one that the end of the
window cuts off is scanned again with more text. (ijson, which streams with a C library, is a third faster, but knows no
lines, reads half a surrogate pair as "?", and integers beyond 64 bits only if every float becomes a Decimal.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias

from syphus.errors import InputError
from syphus.reading.json_values import DECODER, Record, item_scanner, scan_fault, skip, surrogate
from syphus.reading.text_files import TextSource

_CHUNK = 1 << 16  # bytes read at once; doubled while one record does not fit
_MAX_RECORD = 1 << 28  # characters; a "record" larger than this is a file of another shape
_BORDER = 16  # a token that the end of the window cuts off fails at most this far from it

_scan_item = item_scanner(DECODER)
_TOPS = {"[": "an array", "{": "an object", '"': "text"}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands: the file as it was named, the number of the record and its first line, both from 1."""

    path: str
    number: int
    line: int

    def __str__(self) -> str:
        return f"{self.path}: record {self.number} (line {self.line})"


class JsonReader:
    """A window on the text of a file. The record at hand begins at `start`; what is before goes with the next chunk."""

    def __init__(self, source: TextSource) -> None:
        self.source = source
        self.text = ""
        self.start = 0
        self.number = 0  # of the record last handed out
        self._line = 1  # of the first character of `text`
        self._size = _CHUNK
        self._stuck = -1  # the record that the last chunk was read for
        self._doubtful = False  # `text` has escapes of surrogates
        self._done = False

    def elements(self) -> Iterator[Record]:
        """The elements of the one array that the text is."""
        return self._values("[", "]", DECODER.raw_decode)

    def items(self) -> Iterator[tuple[str, Record]]:
        """The keys and values of the one object that the text is."""
        return self._values("{", "}", _scan_item)

    def _values(
        self, opening: str, closing: str, scan: Callable[[str, int], tuple[Record, int]], whole: bool = True
    ) -> Iterator[Record]:
        """Everything between the brackets; `scan` reads one value from a text and says where it ends.

        Nothing may follow the closing bracket if this is the `whole` text.
        """
        separator = re.compile(rf"[ \t\r\n]*([,\{closing}])[ \t\r\n]*").match
        if self._open(opening) == closing:
            self.start += 1
            return self._close() if whole else None
        while True:
            try:
                value, end = scan(self.text, self.start)
            except (ValueError, RecursionError) as error:
                self._need(*scan_fault(error, self.start))
                continue
            found = separator(self.text, end)
            if found is None:  # no separator, or a number that the end of the buffer cut in two
                self._need(f"Expecting ',' or '{closing}'", skip(self.text, end))
                continue
            if self._note(value):
                yield value
            self.start = found.end()
            if found[1] == closing:
                return self._close() if whole else None

    def lines(self) -> Iterator[Record]:
        """The value on each line that is not blank."""
        more = True
        while more:
            end = self.text.find("\n", self.start)
            if end < 0 and self._fill():
                continue
            more = end >= 0
            end = end if more else len(self.text)
            line = self.text[self.start : end]
            if line and not line.isspace():
                try:
                    value = self._parse(line, torn=not more)
                    wanted = self._note(value)
                except InputError as error:
                    self._tolerate(error)
                else:
                    if wanted:
                        yield value
            self.start = end + 1
        self._done = True
        if self.source.fault:
            raise self._error(self.source.fault)

    def position(self) -> Position:
        """The place of the record last handed out."""
        return Position(self.source.path, self.number, self._line_of(self.start))

    def close(self) -> None:
        """Closes the text. If that happens half way, the place of the last record stays known until the next one."""
        others = tuple(other for other in trail.get() if other is not self)
        half_way = trail.get()[-1] is self and not self._done
        trail.set((*others, self.position()) if half_way else others)
        self.source.close()

    def _note(self, value: Record) -> bool:
        """Keeps account of a value that is about to be handed out; False where it is to be left out."""
        if self._doubtful and (problem := surrogate(value)):
            raise self._error(problem)
        self.number += 1
        tolerance = tolerated.get()
        if tolerance is not None and (fault := tolerance.left_out.get((self.source.path, self.number))):
            tolerance.found.append(fault)
            return False
        if trail.get()[-1] is not self:
            open_ones = [other for other in trail.get() if other is not self and not isinstance(other, Position)]
            if tolerance is not None and any(open_ones):
                tolerance.several = True
            trail.set((*open_ones, self))
        return True

    def _tolerate(self, error: InputError) -> None:
        """A bad line ends the reading, unless the caller collects them."""
        tolerance = tolerated.get()
        if tolerance is None or self.source.fault:
            raise error
        self.number += 1
        tolerance.found.append(str(error))

    def _parse(self, line: str, torn: bool) -> Record:
        try:
            return DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            problem, at = scan_fault(error, 0)
            told = f"the last line is torn: {problem}" if torn else problem
            raise self._error(self.source.fault or told, self.start + at) from error

    def _open(self, bracket: str) -> str:
        """Passes over the opening bracket; returns the first character after it."""
        first = self._peek()
        if not first:
            raise InputError(f"{self.source.path}: {self.source.fault or 'the file is empty'}")
        if first != bracket:
            found, wanted = _TOPS.get(first, "something else"), _TOPS[bracket]
            raise InputError(f"{self.source.path}: {wanted} is expected at the top of the file, this is {found}")
        self.start += 1
        return self._peek()

    def _close(self) -> None:
        """Sees to it that nothing follows the closing bracket."""
        self._done = True
        if self._peek() or self.source.fault:
            problem = self.source.fault or "text after the end of the JSON value"
            raise InputError(f"{self.source.path}: line {self._line_of(self.start)}: {problem}")

    def _peek(self) -> str:
        """The next character that is no white space, or "" at the end."""
        self.start = skip(self.text, self.start)
        while self.start == len(self.text) and self._fill():
            self.start = skip(self.text, self.start)
        return self.text[self.start : self.start + 1]

    def _need(self, problem: str, at: int) -> None:
        """Reads on because the text breaks off at `at`. Raises the problem where more text can't solve it."""
        if at < len(self.text) - _BORDER and not problem.startswith("Unterminated string"):
            raise self._error(problem, at)
        at -= self.start
        if not self._fill():
            torn = at >= len(self.text.rstrip()) or problem.startswith("Unterminated")
            raise self._error(self.source.fault or ("the file ends within this record" if torn else problem), at)
        self.start = skip(self.text, 0)

    def _fill(self) -> bool:
        """Drops what is done with and reads on, twice as much each time for the same record. False at the end."""
        self._size = self._size * 2 if self._stuck == self.number else _CHUNK
        self._stuck = self.number
        chunk = self.source.read(self._size)
        self._line = self._line_of(self.start)
        self.text = self.text[self.start :] + chunk
        self.start = 0
        self._doubtful = "\\ud" in self.text or "\\uD" in self.text
        if len(self.text) > _MAX_RECORD + self._size:
            raise self._error(f"larger than {_MAX_RECORD >> 20} MiB")
        return bool(chunk)

    def _line_of(self, at: int) -> int:
        return self._line + self.text.count("\n", 0, at)

    def _error(self, problem: str, at: int | None = None) -> InputError:
        """What is wrong with the record that comes next, seen at the character `at`."""
        where = Position(self.source.path, self.number + 1, self._line_of(self.start))
        if at is not None:
            excerpt = self.text[at : at + 20]
            problem += f" (line {self._line_of(at)}" + (f", before {excerpt!r})" if excerpt else ")")
        return InputError(f"{where}: {problem}")


Trail: TypeAlias = tuple[JsonReader | Position | None, ...]

# The readers under way in this context, the one that handed out last at the end; None stands for no reader at all. A
# Position is where a reader stood when it was closed half way: an exception closes readers before anybody can ask.
trail: ContextVar[Trail] = ContextVar("trail", default=(None,))


@dataclass(slots=True)
class Tolerance:
    """What is passed over, instead of ending the reading at the first.

    `found` collects what is wrong with bad lines and with the records of `left_out` (by file and number) as they come
    by. `several` files are read side by side: a record that is left out would shift one against the other.
    """

    found: list[str] = field(default_factory=list)
    left_out: dict[tuple[str, int], str] = field(default_factory=dict)
    several: bool = False


tolerated: ContextVar[Tolerance | None] = ContextVar("tolerated", default=None)


def position() -> Position | None:
    """Where the record last handed out came from, or None when no reader is under way.

    Several readers may be open at once: it is the one that handed out last, and when that one is done, the one before.
    The memory of it lives in the current `contextvars` context: runs with a context each never mix it up.
    """
    reader = next((each for each in reversed(trail.get()) if isinstance(each, JsonReader)), None)
    return reader.position() if reader else None


def position_of_failure(before: Trail | None) -> Position | None:
    """Where the record came from whose use has failed; `before` is the trail as it was before that was tried."""
    last = trail.get()[-1]
    if isinstance(last, Position) and not (before and last is before[-1]):
        return last
    return position()
