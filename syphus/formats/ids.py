"""Ids that may come only once, over millions of pairs: in a temporary file rather than in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from syphus.errors import RunError
from syphus.ledger.results import Result


def distinct(results: Iterable[Result]) -> Iterator[Result]:
    """Hands the results on; raises `RunError` at the first pair whose id another one had before."""
    with closing(sqlite3.connect("")) as db:  # SQLite's own temporary file, gone when closed
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("CREATE TABLE id (name TEXT PRIMARY KEY) WITHOUT ROWID")
        for result in results:
            for pair in result.pairs:
                try:
                    db.execute("INSERT INTO id VALUES (?)", (pair.id,))
                except sqlite3.IntegrityError:
                    raise RunError(
                        f"Two pairs have the id {pair.id!r}: the plugin's instruction_id must tell them apart."
                    ) from None
            yield result
