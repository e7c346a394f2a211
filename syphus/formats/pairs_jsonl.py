"""`pairs.jsonl`: one line a pair, growing while the run works, so that a person can watch it.

While it grows its lines stand in the order in which the answers came. Each commit of the ledger notes how far the file
had got, so after a crash it is cut back to there and goes on; a finished run writes it once more in input order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aiofiles
import orjson

from syphus.types import Pair

FILE = "pairs.jsonl"


class PairsFile:
    """The growing file. `seq` is the newest outcome that it holds, `size` its length in bytes."""

    def __init__(self, path: Path, seq: int, size: int) -> None:
        self.path = path
        self.seq = seq
        self.size = size

    async def append(self, lines: str, seq: int) -> None:
        """Adds lines (each with its line end), up to and with outcome number `seq`."""
        data = lines.encode()
        async with aiofiles.open(self.path, "ab") as file:
            await file.write(data)
        self.size += len(data)
        self.seq = seq


def pair_lines(query: str, image_ids: Sequence[str], pairs: Sequence[Pair], simulated: bool) -> str:
    """One line a pair of a query, JSON in UTF-8: id, query, instruction, answer, image_ids; made-up ones say so."""
    mark = {"simulated": True} if simulated else {}
    lines = []
    for pair in pairs:
        line = {"id": pair.id, "query": query, "instruction": pair.instruction, "answer": pair.answer}
        lines.append(orjson.dumps({**line, "image_ids": image_ids, **mark}, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(lines).decode()
