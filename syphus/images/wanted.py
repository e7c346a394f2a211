"""The image ids that the pairs name: with them, just those images are converted, and what is missing is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syphus.ledger.temporary import temporary_database
from syphus.types import Video

_CACHE = 32_000  # KiB
_LAST = "\U0010ffff"


class Wanted:
    """Ids by the million, in a temporary file."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE wanted (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((each,) for each in ids))

    def __contains__(self, image_id: str) -> bool:
        return self._db.execute("SELECT 1 FROM wanted WHERE id = ?", (image_id,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        for (name,) in self._db.execute("SELECT id FROM wanted ORDER BY id"):
            yield name

    def seconds(self, video: Video) -> list[int]:
        """The seconds of a video that are named, in order."""
        rows = self._db.execute(
            "SELECT id FROM wanted WHERE id >= ? AND id < ?", (video.prefix, video.prefix + _LAST)
        ).fetchall()
        numbers = (name[len(video.prefix) :] for (name,) in rows)
        found = sorted(int(number) for number in numbers if number.isascii() and number.isdecimal())
        return [second for second in found if video.id(second) in self]
