"""Where a record stands, and which records are passed over."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands: the file as it was named, the number of the record and its first line, both from 1.

    `part` is the key of the list that it is an element of, where the file is an object of lists.
    """

    path: str
    number: int
    line: int
    part: str = ""

    @property
    def record(self) -> tuple[str, int]:
        """The file, with the key of the list where there is one, and the number: what no other record has."""
        return _named(self.path, self.part), self.number

    def __str__(self) -> str:
        return f"{_named(self.path, self.part)} record {self.number} (line {self.line})"


@dataclass(slots=True)
class Tolerance:
    """What is passed over, instead of ending the reading at the first.

    `found` collects what is wrong with bad lines and with the records of `left_out` (by `Position.record`) as they come
    by. `several` files are read side by side: a record that is left out would shift one against the other.
    """

    found: list[str] = field(default_factory=list)
    left_out: dict[tuple[str, int], str] = field(default_factory=dict)
    several: bool = False

    def told(self, path: str, part: str, number: int) -> str:
        """Why a record is left out, or ""."""
        return self.left_out.get((_named(path, part), number), "") if self.left_out else ""


tolerated: ContextVar[Tolerance | None] = ContextVar("tolerated", default=None)


def _named(path: str, part: str) -> str:
    return f"{path}: {part}," if part else f"{path}:"
