"""What is to be converted, file by file, from what a plugin says of its images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from syphus.images.worker_protocol import ImageJob
from syphus.io.durable import temporary_database
from syphus.types import Frame, Still, Video

# FOLDED from wanted.py:
# The image ids that the pairs name: with them, just those images are converted, and what is missing is known.

_CACHE = 32_000  # KiB
_LAST = "\U0010ffff"


class RequestedImages:
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


@dataclass(frozen=True, slots=True)
class ConversionUnit:
    """One file, and the ids of what is taken from it: of a still under the key 0, of a video under its seconds.

    A video without `ids` is taken whole, and names its seconds itself.
    """

    path: Path
    ids: dict[float, list[str]] = field(default_factory=dict)
    video: Video | None = None  #: a whole one
    is_video: bool = False
    urls: tuple[str, ...] = ()

    def ids_of(self, key: float) -> list[str]:
        """The ids of the image under a key."""
        return self.ids.get(key) or ([self.video.id(int(key))] if self.video else [])

    def job(self, number: int, roots: Sequence[str], threads: int) -> ImageJob:
        """The same for a process that decodes."""
        seconds = list(self.ids) if self.is_video and self.ids else None
        return ImageJob(number, str(self.path), tuple(roots), self.is_video, seconds, threads)


class SourceListing(NamedTuple):
    """All units in numbers: how many there are, how many of them videos, their bytes, and a digest of it all."""

    units: int
    videos: int
    bytes: int
    digest: str


def units(
    sources: Iterable[Still | Frame | Video], roots: Sequence[Path], wanted: RequestedImages | None
) -> Iterator[ConversionUnit]:
    """Yields the units in the order of the sources; frames of a video that come one after the other are one unit.

    Relative paths start at the first of the `roots` that has them. With `wanted`, what it does not name is left out.
    """
    frames: dict[float, list[str]] = {}
    of: Path | None = None
    for source in sources:
        if wanted is not None and not isinstance(source, Video) and source.id not in wanted:
            continue
        path = _placed(Path(source.video if isinstance(source, Frame) else source.path), roots)
        if of is not None and not (isinstance(source, Frame) and path == of):
            yield _of_frames(of, frames)
            of, frames = None, {}
        if isinstance(source, Frame):
            of = path
            frames.setdefault(source.second, []).append(source.id)
        elif isinstance(source, Still):
            yield ConversionUnit(path, {0: [source.id]}, urls=source.urls)
        elif wanted is None:
            yield ConversionUnit(path, video=source, is_video=True)
        elif seconds := wanted.seconds(source):
            yield ConversionUnit(path, {second: [source.id(second)] for second in seconds}, is_video=True)
    if of is not None:
        yield _of_frames(of, frames)


def list_units(found: Iterable[ConversionUnit]) -> SourceListing:
    """Counts them, and hashes what the result depends on: ids, paths, and sizes and times of the files."""
    digest = hashlib.blake2b(digest_size=16)
    count = videos = size = 0
    for unit in found:
        count += 1
        videos += unit.is_video
        try:
            seen = os.stat(unit.path)  # noqa: PTH116 - of a million files
            size += seen.st_size
            told = "" if unit.urls else f"{seen.st_size} {seen.st_mtime_ns}"  # downloaded meanwhile, or not
        except (OSError, ValueError):
            told = ""
        named = unit.video or sorted(unit.ids.items())
        digest.update(f"{unit.path}\0{named}\0{told}\n".encode(errors="surrogateescape"))
    return SourceListing(count, videos, size, digest.hexdigest())


def _of_frames(path: Path, frames: dict[float, list[str]]) -> ConversionUnit:
    return ConversionUnit(path, dict(sorted(frames.items())), is_video=True)


def _placed(path: Path, roots: Sequence[Path]) -> Path:
    if path.is_absolute() or len(roots) == 1:
        return roots[0] / path
    places = [root / path for root in roots]
    return next((place for place in places if place.exists()), places[0])
