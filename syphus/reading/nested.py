"""A large object inside of a JSON object, as MIMIC-IT has it: `{"meta": {...}, "data": {"SD_INS_1": {...}, ...}}`.

Item by item in constant memory, each as it stands in the file: an id that comes twice comes twice, where `json.load`
would keep the last and say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from syphus.reading.json_stream import JsonReader
from syphus.reading.json_values import Item, Record, decoder, item_scanner, scan_fault, scan_key
from syphus.reading.text_files import TextSource

T = TypeVar("T")


class Repeated(dict[str, Record]):
    """A JSON object in which a key came more than once; the last one counts, as everywhere."""


def read_nested_items(path: str | Path, name: str) -> Iterator[Item]:
    """Yields the items of the object under the key `name` of the one object that the file is.

    What stands beside it is read and passed over. Objects with a key that came twice are `Repeated`. Raises InputError
    with file and record, also where `name` is missing or comes twice.
    """
    with closing(_NestedReader(TextSource(str(path)))) as reader:
        yield from reader.items_under(name)


class _NestedReader(JsonReader):
    def items_under(self, name: str) -> Iterator[Item]:
        found = False
        mark = self._open("{")
        while mark != "}":
            key = self._take(scan_key)
            if key != name:
                self._take(_DECODER.raw_decode)
            elif found:
                raise self._error(f'"{name}" comes twice')
            else:
                found = True
                if self._peek() != "{":
                    raise self._error(f'"{name}" must be an object')
                yield from self._values("{", "}", _scan_item, whole=False)
            mark = self._peek()
            if mark not in (",", "}"):
                raise self._error("Expecting ',' or '}'", self.start)
            if mark == ",":
                self.start += 1
                self._peek()
        if not found:
            raise self._error(f'no "{name}" in the object at the top of the file')
        self.start += 1
        self._close()

    def _take(self, scan: Callable[[str, int], tuple[T, int]]) -> T:
        """What `scan` reads next, with as much more text as that takes."""
        self._peek()
        while True:
            try:
                value, end = scan(self.text, self.start)
            except (ValueError, RecursionError) as error:
                self._need(*scan_fault(error, self.start))
                continue
            if end == len(self.text) and self._fill():
                continue  # a number may go on
            self.start = end
            return value


def _object(items: list[Item]) -> dict[str, Record]:
    found = dict(items)
    return found if len(found) == len(items) else Repeated(found)


_DECODER = decoder(_object)
_scan_item = item_scanner(_DECODER)
