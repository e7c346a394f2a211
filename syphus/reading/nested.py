"""A large object inside of a JSON object, as MIMIC-IT has it: `{"meta": {...}, "data": {"SD_INS_1": {...}, ...}}`.

Item by item in constant memory, each as it stands in the file: an id that comes twice comes twice, where `json.load`
would keep the last and say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from syphus.reading.json_scan import Record, decoder, scan_item
from syphus.reading.json_stream import JsonReader
from syphus.reading.text_files import TextSource


class Repeated(dict[str, Record]):
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
    return found if len(found) == len(items) else Repeated(found)


_DECODER = decoder(_object)
_scan_item = partial(scan_item, values=_DECODER)
