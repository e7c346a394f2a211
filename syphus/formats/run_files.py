"""The files of a run that people watch: `pairs.jsonl`, which grows while the run works, and `invalid.json`.

While a run works, the lines of `pairs.jsonl` are in the order in which the answers arrive. Each commit of the ledger
notes the length of the file. After a crash the file is cut back to that length, and grows on. A finished run writes it
again, in input order.
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
INVALID_FILE = "invalid.json"


class PairsFile:
    """The growing `pairs.jsonl`. `seq` is the newest outcome that it holds, `size` its length in bytes."""

    def __init__(self, path: Path, seq: int, size: int) -> None:
        self.path = path.absolute()  # opened in a thread, after a plugin may have changed the current folder
        self.seq = seq
        self.size = size
        self._file: AsyncFileIO | None = None

    async def append(self, lines: str, seq: int) -> None:
        """Append whole lines, up to and including outcome number `seq`. Raises `OSError`."""
        if self._file is None:
            self._file = await aiofiles.open(self.path, "ab", buffering=0)
        data = lines.encode()
        written = 0
        while written < len(data):  # a disk that fills up takes only a part
            written += await self._file.write(data[written:])
        self.size += len(data)
        self.seq = seq

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._file.close()


def pair_lines(query: str, image_ids: Sequence[str], pairs: Sequence[Pair | StoredPair], simulated: bool) -> str:
    """Return the JSON lines of a query's pairs: id, query, instruction, answer, image_ids, and `simulated` if true."""
    simulated_mark = {"simulated": True} if simulated else {}
    lines = []
    for pair in pairs:
        line = {"id": pair.id, "query": query, "instruction": pair.instruction, "answer": pair.answer}
        lines.append(orjson.dumps({**line, "image_ids": image_ids, **simulated_mark}, option=orjson.OPT_APPEND_NEWLINE))
    return b"".join(lines).decode()


def write_invalid_file(path: Path, rejected: Iterable[RejectedAnswer]) -> None:
    """Write `invalid.json`: the queries whose last answer was rejected, with reason, places and raw answer.

    One query per line, in UTF-8:

        [{"id": "00058_67c0ba", "reason": "speaks of its notes", "places": ["speaks of its notes (answer 2: ...)"],
          "annotation": "there is a second motorcycle ...", "answer": "Question: ..."}]

    The name is the original's (arXiv 2305.03726v2, 5.3), which asks for these queries again; here, `--retry invalid`
    does. Raises `StorageError` if the disk fails.
    """
    with replace_file(path) as file:
        file.write(b"[")
        for number, answer in enumerate(rejected):
            entry = {
                "id": answer.query,
                "reason": answer.reason,
                "places": answer.places.splitlines(),
                "annotation": answer.annotation,
                "answer": answer.answer,
            }
            file.write((b",\n" if number else b"\n") + orjson.dumps(entry))
        file.write(b"\n]\n")
