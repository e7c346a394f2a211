"""`pairs.jsonl`: one line a pair, growing while the run works, so that a person can watch it.

While it grows its lines stand in the order in which the answers came. Each commit of the ledger notes how far the file
had got, so after a crash it is cut back to there and goes on; a finished run writes it once more in input order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import aiofiles
import orjson
from aiofiles.threadpool.binary import AsyncFileIO

from syphus.io.durable import replace_file
from syphus.ledger.results import RejectedAnswer
from syphus.ledger.serialization import StoredPair
from syphus.types import Pair

PAIRS_FILE = "pairs.jsonl"


class PairsFile:
    """The growing file. `seq` is the newest outcome that it holds, `size` its length in bytes."""

    def __init__(self, path: Path, seq: int, size: int) -> None:
        self.path = path.absolute()  # opened in a thread, while a plugin may be in another folder
        self.seq = seq
        self.size = size
        self._file: AsyncFileIO | None = None

    async def append(self, lines: str, seq: int) -> None:
        """Adds lines (each with its line end), up to and with outcome number `seq`. Raises `OSError`."""
        if self._file is None:
            self._file = await aiofiles.open(self.path, "ab", buffering=0)
        data = lines.encode()
        written = 0
        while written < len(data):  # a disk that fills up takes a part
            written += await self._file.write(data[written:])
        self.size += len(data)
        self.seq = seq

    async def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            await self._file.close()


def pair_lines(query: str, image_ids: Sequence[str], pairs: Sequence[Pair | StoredPair], simulated: bool) -> str:
    """One line a pair of a query, JSON in UTF-8: id, query, instruction, answer, image_ids; made-up ones say so."""
    mark = {"simulated": True} if simulated else {}
    lines = []
    for pair in pairs:
        line = {"id": pair.id, "query": query, "instruction": pair.instruction, "answer": pair.answer}
        lines.append(orjson.dumps({**line, "image_ids": image_ids, **mark}, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(lines).decode()


# FOLDED from invalid_json.py:
# `invalid.json`: the queries whose answers were rejected to the last, each with place, reason and raw text.
#
#     [{"id": "00058_67c0ba", "reason": "speaks of its notes", "places": ["speaks of its notes (answer 2: ...)"],
#       "annotation": "there is a second motorcycle ...", "answer": "Question: ..."}]
#
# The name is the original's (arXiv 2305.03726v2, 5.3), which has what is in it asked again: that is `--retry invalid`.

INVALID_FILE = "invalid.json"


def write_invalid_file(path: Path, rejected: Iterable[RejectedAnswer]) -> None:
    """Writes the file, one query a line, in UTF-8. Raises `StorageError` where the disk fails."""
    with replace_file(path) as file:
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
