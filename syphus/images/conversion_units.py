"""The files to convert, with the ids of the images that are taken from each.

The list follows from what a plugin says about its images. With `RequestedImages`, it holds only what the pairs name.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from syphus.declarations import Frame, Still, Video
from syphus.images.convert_options import ImageJob
from syphus.io.durable import temporary_database
from syphus.text import normal_forms

_CACHE = 32_000  # KiB
_LAST = "\U0010ffff"  # sorts after every other character


class RequestedImages:
    """The ids of the images that the pairs name, possibly millions, in a temporary file.

    They are compared in one Unicode form: the name of a file may have another one than the annotations.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE wanted (form TEXT, id TEXT, PRIMARY KEY (form, id)) WITHOUT ROWID")
        rows = ((_form(image_id), image_id) for image_id in ids)
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?)", rows)

    def __iter__(self) -> Iterator[str]:
        for (image_id,) in self._db.execute("SELECT id FROM wanted ORDER BY id"):
            yield image_id

    def ids_of(self, image_id: str) -> list[str]:
        """Return an id as the pairs name it, in one or several Unicode forms; [] if no pair does."""
        return [name for (name,) in self._db.execute("SELECT id FROM wanted WHERE form = ?", (_form(image_id),))]

    def seconds(self, video: Video) -> dict[float, list[str]]:
        """Return the requested seconds of a video, in ascending order, each with its ids."""
        prefix = _form(video.prefix)
        rows = self._db.execute("SELECT form FROM wanted WHERE form >= ? AND form < ?", (prefix, prefix + _LAST))
        suffixes = {form[len(prefix) :] for (form,) in rows.fetchall()}
        seconds = sorted(int(suffix) for suffix in suffixes if suffix.isascii() and suffix.isdecimal())
        found = {second: self.ids_of(video.id(second)) for second in seconds}
        return {second: ids for second, ids in found.items() if ids}


def _form(image_id: str) -> str:
    """Return the form in which ids are compared. An id of a file whose name is not UTF-8 equals no other."""
    if image_id.isascii():
        return image_id
    return unicodedata.normalize("NFC", image_id.encode("utf-8", "backslashreplace").decode("utf-8"))


@dataclass(frozen=True, slots=True)
class ConversionUnit:
    """One file, and the ids of the images taken from it: under the key 0 for a still, under its seconds for a video.

    A video without `ids` is converted whole; its ids follow from its seconds.
    """

    path: Path
    ids: dict[float, list[str]] = field(default_factory=dict)
    video: Video | None = None  #: only for a video that is converted whole
    is_video: bool = False
    urls: tuple[str, ...] = ()

    def ids_of(self, key: float) -> list[str]:
        """Return the ids of the image under a key."""
        return self.ids.get(key) or ([self.video.id(int(key))] if self.video else [])

    def job(self, number: int, roots: Sequence[str], threads: int) -> ImageJob:
        """Return the job that a decoder process gets for this file."""
        seconds = list(self.ids) if self.is_video and self.ids else None
        return ImageJob(number, str(self.path), tuple(roots), self.is_video, seconds, threads)


def conversion_units(
    sources: Iterable[Still | Frame | Video], roots: Sequence[Path], requested: RequestedImages | None
) -> Iterator[ConversionUnit]:
    """Yield the units in the order of the sources. Consecutive frames of one video form one unit.

    A relative path is looked up in each of the `roots`; the first that has the file wins. With `requested`, all other
    images are left out.
    """
    frames: dict[float, list[str]] = {}
    frames_path: Path | None = None
    for source in sources:
        ids = [] if isinstance(source, Video) else [source.id] if requested is None else requested.ids_of(source.id)
        if not ids and not isinstance(source, Video):
            continue
        path = _resolve(Path(source.video if isinstance(source, Frame) else source.path), roots)
        if frames_path is not None and not (isinstance(source, Frame) and path == frames_path):
            yield _frames_unit(frames_path, frames)
            frames_path, frames = None, {}
        if isinstance(source, Frame):
            frames_path = path
            frames.setdefault(source.second, []).extend(ids)
        elif isinstance(source, Still):
            yield ConversionUnit(path, {0: ids}, urls=source.urls)
        elif requested is None:
            yield ConversionUnit(path, video=source, is_video=True)
        elif seconds := requested.seconds(source):
            yield ConversionUnit(path, seconds, is_video=True)
    if frames_path is not None:
        yield _frames_unit(frames_path, frames)


def _frames_unit(path: Path, frames: dict[float, list[str]]) -> ConversionUnit:
    return ConversionUnit(path, dict(sorted(frames.items())), is_video=True)


def _resolve(path: Path, roots: Sequence[Path]) -> Path:
    if path.is_absolute() or len(roots) == 1:
        candidates = [roots[0] / path]
        if str(path).isascii():
            return candidates[0]
    else:
        candidates = [root / path for root in roots]
    forms = (form for candidate in candidates for form in normal_forms(str(candidate)))
    found = (Path(form) for form in forms if os.path.exists(form))  # noqa: PTH110 - `Path` raises for a long name
    return next(found, candidates[0])


class SourceSummary(NamedTuple):
    """How many units there are, how many of them are videos, their total bytes, and a digest of all units."""

    units: int
    videos: int
    bytes: int
    digest: str


def summarize_units(units: Iterable[ConversionUnit]) -> SourceSummary:
    """Count the units, and hash what the store depends on: ids, paths, and the sizes and times of the files.

    State files and finished stores hold the digest, so the hashed text must not change.
    """
    digest = hashlib.blake2b(digest_size=16)
    count = videos = size = 0
    for unit in units:
        count += 1
        videos += unit.is_video
        version = ""
        try:
            status = os.stat(unit.path)  # noqa: PTH116 - there may be a million files
            size += status.st_size
            if not unit.urls:  # a photo with URLs may be downloaded between two runs of the same conversion
                version = f"{status.st_size} {status.st_mtime_ns}"
        except (OSError, ValueError):
            pass
        named = unit.video or sorted(unit.ids.items())
        digest.update(f"{unit.path}\0{named}\0{version}\n".encode(errors="surrogateescape"))
    return SourceSummary(count, videos, size, digest.hexdigest())
