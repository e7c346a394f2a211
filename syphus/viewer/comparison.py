"""The queries of several runs beside each other: what became of each, and its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from syphus.ledger.parts import marks
from syphus.ledger.serialization import load_pairs
from syphus.ledger.store import Columns, Store
from syphus.runs.run_settings import GENERATE
from syphus.text import one_line
from syphus.viewer.ledger_access import read_ledger

MOST_RUNS = 4  #: beside each other
_ROWS = 20  #: of a page
_LOOKED_AT = 400  #: rows that one page looks at, where only those that differ are wanted
_ANNOTATION = 600  #: characters
_QUERY = "q.n, q.id, q.state, q.reason, q.position, r.pairs"
_FROM = "FROM query q LEFT JOIN result r USING (n)"


def compare_rows(folders: Sequence[Path], after: str = "", *, only: bool = False) -> dict[str, object]:
    """Return a page of queries of the first run, each with what the other runs have of the same id.

    `after` is the `next` of the page before. With `only`, queries whose pairs and states are the same are left out.
    """
    position = int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else -1
    first, *others = folders
    rows: list[dict[str, object]] = []
    looked_at, ended = 0, False
    while len(rows) < _ROWS and looked_at < _LOOKED_AT and not ended:
        found = read_ledger(first, partial(_page, after=position))
        ended = len(found) < _ROWS
        ids = [str(columns[1]) for columns in found]
        beside = [read_ledger(folder, partial(_of_ids, ids=ids)) for folder in others]
        for columns in found:
            looked_at, position = looked_at + 1, columns[4]
            cells = [_cell(columns), *(_cell(each.get(columns[1])) for each in beside)]
            if only and all(_same(cells[0], each) for each in cells[1:]):
                continue
            rows.append({"id": columns[1], "annotation": one_line(columns[6] or "", _ANNOTATION), "runs": cells})
            if len(rows) == _ROWS:
                break
    is_last = ended and len(rows) < _ROWS
    return {"rows": rows, "next": None if is_last else str(position), "looked_at": looked_at}


def _page(store: Store, after: int) -> list[Columns]:
    return store.read(
        f"SELECT {_QUERY}, a.text {_FROM} LEFT JOIN annotation a USING (n) "
        "WHERE q.stage = ? AND q.position > ? ORDER BY q.position LIMIT ?",
        *(GENERATE, after, _ROWS),
    )


def _of_ids(store: Store, ids: Sequence[str]) -> dict[str, Columns]:
    rows = store.read(
        f"SELECT {_QUERY} {_FROM} WHERE q.stage = ? AND q.position IS NOT NULL AND q.id IN ({marks(ids)})",
        *(GENERATE, *ids),
    )
    return {row[1]: row for row in rows}


def _cell(columns: Columns | None) -> dict[str, object] | None:
    """Return what a run has of a query; None if it does not have the query."""
    if columns is None:
        return None
    pairs = load_pairs(columns[5] or "[]")
    return {
        "n": columns[0],
        "state": columns[2],
        "reason": columns[3],
        "pairs": [{"id": pair.id, "instruction": pair.instruction, "answer": pair.answer} for pair in pairs],
    }


def _same(one: dict[str, object] | None, other: dict[str, object] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one["state"] == other["state"] and one["pairs"] == other["pairs"]
