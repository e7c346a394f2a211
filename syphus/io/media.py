"""Image and video files below a folder, and listings of the frames of scenes and videos.

If annotations don't name the frames, a file `frames.txt` beside them lists the path of one frame per line, as
`find . -name '*.jpg'` prints it in the folder of the frames:

    ./scene0000_00/color/000100.jpg

The first folder is the scene or the video. In an image store, a frame is named by its path without the suffix, with
`_` for `/`: `scene0000_00_color_000100`, like ScanNet's frames in the original Convert-It.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

from syphus.errors import InputError
from syphus.io.text_files import read_text

FILE = "frames.txt"
_DIGITS = re.compile(r"\d+")
_MAX_BYTES = 1 << 28  # of a listing; about three million frames


def listing_path(path: str | Path) -> Path:
    """Return the path of the listing beside the annotations at `path`; it may not exist."""
    return Path(path).parent / FILE


class Frames:
    """The listing beside the annotations at `path`, if there is one: UTF-8, in any order; blank lines are ignored.

    Raises `InputError` with file and line for a line that is not the path of a frame in a folder.
    """

    def __init__(self, path: str | Path) -> None:
        self._listing = listing_path(path)
        self._names: dict[str, list[str]] = {}
        if not self._listing.is_file():
            return
        for number, line in enumerate(read_text(self._listing, _MAX_BYTES).splitlines(), 1):
            if line.strip():
                self._add(PurePosixPath(line.strip()), number)
        for names in self._names.values():
            names.sort(key=natural_sort_key)

    def names(self, scene: str) -> list[str]:
        """Return all frames of a scene or video in the order of their numbers; [] if there is no listing.

        Raises `InputError` if the listing has no frames of it.
        """
        if not self._names:
            return []
        if scene not in self._names:
            raise InputError(f"{self._listing}: no frames of {scene}")
        return self._names[scene]

    def _add(self, frame: PurePosixPath, number: int) -> None:
        if len(frame.parts) < 2 or frame.is_absolute() or not frame.suffix:
            raise InputError(
                f"{self._listing}: line {number}: a path such as scene0000_00/color/000100.jpg is expected"
            )
        self._names.setdefault(frame.parts[0], []).append(frame_name(frame))


def frame_name(frame: PurePath) -> str:
    """Return `scene0000_00_color_000100` for `scene0000_00/color/000100.jpg`."""
    return "_".join(frame.with_suffix("").parts)


def natural_sort_key(name: str) -> str:
    """Return a sort key that puts frame 9 before frame 10, with or without leading zeros.

    Each number becomes its length and its digits; names with equal numbers are sorted as text. All names of a folder
    are sorted at once, and a text needs a quarter of the memory of a list of numbers and texts.
    """
    return _DIGITS.sub(_sortable, name) + f"\0\0{name}"


def _sortable(digits: re.Match[str]) -> str:
    number = str(int(digits[0]))
    return f"\0{len(number):03}{number}"


IMAGES = frozenset((
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif",
))  # fmt: skip
VIDEOS = frozenset((
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".flv", ".wmv", ".asf",
    ".3gp", ".ogv", ".ogg", ".vob", ".mxf", ".f4v",
))  # fmt: skip
_FILE, _FOLDER = "-d"


def image_files(folder: str | Path) -> Iterator[Path]:
    """Yield the image files below a folder, by their suffixes, frame 9 before frame 10. Raises `InputError`."""
    return _files(folder, IMAGES, "image")


def video_files(folder: str | Path) -> Iterator[Path]:
    """Yield the video files below a folder, by their suffixes, in the order of their names. Raises `InputError`."""
    return _files(folder, VIDEOS, "video")


def _files(folder: str | Path, suffixes: frozenset[str], kind: str) -> Iterator[Path]:
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: must be a folder of {kind}s; set it with --image_path")
    found = False
    for file in _below(str(folder), {os.path.realpath(folder)}):
        if os.path.splitext(file)[1].lower() in suffixes:  # noqa: PTH122 - a Path for each of millions costs a second
            found = True
            yield Path(file)
    if not found:
        raise InputError(f"{folder}: no {kind} file in it ({' '.join(sorted(suffixes))})")


def _below(folder: str, above: set[str]) -> Iterator[str]:
    """Yield all files. Links to folders are followed unless they lead to one of the folders `above`.

    Links that lead out of the folder are followed, too, so that they can be reported.
    """
    try:
        with os.scandir(folder) as entries:
            visible = (entry for entry in entries if not entry.name.startswith("."))
            ordered = sorted(
                f"{natural_sort_key(entry.name)}{_FOLDER if _is_folder(entry) else _FILE}" for entry in visible
            )
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    for each in ordered:
        path = os.path.join(folder, each[each.rindex("\0") + 1 : -1])  # noqa: PTH118 - as above
        if each[-1] == _FILE:
            yield path
        elif (real := os.path.realpath(path)) not in above:
            yield from _below(path, above | {real})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False
