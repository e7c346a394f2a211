"""`invalid.json`: the queries whose answers were rejected to the last, each with place, reason and raw text.

    [{"id": "00058_67c0ba", "reason": "speaks of its notes", "places": ["speaks of its notes (answer 2: ...)"],
      "annotation": "there is a second motorcycle ...", "answer": "Question: ..."}]

The name is the original's (arXiv 2305.03726v2, 5.3), which has what is in it asked again: that is `--retry invalid`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from syphus.formats.files import replacing
from syphus.ledger.results import Rejected

FILE = "invalid.json"


def write_invalid(path: Path, rejected: Iterable[Rejected]) -> None:
    """Writes the file, one query a line, in UTF-8. Raises `StorageError` where the disk fails."""
    with replacing(path) as file:
        file.write(b"[")
        for number, each in enumerate(rejected):
            entry = {
                "id": each.query,
                "reason": each.reason,
                "places": each.places.splitlines(),
                "annotation": each.annotation,
                "answer": each.answer,
            }
            file.write((b",\n" if number else b"\n") + orjson.dumps(entry))
        file.write(b"\n]\n")
