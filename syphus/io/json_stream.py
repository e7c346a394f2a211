"""Reads JSON values one by one from a text of any size, and remembers the position of each.

Only a window of the text is in memory. The standard library's C scanner reads the values; a value that is cut off at
the end of the window is scanned again with more text. (ijson, which streams with a C library, is a third faster, but
has no line numbers, reads half a surrogate pair as "?", and reads integers beyond 64 bits only if every float becomes a
Decimal.)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from syphus.errors import InputError
from syphus.io.record_reader import Record, RecordReader
from syphus.io.text_files import Position, TextSource

_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")


class _NotStrictJsonError(ValueError):
    """A value that Python's scanner takes, and JSON does not have."""


def _refuse(constant: str) -> float:
    raise _NotStrictJsonError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _NotStrictJsonError(f"the number {digits[:20]} is too large")
    return number


def decoder(hook: Callable[[list[tuple[str, Record]]], Record] | None = None) -> json.JSONDecoder:
    """Return a decoder of strict JSON; `hook` makes a value from the items of an object, instead of a dict."""
    return json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=hook)


DECODER = decoder()
# Finds the end of a value that `DECODER` refuses although its shape is right: one with NaN or a huge number.
_LENIENT = json.JSONDecoder(parse_constant=str, parse_float=str, parse_int=str)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}"]', re.DOTALL)


def _scan_lenient(text: str, start: int) -> tuple[Record, int]:
    """Return None for a value that `DECODER` refuses although its shape is right, and the index where it ends."""
    try:
        return None, _LENIENT.raw_decode(text, start)[1]
    except RecursionError:
        pass
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] == '"':
            break
        depth += (token[0] in "[{") - (token[0] in "]}")
        if not depth:
            return None, token.end()
    raise json.JSONDecodeError("Expecting ',' or ']'", text, len(text))


def scan_key(text: str, start: int) -> tuple[str, int]:
    """Return the key at `start` and the index where its value begins. Raises `JSONDecodeError`."""
    if text[start : start + 1] != '"':
        raise json.JSONDecodeError("Expecting a key in double quotes", text, start)
    key, end = DECODER.raw_decode(text, start)
    colon = _COLON.match(text, end)
    if colon is None:
        raise json.JSONDecodeError("Expecting ':'", text, skip_space(text, end))
    return key, colon.end()


def scan_item(text: str, start: int, values: json.JSONDecoder = DECODER) -> tuple[tuple[str, Record], int]:
    """Return the item at `start`, its value read by `values`, and the index where it ends. Raises `JSONDecodeError`."""
    key, begin = scan_key(text, start)
    value, end = values.raw_decode(text, begin)
    return (key, value), end


def _scan_lenient_item(text: str, start: int) -> tuple[Record, int]:
    return _scan_lenient(text, scan_key(text, start)[1])


def skip_space(text: str, start: int) -> int:
    """Return the index of the first character from `start` that is not white space."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


_OPEN_STRING = "Unterminated string starting at"  # as `json` says it; `JSONDecodeError` has no code


def describe_failure(error: Exception, start: int) -> tuple[str, int]:
    """Return the problem of a failed scan in words, and the index of the first wrong character."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg, error.pos
    if isinstance(error, RecursionError):
        return "nested too deeply", start
    if isinstance(error, _NotStrictJsonError):
        return str(error), start
    return "a whole number with thousands of digits", start  # `int` is the only other one that fails


