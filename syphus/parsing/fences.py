"""The code fences of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from syphus.parsing.answer_text import strip

_TICKS = re.compile(r"`{3,}")


class Fence(NamedTuple):
    """A fence in a text: from `start` (its backticks) to `end` (the end of its line)."""

    start: int
    end: int
    opens: bool


def find_fences(text: str) -> Iterator[Fence]:
    """Finds the lines with an odd number of runs of three backticks or more; the last run opens or closes a fence.

    A run with something behind it (```` ```python ````) opens one, and so does a run that is shorter than the one that
    opened the innermost fence: fences stand inside of each other.
    """
    open_runs: list[int] = []
    line_end = 0
    while found := _TICKS.search(text, line_end):
        start, end = found.span()
        line_end = text.find("\n", end)
        line_end = len(text) if line_end < 0 else line_end
        runs = 1
        while found := _TICKS.search(text, end, line_end):
            start, end = found.span()
            runs += 1
        if runs % 2 == 0:
            continue
        opens = not open_runs or end - start < open_runs[-1] or bool(strip(text[end:line_end]))
        if opens:
            open_runs.append(end - start)
        else:
            open_runs.pop()
        yield Fence(start, line_end, opens)
