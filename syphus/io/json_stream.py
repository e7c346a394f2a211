"""JSON values out of a text of any size, one after the other, and the memory of where each stood.

Only a window of the text is held. Values are scanned by the standard library's C scanner; one that the end of the
window cuts off is scanned again with more text. (ijson, which streams with a C library, is a third faster, but knows no
lines, reads half a surrogate pair as "?", and integers beyond 64 bits only if every float becomes a Decimal.)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

from syphus.errors import InputError
from syphus.io.text_files import Position, TextSource, bad_records

# FOLDED from json_scan.py:
# One JSON value out of a text, by the standard library's C scanner, and what strict JSON does not allow.

Record: TypeAlias = Any  # whatever the file holds: typed `object`, every plugin would have to cast every field

_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def decoder(hook: Callable[[list[tuple[str, Record]]], Record] | None = None) -> json.JSONDecoder:
    """Reads strict JSON; `hook` makes something else than a dict of the items of an object."""
    return json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=hook)


DECODER = decoder()


def scan_key(text: str, start: int) -> tuple[str, int]:
    """The key at `start`, and where its value begins. Raises JSONDecodeError."""
    if text[start : start + 1] != '"':
        raise json.JSONDecodeError("Expecting a key in double quotes", text, start)
    key, end = DECODER.raw_decode(text, start)
    colon = _COLON.match(text, end)
    if colon is None:
        raise json.JSONDecodeError("Expecting ':'", text, skip_space(text, end))
    return key, colon.end()


def scan_item(text: str, start: int, values: json.JSONDecoder = DECODER) -> tuple[tuple[str, Record], int]:
    """The key at `start` with its value, read by `values`, and where that ends. Raises JSONDecodeError."""
    key, begin = scan_key(text, start)
    value, end = values.raw_decode(text, begin)
    return (key, value), end


def skip_space(text: str, start: int) -> int:
    """The place of the first character from `start` on that is no white space."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def describe_failure(error: Exception, start: int) -> tuple[str, int]:
    """What a failed scan says for a person, and the character at which the text stopped making sense."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg, error.pos
    if isinstance(error, RecursionError):
        return "nested too deeply", start
    return ("a whole number with thousands of digits" if "integer string" in str(error) else str(error)), start


def find_surrogate(value: Record) -> str:
    """Names the half of a surrogate pair that a value holds, or gives ""."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair (U+{ord(error.object[error.start]):04X})"
    return ""


_Scan: TypeAlias = Callable[[str, int], tuple[Record, int]]

_CHUNK = 1 << 16  # bytes read at once; doubled while one record does not fit
_MAX_RECORD = 1 << 28  # characters; a "record" larger than this is a file of another shape
_BORDER = 16  # a token that the end of the window cuts off fails at most this far from it

_BEHIND = {closing: re.compile(rf"[ \t\r\n]*([,\{closing}])[ \t\r\n]*") for closing in "]}"}  # behind a value
_BEHIND[":"] = re.compile(r"[ \t\r\n]*([^ \t\r\n])")  # behind a key and its colon
_TOPS = {"[": "an array", "{": "an object", '"': "text"}


