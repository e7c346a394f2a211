"""The sentences and tables after a cold start or a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syphus.runs.cold_start.advice import shortcomings
from syphus.runs.cold_start.search import Ended
from syphus.terminal.corpus import columns
from syphus.terminal.telling import going_on
from syphus.text import MADE_UP, dollars, many, one_line

if TYPE_CHECKING:
    from syphus.runs.compare import Compared


def searched(ended: Ended, command: str) -> list[str]:
    """How a cold start ended: what was found or is missing, what to try, what it has cost, where it is."""
    found, spending = ended.found, ended.report.spending
    cost = "cost unknown" if ended.report.cost is None else dollars(ended.report.cost)
    lines = [str(ended.stopped_by)] if ended.stopped_by is not None else []
    if found.satisfactory:
        lines.append(f"Satisfactory: {many(len(found.examples), 'in-context example')}.")
    elif found.best or found.missing:  # otherwise nothing was proven, one way or the other
        lines.append("Not satisfactory." + (" The best set is kept." if found.best else ""))
        lines += shortcomings(found)
    lines.append(f"{many(spending.requests, 'request')}, {cost} in this run so far")
    if ended.report.simulated:
        lines.append(MADE_UP)
    if ended.files:
        lines.append(f"Files: {', '.join(ended.files)}")
    return [*lines, going_on(ended.stopped_by, command)] if ended.stopped_by is not None else lines


def compared(done: Compared) -> list[str]:
    """The table: a line a number, a column a prompt and model; then each against the first."""
    head = ["", *(each.name for each in done.variants)]
    rows = [head, *([name, *cells] for name, cells in done.rows())]
    lines = columns(rows, 1)
    lines += [one_line(f"{name}: {told}", 300) for name, told in done.against_the_first()]
    return lines
