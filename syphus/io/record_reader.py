"""What all readers of records have in common: the position of the record in use, and bad records.

While a record is in use, `position()` returns where it came from, so that an error can name it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, TypeAlias

from syphus.errors import InputError
from syphus.io.text_files import Position, bad_records

Record: TypeAlias = Any  # any JSON value; with `object`, every plugin would have to cast every field


class RecordReader:
    """The base of all readers: it counts the records of the file at `path`, and registers the one in use."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.number = 0  #: of the record last yielded
        self.part = ""  #: the key of its list
        self._done = False

    def position(self) -> Position:
        """Return the position of the record last yielded."""
        return Position(self.path, self.number, 0, self.part)

    def close(self) -> None:
        """Unregister. If it is closed halfway, the position of the last record is kept until the next record."""
        others = tuple(other for other in open_readers.get() if other is not self)
        half_way = open_readers.get()[-1] is self and not self._done
        open_readers.set((*others, self.position()) if half_way else others)

    def _note(self, value: Record) -> bool:  # noqa: ARG002 - for subclasses
        """Register a value that is about to be yielded; return False if it must be skipped."""
        self.number += 1
        bad = bad_records.get()
        if bad is not None and (reason := bad.skip_reason(self.path, self.part, self.number)):
            bad.problems.append(reason)
            return False
        self._register()
        return True

    def _register(self) -> None:
        """Make this the reader whose record is in use."""
        bad = bad_records.get()
        if open_readers.get()[-1] is not self:
            open_ones = [other for other in open_readers.get() if other is not self and not isinstance(other, Position)]
            if bad is not None and any(open_ones):
                bad.has_parallel_files = True
            open_readers.set((*open_ones, self))

    def _collect(self, error: InputError) -> None:
        """Collect a bad record, or raise its error if the caller does not collect them."""
        bad = bad_records.get()
        if bad is None:
            error.record = error.record or (self.path, self.number + 1)  # says that this record could be left out
            raise error
        self.number += 1
        bad.problems.append(str(error))


OpenReaders: TypeAlias = tuple[RecordReader | Position | None, ...]

# The open readers of this context, the one that yielded last at the end; None stands for no reader. A Position stands
# for a reader that was closed halfway: an exception closes readers before anybody can ask for the position.
open_readers: ContextVar[OpenReaders] = ContextVar("open_readers", default=(None,))


def position() -> Position | None:
    """Return the position of the record last yielded, or None if no reader is open.

    If several readers are open, the one that yielded last counts, and when it is done, the one before. Positions are
    stored in the current `contextvars` context, so code that runs in separate contexts never mixes them up.
    """
    reader = next((each for each in reversed(open_readers.get()) if isinstance(each, RecordReader)), None)
    return reader.position() if reader else None


def position_of_failure(before: OpenReaders | None) -> Position | None:
    """Return the position of the record whose use failed; `before` is what `open_readers` held before that use."""
    last = open_readers.get()[-1]
    if isinstance(last, Position) and not (before and last is before[-1]):
        return last
    return position()