class JsonReader:
    """A window on the text of a file. The record at hand begins at `start`; what is before goes with the next chunk."""

    def __init__(self, source: TextSource) -> None:
        self.source = source
        self.text = ""
        self.start = 0
        self.number = 0  # of the record last handed out
        self.part = ""  # the key of the list that it is from
        self.list_keys: set[str] = set()  # the keys of all lists so far
        self._line = 1  # of the first character of `text`
        self._size = _CHUNK
        self._stuck = -1  # the record that the last chunk was read for
        self._doubtful = False  # `text` has escapes of surrogates
        self._done = False

    def elements(self) -> Iterator[Record]:
        """The elements of the one array that the text is."""
        self._open("[")
        yield from self._until("]", DECODER.raw_decode)
        self._close()

    def items(self, within: str = "") -> Iterator[tuple[str, Record]]:
        """The keys and values of the one object that the text is; of the object under the key `within` its items."""
        for key, first in self._keys():
            if key == within and first == "{":
                self.start += 1
                yield from self._until("}", scan_item)
            else:
                value, found = self._scan(DECODER.raw_decode, "}")
                if self._note((key, value)):
                    yield key, value
                self.start = found.start(1)

    def lists(self) -> Iterator[tuple[str, Record]]:
        """The elements of all lists that the one object holds, each with the list's key; what is no list is left out.

        Records are numbered in each list anew.
        """
        for key, first in self._keys():
            self.number = 0
            if first == "[":
                self.start += 1
                self.part = key
                self.list_keys.add(key)
                yield from ((key, value) for value in self._until("]", DECODER.raw_decode))
                self.part = ""
            else:
                self.start = self._scan(DECODER.raw_decode, "}")[1].start(1)

    def _keys(self) -> Iterator[tuple[str, str]]:
        """The keys of the one object that the text is, each with the first character of its value, which is read by
        whoever asks for the keys.
        """
        following = self._open("{")
        while following != "}":
            key, found = self._scan(scan_key, ":")
            self.start = found.start(1)
            yield key, found[1]
            following = self._peek()
            if following not in ("", ",", "}"):
                raise self._error("Expecting ',' or '}'", self.start)
            if following == ",":
                self.start += 1
                self._peek()
        self.start += 1
        self._close()

    def _until(self, closing: str, scan: _Scan) -> Iterator[Record]:
        """Everything up to the closing bracket; `scan` reads one value from a text and says where it ends."""
        if self._peek() == closing:
            self.start += 1
            return
        while True:
            value, found = self._scan(scan, closing)
            if self._note(value):
                yield value
            self.start = found.end()
            if found[1] == closing:
                return

    def _scan(self, scan: _Scan, closing: str) -> tuple[Record, re.Match[str]]:
        """One value, and what stands behind it; a number that the end of the window cuts in two has nothing."""
        while True:
            try:
                value, end = scan(self.text, self.start)
            except (ValueError, RecursionError) as error:
                self._need(*describe_failure(error, self.start))
                continue
            found = _BEHIND[closing].match(self.text, end)
            if found is not None:
                return value, found
            self._need(f"Expecting ',' or '{closing}'", skip_space(self.text, end))

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
        if self.source.problem:
            raise self._error(self.source.problem)

    def position(self) -> Position:
        """The place of the record last handed out."""
        return Position(self.source.path, self.number, self._line_of(self.start), self.part)

    def close(self) -> None:
        """Closes the text. If that happens half way, the place of the last record stays known until the next one."""
        others = tuple(other for other in open_readers.get() if other is not self)
        half_way = open_readers.get()[-1] is self and not self._done
        open_readers.set((*others, self.position()) if half_way else others)
        self.source.close()

    def _note(self, value: Record) -> bool:
        """Keeps account of a value that is about to be handed out; False where it is to be left out."""
        if self._doubtful and (problem := find_surrogate(value)):
            raise self._error(problem)
        self.number += 1
        tolerance = bad_records.get()
        if tolerance is not None and (told := tolerance.skip_reason(self.source.path, self.part, self.number)):
            tolerance.problems.append(told)
            return False
        if open_readers.get()[-1] is not self:
            open_ones = [other for other in open_readers.get() if other is not self and not isinstance(other, Position)]
            if tolerance is not None and any(open_ones):
                tolerance.has_parallel_files = True
            open_readers.set((*open_ones, self))
        return True

    def _tolerate(self, error: InputError) -> None:
        """A bad line ends the reading, unless the caller collects them."""
        tolerance = bad_records.get()
        if tolerance is None or self.source.problem:
            raise error
        self.number += 1
        tolerance.problems.append(str(error))

    def _parse(self, line: str, torn: bool) -> Record:
        try:
            return DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            problem, at = describe_failure(error, 0)
            told = f"the last line is torn: {problem}" if torn else problem
            raise self._error(self.source.problem or told, self.start + at) from error

    def _open(self, bracket: str) -> str:
        """Passes over the opening bracket; returns the first character after it."""
        first = self._peek()
        if not first:
            raise InputError(f"{self.source.path}: {self.source.problem or 'the file is empty'}")
        if first != bracket:
            found, wanted = _TOPS.get(first, "something else"), _TOPS[bracket]
            raise InputError(f"{self.source.path}: {wanted} is expected at the top of the file, this is {found}")
        self.start += 1
        return self._peek()

    def _close(self) -> None:
        """Sees to it that nothing follows the closing bracket."""
        self._done = True
        if self._peek() or self.source.problem:
            problem = self.source.problem or "text after the end of the JSON value"
            raise InputError(f"{self.source.path}: line {self._line_of(self.start)}: {problem}")

    def _peek(self) -> str:
        """The next character that is no white space, or "" at the end."""
        self.start = skip_space(self.text, self.start)
        while self.start == len(self.text) and self._fill():
            self.start = skip_space(self.text, self.start)
        return self.text[self.start : self.start + 1]

    def _need(self, problem: str, at: int) -> None:
        """Reads on because the text breaks off at `at`. Raises the problem where more text can't solve it."""
        if at < len(self.text) - _BORDER and not problem.startswith("Unterminated string"):
            raise self._error(problem, at)
        at -= self.start
        if not self._fill():
            torn = at >= len(self.text.rstrip()) or problem.startswith("Unterminated")
            raise self._error(self.source.problem or ("the file ends within this record" if torn else problem), at)
        self.start = skip_space(self.text, 0)

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
        where = Position(self.source.path, self.number + 1, self._line_of(self.start), self.part)
        if at is not None:
            excerpt = self.text[at : at + 20]
            problem += f" (line {self._line_of(at)}" + (f", before {excerpt!r})" if excerpt else ")")
        return InputError(f"{where}: {problem}")


OpenReaders: TypeAlias = tuple[JsonReader | Position | None, ...]

# The readers under way in this context, the one that handed out last at the end; None stands for no reader at all. A
# Position is where a reader stood when it was closed half way: an exception closes readers before anybody can ask.
open_readers: ContextVar[OpenReaders] = ContextVar("trail", default=(None,))


def position() -> Position | None:
    """Where the record last handed out came from, or None when no reader is under way.

    Several readers may be open at once: it is the one that handed out last, and when that one is done, the one before.
    The memory of it lives in the current `contextvars` context: runs with a context each never mix it up.
    """
    reader = next((each for each in reversed(open_readers.get()) if isinstance(each, JsonReader)), None)
    return reader.position() if reader else None


def position_of_failure(before: OpenReaders | None) -> Position | None:
    """Where the record came from whose use has failed; `before` is the trail as it was before that was tried."""
    last = open_readers.get()[-1]
    if isinstance(last, Position) and not (before and last is before[-1]):
        return last
    return position()
