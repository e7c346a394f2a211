"""Look at a run, during it or afterwards: its numbers, or everything about one query."""

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
    """Return the numbers of a run. Raises `RunError` if the folder is no run."""
    store = open_for_reading(folder)
    try:
        report = make_report(store, GenerateStage.name, stored_prices(store))
        if report.translation is None or report.counts.total:
            return report
        return make_report(store, TRANSLATE_STAGE, stored_prices(store))  # the translation of a file
    finally:
        store.close()


def is_running(folder: Path, report: Report) -> bool:
    """Return whether a process is working on the run. After a session that has ended, it tries no lock."""
    may_be = report.translation is not None or any(session.ended is None for session in report.sessions[-1:])
    return may_be and is_working(folder)


def read_query(folder: Path, query: str) -> dict[str, object]:
    """Return one query as JSON values: annotation, outcome, pairs, and every answer with its raw text and request key.

    Raises `RunError` if the folder is no run, `InputError` if it has no such query.
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
    """Return the chunks of a long pair, which was translated chunk by chunk."""
    found = takewhile(bool, (describe_query(store, TRANSLATE_STAGE, chunk_id(pair, number)) for number in count(1)))
    chunks = list(found)
    return {"id": pair, "pieces": chunks} if chunks else None
