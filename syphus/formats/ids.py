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
        db.execute("CREATE TABLE id (name TEXT PRIMARY KEY, query TEXT) WITHOUT ROWID")
        for result in results:
            for pair in result.pairs:
                try:
                    db.execute("INSERT INTO id VALUES (?, ?)", (pair.id, result.query))
                except sqlite3.IntegrityError:
                    (other,) = db.execute("SELECT query FROM id WHERE name = ?", (pair.id,)).fetchone()
                    raise RunError(
                        f"Pairs of the queries {other!r} and {result.query!r} have the same id {pair.id!r}. Nothing is "
                        "lost: have the plugin's instruction_id tell them apart, and run the same command; it costs "
                        "nothing."
                    ) from None
            yield result
