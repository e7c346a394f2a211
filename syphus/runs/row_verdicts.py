"""What a judge says about the pairs of rows, with its reasons: for those who look at rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from syphus.ledger.records import QUERY_COLUMNS, QUERY_TABLES, query_from_columns
from syphus.ledger.store import Columns, Store
from syphus.runs.pair_verdicts import judged_pairs, read_verdicts
from syphus.runs.run_settings import JUDGE_PAIRS
from syphus.types import State

#: The judge queries about a query have its id, a space and eight hex digits as their ids, so the index finds them.
_ABOUT = f"""
    SELECT {QUERY_COLUMNS}, coalesce(detail, '') FROM {QUERY_TABLES} LEFT JOIN result USING (n)
    WHERE stage = '{JUDGE_PAIRS}' AND id >= ? || ' ' AND id < ? || '!' AND query.state = '{State.OK}'
    AND json_extract(meta, '$.n') = ? AND json_extract(meta, '$.answer') = ?"""  # noqa: S608 - names of ours


class PairCheck(NamedTuple):
    """What a judge says about one pair. `fault` is "" of a pair that stays, `is_useful` whether it teaches anything."""

    instruction: str
    answer: str
    fault: str
    is_useful: bool
    reason: str  #: the judge's own, one sentence
    judge: str  #: the name of its model

    def line(self) -> str:
        """Return the verdict as one line, without the pair."""
        said = self.fault or ("fine" if self.is_useful else "fine, but not useful")
        return f"{said}: {self.reason}" if self.reason else said


class JudgedRow(NamedTuple):
    """A row to look up: the number and the id of its query, and the number of its newest answer (0 without one)."""

    n: int
    id: str
    answer: int


def read_checks(store: Store, rows: Sequence[JudgedRow]) -> Mapping[int, tuple[PairCheck, ...]]:
    """Return what judges say about the newest answers of rows, by the number of the query; of the others nothing."""
    if store.read_one("SELECT 1 FROM query WHERE stage = ? LIMIT 1", JUDGE_PAIRS) is None:
        return {}
    found = {row.n: tuple(_checks_of(store, row)) for row in rows}
    return {n: checks for n, checks in found.items() if checks}


def _checks_of(store: Store, row: JudgedRow) -> Iterator[PairCheck]:
    for columns in store.read(_ABOUT, row.id, row.id, row.n, row.answer):
        yield from _checks_in(columns)


def _checks_in(columns: Columns) -> Iterator[PairCheck]:
    *query_columns, detail = columns
    query = query_from_columns(*query_columns)
    pairs = judged_pairs(query).pairs
    verdicts, _ = read_verdicts(detail, len(pairs))
    for (instruction, answer), verdict in zip(pairs, verdicts, strict=False):
        judge = str(query.meta.get("judge", ""))
        yield PairCheck(instruction, answer, verdict.fault, verdict.is_useful, verdict.reason, judge)
