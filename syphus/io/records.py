"""Annotation files, record by record: JSON arrays, JSON objects and JSON Lines of any size in constant memory.

Files are UTF-8 (a byte order mark is fine) or UTF-16 with a byte order mark, with LF or CRLF, gzipped or not. What
strict JSON does not allow is an InputError that names the file, the record and the line: NaN and Infinity, numbers too
large for a float, lone surrogates, NUL bytes, a torn end, text after the end. The records before it are handed out
first.

While a record is in use, `position()` knows where it came from, so that a fault found in it can be told with its place;
`field` and `texts` take a value out of a record, or tell that it is missing or of the wrong type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from syphus.errors import InputError
from syphus.io.json_stream import JsonReader, Record, decoder, position, scan_item
from syphus.io.text_files import Position, TextSource

if TYPE_CHECKING:
    pass

__all__ = [
    "Position",
    "Record",
    "check_name",
    "field",
    "name_field",
    "position",
    "read_beginning",
    "read_json",
    "read_json_items",
    "read_json_lists",
    "read_jsonl",
    "record_error",
    "texts",
    "type_name",
]

T = TypeVar("T")

_NO_NAME = re.compile(r"[/\\\x00-\x1f\x7f]|\A\s|\s\Z")

_TYPES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def read_json(path: str | Path) -> Iterator[Record]:
    """Yields the elements of the one JSON array that the file is. Raises InputError."""
    with closing(_reader(path)) as reader:
        yield from reader.elements()


def read_json_items(path: str | Path, within: str = "") -> Iterator[tuple[str, Record]]:
    """Yields the (key, value) items of the one JSON object that the file is. Raises InputError.

    Where it holds an object under the key `within`, the items of that one come in its place, one by one.
    """
    with closing(_reader(path)) as reader:
        yield from reader.items(within)


def read_json_lists(path: str | Path, *keys: str) -> Iterator[tuple[str, Record]]:
    """Yields (key, element) for the elements of some lists in the one JSON object that the file is, as they come.

    For files such as COCO's and VIST's, whose lists have hundreds of thousands of elements. Whatever else the object
    holds is passed over. Raises InputError, also where there is no list of one of the `keys`.
    """
    with closing(_reader(path)) as reader:
        yield from ((key, value) for key, value in reader.lists() if key in keys)
        for key in keys:
            if key not in reader.list_keys:
                raise InputError(f'{path}: no list "{key}"')


def read_jsonl(path: str | Path) -> Iterator[Record]:
    """Yields the values of a JSON Lines file, one a line; blank lines are passed over. Raises InputError."""
    with closing(_reader(path)) as reader:
        yield from reader.lines()


def read_beginning(path: str | Path, characters: int = 200) -> str:
    """The first characters of the text of a file, without white space before them, to tell shapes apart: "[" begins an
    array. Raises InputError.
    """
    with closing(_reader(path)) as reader:
        return reader.source.read(1 << 16).lstrip()[:characters]


def field(record: Record, key: str, kind: type[T]) -> T:
    """`record[key]` if it is of the type `kind`; otherwise an InputError that says where and what.

    As in JSON, a whole number will do for a float, and true is no number.
    """
    if not isinstance(record, dict):
        raise record_error(f"an object is expected, this is {type_name(record)}")
    if key not in record:
        raise record_error(f'no "{key}"')
    value: T = record[key]
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise record_error(f'"{key}" must be {_TYPES.get(kind, kind.__name__)}, this is {type_name(value)}')


def texts(record: Record, key: str) -> list[str]:
    """`record[key]` if it is a list of text; otherwise an InputError that says where and what."""
    values: list[str] = field(record, key, list)
    for value in values:
        if not isinstance(value, str):
            raise record_error(f'"{key}" must be a list of text, it holds {type_name(value)}')
    return values


def check_name(text: str, what: str) -> str:
    """`text`, a name in a source that becomes part of ids and of the names of image files; otherwise an InputError."""
    if text and not _NO_NAME.search(text):
        return text
    raise record_error(f"{what} must be a name without slashes and line breaks, this is {text!r:.60}")


def name_field(record: Record, key: str) -> str:
    """`record[key]` if it is a name, as `name` wants it."""
    return check_name(field(record, key, str), f'"{key}"')


def _reader(path: str | Path) -> JsonReader:
    try:
        if str(path):
            return JsonReader(TextSource(str(path)))
        raise InputError("no annotations are named; do it with --query_inputs_path (-in)")
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise InputError(f"{path}: no such file; name the annotations with --query_inputs_path (-in)") from error
        raise


def record_error(problem: str) -> InputError:
    """The error that tells what is wrong with the record in use, and where that is; for whoever reads it to raise."""
    here = position()
    return InputError(f"{here or 'record'}: {problem}", here.record if here else None)


def type_name(value: object) -> str:
    """What a JSON value is, in words for a person."""
    return "null" if value is None else _TYPES.get(type(value), "something else")


# FOLDED from nested.py:
# A large object inside of a JSON object, as MIMIC-IT has it: `{"meta": {...}, "data": {"SD_INS_1": {...}, ...}}`.
#
# Item by item in constant memory, each as it stands in the file: an id that comes twice comes twice, where `json.load`
# would keep the last and say nothing.


class DuplicateKeyObject(dict[str, Record]):
    """A JSON object in which a key came more than once; the last one counts, as everywhere."""


def read_nested_items(path: str | Path, name: str) -> Iterator[tuple[str, Record]]:
    """Yields the items of the object under the key `name` of the one object that the file is.

    What stands beside it is read and passed over. Objects with a key that came twice are `Repeated`. Raises InputError
    with file and record, also where `name` is missing or comes twice.
    """
    with closing(_NestedReader(TextSource(str(path)))) as reader:
        yield from reader.items_under(name)


class _NestedReader(JsonReader):
    def items_under(self, name: str) -> Iterator[tuple[str, Record]]:
        found = False
        for key, first in self._keys():
            if key != name:
                self.start = self._scan(_DECODER.raw_decode, "}")[1].start(1)
            elif found:
                raise self._error(f'"{name}" comes twice')
            elif first != "{":
                raise self._error(f'"{name}" must be an object')
            else:
                found = True
                self.start += 1
                yield from self._until("}", _scan_item)
        if not found:
            raise self._error(f'no "{name}" in the object at the top of the file')


def _object(items: list[tuple[str, Record]]) -> dict[str, Record]:
    found = dict(items)
    return found if len(found) == len(items) else DuplicateKeyObject(found)


_DECODER = decoder(_object)
_scan_item = partial(scan_item, values=_DECODER)
