"""Reads annotation files record by record: JSON arrays, JSON objects and JSON Lines of any size in constant memory.

Files are UTF-8 (a byte order mark is fine) or UTF-16 with a byte order mark, with LF or CRLF, gzipped or not. Anything
that strict JSON does not allow raises an `InputError` that names the file, the record and the line: NaN and Infinity,
numbers too large for a float, lone surrogates, NUL bytes, a truncated end, text after the end. The records before it
are yielded first.

While a record is in use, `position()` returns where it came from, so that an error can name it. `field` and `texts`
take a value out of a record; they raise an error if it is missing or has the wrong type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from syphus.errors import InputError
from syphus.io.json_stream import JsonReader, decoder, scan_item
from syphus.io.record_reader import Record, position
from syphus.io.text_files import Position, TextSource, bad_records, missing
from syphus.text import missing_key, nearest_name

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
    "readable",
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
    """Yield the elements of a file that is one JSON array. Raises `InputError`."""
    with closing(_reader(path)) as reader:
        yield from reader.elements()


def read_json_items(path: str | Path, within: str = "") -> Iterator[tuple[str, Record]]:
    """Yield the (key, value) items of a file that is one JSON object. Raises `InputError`.

    If it has an object under the key `within`, the items of that object are yielded in its place, one by one.
    """
    with closing(_reader(path)) as reader:
        yield from reader.items(within)


def read_json_lists(path: str | Path, *keys: str) -> Iterator[tuple[str, Record]]:
    """Yield (key, element) for the elements of the lists under `keys`, in a file that is one JSON object.

    For files such as COCO's and VIST's, whose lists have hundreds of thousands of elements. Everything else in the
    object is skipped. Raises `InputError`, also if one of the lists is missing.
    """
    with closing(_reader(path)) as reader:
        yield from ((key, value) for key, value in reader.lists() if key in keys)
        for key in keys:
            if key not in reader.list_keys:
                raise InputError(f'{path}: no list "{key}"')


def read_jsonl(path: str | Path) -> Iterator[Record]:
    """Yield the values of a JSON Lines file, one per line; blank lines are skipped. Raises `InputError`."""
    with closing(_reader(path)) as reader:
        yield from reader.lines()


def read_beginning(path: str | Path, characters: int = 200) -> str:
    """Return the first characters of a file, without leading white space, to detect its shape: "[" begins an array.

    Raises `InputError`.
    """
    with closing(_reader(path)) as reader:
        return reader.source.read(1 << 16).lstrip()[:characters]


def field(record: Record, key: str, kind: type[T]) -> T:
    """Return `record[key]` if it has the type `kind`. Otherwise raises `InputError` with the problem and the position.

    As in JSON, a whole number is accepted as a float, and true is not a number.
    """
    if not isinstance(record, dict):
        raise record_error(f"an object is expected, this is {type_name(record)}")
    if key not in record:
        raise record_error(missing_key(key, record))
    value: T = record[key]
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise record_error(f'"{key}" must be {_TYPES.get(kind, kind.__name__)}, this is {type_name(value)}')


def texts(record: Record, key: str) -> list[str]:
    """Return `record[key]` if it is a list of text. Otherwise raises `InputError` with the problem and the position."""
    values: list[str] = field(record, key, list)
    for value in values:
        if not isinstance(value, str):
            raise record_error(f'"{key}" must be a list of text, it holds {type_name(value)}')
    return values


def readable(parts: Iterable[Record], read: Callable[[Record], T], what: str) -> Iterator[T]:
    """Yield what `read` makes of each part of a record, such as a narration; `what` names a part in errors.

    A part for which `read` raises `InputError` is a bad row of its own with `--allow-bad-rows`, and the other parts are
    used. Otherwise the error is raised, with the number of the part.
    """
    for number, part in enumerate(parts, 1):
        try:
            value = read(part)
        except InputError as error:
            problem, bad = f"{error} ({what} {number})", bad_records.get()
            if bad is None:
                raise InputError(f"{problem}; --allow-bad-rows leaves it out", error.record, has_hint=True) from error
            bad.problems.append(problem)
        else:
            yield value


def check_name(text: str, what: str) -> str:
    """Return `text` if it can be part of ids and of names of image files. Otherwise raises `InputError`."""
    if text and not _NO_NAME.search(text):
        return text
    raise record_error(f"{what} must be a name without slashes and line breaks, this is {text!r:.60}")


def name_field(record: Record, key: str) -> str:
    """Return `record[key]` if it is a name that passes `check_name`."""
    return check_name(field(record, key, str), f'"{key}"')


def _reader(path: str | Path) -> JsonReader:
    return JsonReader(annotation_file(path))


def annotation_file(path: str | Path, encoding: str = "") -> TextSource:
    """Open a file of annotations. Raises `InputError`, which says how to name one if there is no such file."""
    if not str(path):
        raise missing_file(path)
    try:
        return TextSource(str(path), encoding=encoding)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise missing_file(path) from error
        raise


def missing_file(path: str | Path) -> InputError:
    """Return the error for annotations that are not there, with the file whose name is most like this one."""
    if not str(path):
        return InputError("no annotations are named; set them with --query_inputs_path (-in)")
    folder = Path(path).parent
    others: list[str] = []
    with suppress(OSError):
        others = [each.name for each in folder.iterdir()]
    near = nearest_name(Path(path).name, others, 0.75)
    hint = f"did you mean {folder / near}? Otherwise name" if near else "name"
    return InputError(f"{missing(path, 'file')}; {hint} the annotations with --query_inputs_path (-in)")


def record_error(problem: str) -> InputError:
    """Return an error that names the problem and the position of the record in use; the caller raises it."""
    location = position()
    return InputError(f"{location or 'record'}: {problem}", location.record if location else None)


def type_name(value: object) -> str:
    """Return what a JSON value is, in words."""
    return "null" if value is None else _TYPES.get(type(value), "something else")


class DuplicateKeyObject(dict[str, Record]):
    """A JSON object with a duplicate key; the last value counts, as usual."""


def read_nested_items(path: str | Path, name: str) -> Iterator[tuple[str, Record]]:
    """Yield the items of the object under the key `name`, in a file that is one JSON object.

    MIMIC-IT's files are like this: `{"meta": {...}, "data": {"SD_INS_1": {...}, ...}}`. Everything else in the file is
    skipped. Duplicate keys are yielded twice, where `json.load` would silently keep the last; objects that have
    duplicate keys themselves are `DuplicateKeyObject`. Raises `InputError` with file and record, also if `name` is
    missing or comes twice.
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
