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
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from syphus.errors import InputError
from syphus.reading.json_scan import Record
from syphus.reading.json_stream import JsonReader, position
from syphus.reading.places import Position
from syphus.reading.text_files import TextSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "Position",
    "Record",
    "beginning",
    "field",
    "kind_of",
    "name",
    "name_field",
    "position",
    "read_json",
    "read_json_items",
    "read_json_lists",
    "read_jsonl",
    "record_error",
    "texts",
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
            if key not in reader.seen:
                raise InputError(f'{path}: no list "{key}"')


def read_jsonl(path: str | Path) -> Iterator[Record]:
    """Yields the values of a JSON Lines file, one a line; blank lines are passed over. Raises InputError."""
    with closing(_reader(path)) as reader:
        yield from reader.lines()


def beginning(path: str | Path, characters: int = 200) -> str:
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
        raise record_error(f"an object is expected, this is {kind_of(record)}")
    if key not in record:
        raise record_error(f'no "{key}"')
    value: T = record[key]
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise record_error(f'"{key}" must be {_TYPES.get(kind, kind.__name__)}, this is {kind_of(value)}')


def texts(record: Record, key: str) -> list[str]:
    """`record[key]` if it is a list of text; otherwise an InputError that says where and what."""
    values: list[str] = field(record, key, list)
    for value in values:
        if not isinstance(value, str):
            raise record_error(f'"{key}" must be a list of text, it holds {kind_of(value)}')
    return values


def name(text: str, what: str) -> str:
    """`text`, a name in a source that becomes part of ids and of the names of image files; otherwise an InputError."""
    if text and not _NO_NAME.search(text):
        return text
    raise record_error(f"{what} must be a name without slashes and line breaks, this is {text!r:.60}")


def name_field(record: Record, key: str) -> str:
    """`record[key]` if it is a name, as `name` wants it."""
    return name(field(record, key, str), f'"{key}"')


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


def kind_of(value: object) -> str:
    """What a JSON value is, in words for a person."""
    return "null" if value is None else _TYPES.get(type(value), "something else")