def find_surrogate(value: Record) -> str:
    """Return a description of half a surrogate pair in a value, or ""."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair (U+{ord(error.object[error.start]):04X})"
    return ""


_Scan: TypeAlias = Callable[[str, int], tuple[Record, int]]


def _after(key: str) -> _Scan:
    """Return a scan of the value of a key that was read already; it returns both."""

    def scan(text: str, start: int) -> tuple[tuple[str, Record], int]:
        value, end = DECODER.raw_decode(text, start)
        return (key, value), end

    return scan


_CHUNK = 1 << 16  # bytes per read; doubled while a record does not fit
_MAX_RECORD = 1 << 28  # characters; a larger "record" means that the file has another shape
_BORDER = 16  # a token that is cut off at the end of the window fails at most this far from the end

_AFTER = {closing: re.compile(rf"[ \t\r\n]*([,\{closing}])[ \t\r\n]*") for closing in "]}"}  # after a value
_AFTER[":"] = re.compile(r"[ \t\r\n]*([^ \t\r\n])")  # after a key and its colon
_TOPS = {"[": "an array", "{": "an object", '"': "text"}
_READERS = {"[": "; use read_json", "{": "; use read_json_items or read_json_lists"}


class JsonReader(RecordReader):
    """A window on the text of a file. The current record begins at `start`; the next read drops the text before it."""

    def __init__(self, source: TextSource) -> None:
        super().__init__(source.path)
        self.source = source
        self.text = ""
        self.start = 0
        self.list_keys: set[str] = set()  # the keys of all lists so far
        self._line = 1  # of the first character of `text`
        self._size = _CHUNK
        self._stuck = -1  # number of the record that the last chunk was read for
        self._doubtful = False  # `text` contains escapes of surrogates

    def elements(self) -> Iterator[Record]:
        """Yield the elements of a text that is one array."""
        self.source.keeps_invalid = True
        self._open("[")
        yield from self._until("]", DECODER.raw_decode, _scan_lenient)
        self._close()

    def items(self, within: str = "") -> Iterator[tuple[str, Record]]:
        """Yield the items of a text that is one object.

        In place of an object under the key `within`, yield the items of that object.
        """
        self.source.keeps_invalid = True
        for key, first in self._keys():
            if key == within and first == "{":
                self.start += 1
                yield from self._until("}", scan_item, _scan_lenient_item)
            else:
                item, found, wanted = self._record(_after(key), _scan_lenient, "}")
                if wanted:
                    yield item
                self.start = found.start(1)

    def lists(self) -> Iterator[tuple[str, Record]]:
        """Yield the elements of all lists in a text that is one object, each with the list's key; skip other values.

        Records are numbered within their list.
        """
        self.source.keeps_invalid = True
        for key, first in self._keys():
            self.number = 0
            if first == "[":
                self.start += 1
                self.part = key
                self.list_keys.add(key)
                yield from ((key, value) for value in self._until("]", DECODER.raw_decode, _scan_lenient))
                self.part = ""
            else:
                self.start = self._scan(DECODER.raw_decode, "}")[1].start(1)

    def _keys(self) -> Iterator[tuple[str, str]]:
        """Yield the keys of a text that is one object, each with the first character of its value.

        The caller must read the value before it asks for the next key.
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

    def _until(self, closing: str, scan: _Scan, lenient: _Scan | None = None) -> Iterator[Record]:
        """Yield all values up to the closing bracket; `scan` reads one value from a text and returns where it ends.

        `lenient` does so for values that `scan` refuses; with it, they are collected if the caller allows that.
        """
        if self._peek() == closing:
            self.start += 1
            return
        while True:
            value, found, wanted = self._record(scan, lenient, closing)
            if wanted:
                yield value
            self.start = found.end()
            if found[1] == closing:
                return

    def _record(self, scan: _Scan, lenient: _Scan | None, closing: str) -> tuple[Record, re.Match[str], bool]:
        """Return one value, the delimiter after it, and whether it is to be yielded.

        A value that strict JSON refuses, such as one with NaN or half a surrogate pair, is that record's fault alone if
        bad records are collected.
        """
        try:
            value, found = self._scan(scan, closing)
            return value, found, self._note(value)
        except InputError as error:
            if lenient is None or self.source.problem:
                raise
            try:
                found = self._scan(lenient, closing)[1]
            except InputError:  # the text is not JSON at all
                raise error from None
            self._collect(error)
            return None, found, False

    def _scan(self, scan: _Scan, closing: str) -> tuple[Record, re.Match[str]]:
        """Return one value and the delimiter after it. Without a delimiter, the window may have cut a number in two."""
        while True:
            try:
                value, end = scan(self.text, self.start)
            except (ValueError, RecursionError) as error:
                self._need(*describe_failure(error, self.start))
                continue
            found = _AFTER[closing].match(self.text, end)
            if found is not None:
                return value, found
            self._need(f"Expecting ',' or '{closing}'", skip_space(self.text, end))

    def lines(self) -> Iterator[Record]:
        """Yield the value of each line that is not blank."""
        self.source.keeps_invalid = True
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
                    self._collect(error)
                else:
                    if wanted:
                        yield value
            self.start = end + 1
        self._done = True
        if self.source.problem:
            raise self._error(self.source.problem)

    def position(self) -> Position:
        """Return the position of the record last yielded."""
        return Position(self.source.path, self.number, self._line_of(self.start), self.part)

    def close(self) -> None:
        """Close the file."""
        super().close()
        self.source.close()

    def _note(self, value: Record) -> bool:
        if self._doubtful and (problem := find_surrogate(value)):
            raise self._error(self.source.invalid or problem)
        return super()._note(value)

    def _collect(self, error: InputError) -> None:
        if self.source.problem:
            raise error
        super()._collect(error)

    def _parse(self, line: str, torn: bool) -> Record:
        try:
            return DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            problem, at = describe_failure(error, 0)
            message = f"the last line is cut off: {problem}" if torn else problem
            raise self._error(self.source.problem or message, self.start + at) from error

    def _open(self, bracket: str) -> str:
        """Skip the opening bracket, and return the first character after it."""
        first = self._peek()
        if not first:
            raise InputError(f"{self.source.path}: {self.source.problem or 'the file is empty'}")
        if first != bracket:
            raise self._wrong_top(first, _TOPS[bracket])
        self.start += 1
        return self._peek()

    def _wrong_top(self, first: str, wanted: str) -> InputError:
        """Return the error for a file that begins with another value than the wanted one, or is no JSON at all."""
        line, end, rest = self.text[self.start :].partition("\n")
        try:
            DECODER.raw_decode(line if first in '[{"' else self.text, 0 if first in '[{"' else self.start)
        except (ValueError, RecursionError):
            if first not in '[{"':
                shown = " ".join(line.split())[:40]
                hint = "; read CSV with read_csv" if "," in line or "\t" in line or ";" in line else ""
                return InputError(f'{self.source.path} is not JSON: it begins with "{shown}"{hint}')
        found = _TOPS.get(first, "something else")
        is_lines = first == "{" and end and rest.lstrip(" \t\r\n")[:1] == "{" and line.rstrip().endswith("}")
        hint = "; this is JSON Lines: use read_jsonl" if is_lines else _READERS.get(first, "")
        return InputError(f"{self.source.path}: {wanted} is expected at the top of the file, this is {found}{hint}")

    def _close(self) -> None:
        """Check that nothing follows the closing bracket."""
        self._done = True
        if self._peek() or self.source.problem:
            problem = self.source.problem or "text after the end of the JSON value"
            raise InputError(f"{self.source.path}: line {self._line_of(self.start)}: {problem}")

    def _peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        self.start = skip_space(self.text, self.start)
        while self.start == len(self.text) and self._fill():
            self.start = skip_space(self.text, self.start)
        return self.text[self.start : self.start + 1]

    def _need(self, problem: str, at: int) -> None:
        """Read more text because the window ends at `at`. Raises the problem if more text can't solve it."""
        is_open = problem == _OPEN_STRING
        if at < len(self.text) - _BORDER and not is_open:
            raise self._error(problem, at)
        at -= self.start
        if not self._fill():
            torn = is_open or at >= len(self.text.rstrip())
            raise self._error(self.source.problem or ("the file ends within this record" if torn else problem), at)
        self.start = skip_space(self.text, 0)

    def _fill(self) -> bool:
        """Drop the text that is done and read more, doubling the size for the same record. Return False at the end."""
        self._size = self._size * 2 if self._stuck == self.number else _CHUNK
        self._stuck = self.number
        chunk = self.source.read(self._size)
        self._line = self._line_of(self.start)
        self.text = self.text[self.start :] + chunk
        self.start = 0
        self._doubtful = "\\ud" in self.text or "\\uD" in self.text or bool(self.source.invalid)
        if len(self.text) > _MAX_RECORD + self._size:
            raise self._error(f"larger than {_MAX_RECORD >> 20} MiB")
        return bool(chunk)

    def _line_of(self, at: int) -> int:
        return self._line + self.text.count("\n", 0, at)

    def _error(self, problem: str, at: int | None = None) -> InputError:
        """Return an error about the next record; `at` is the index of the wrong character."""
        where = Position(self.source.path, self.number + 1, self._line_of(self.start), self.part)
        if at is not None:
            excerpt = self.text[at : at + 20]
            problem += f" (line {self._line_of(at)}" + (f", before {excerpt!r})" if excerpt else ")")
        return InputError(f"{where}: {problem}")
