"""Looking at a run, while it works or afterwards: its numbers, or everything about one query."""

from __future__ import annotations

from itertools import count, takewhile
from pathlib import Path

from syphus.errors import InputError
from syphus.formats.report import Report, make_report
from syphus.formats.translation_report import TRANSLATE_STAGE
from syphus.ledger.parts import chunk_id
from syphus.ledger.results import describe_query
from syphus.ledger.store import Store, is_working, open_for_reading
from syphus.runs.generate import GenerateStage
from syphus.runs.run_settings import stored_prices


def read_status(folder: Path) -> Report:
    """The numbers of a run. Raises `RunError` where the folder is none."""
    store = open_for_reading(folder)
    try:
        report = make_report(store, GenerateStage.name, stored_prices(store))
        if report.translation is None or report.counts.total:
            return report
        return make_report(store, TRANSLATE_STAGE, stored_prices(store))  # of a file, whose pairs come from elsewhere
    finally:
        store.close()


def is_running(folder: Path, report: Report) -> bool:
    """Whether the run is working at the moment; after a session that has ended nobody's lock needs to be tried."""
    may_be = report.translation is not None or any(session.ended is None for session in report.sessions[-1:])
    return may_be and is_working(folder)


def read_query(folder: Path, query: str) -> dict[str, object]:
    """One query, JSON values: its annotation, outcome and pairs, every answer with its raw text, the request's key.

    Raises `RunError` where the folder is no run, `InputError` where it has no such query.
    """
    store = open_for_reading(folder)
    try:
        found = (
            describe_query(store, GenerateStage.name, query)
            or describe_query(store, TRANSLATE_STAGE, query)
            or _find_chunks(store, query)
        )
    finally:
        store.close()
    if found is None:
        raise InputError(f"{folder} has no query {query!r}.")
    return found


def _find_chunks(store: Store, pair: str) -> dict[str, object] | None:
    """A long pair, which was translated in pieces."""
    found = takewhile(bool, (describe_query(store, TRANSLATE_STAGE, chunk_id(pair, number)) for number in count(1)))
    pieces = list(found)
    return {"id": pair, "pieces": pieces} if pieces else None
