"""The frames of scenes and videos, where the annotations don't say which there are: a listing beside them.

`frames.txt` has the path of a frame on every line, as `find . -name '*.jpg'` prints it in the folder of the frames:

    ./scene0000_00/color/000100.jpg

The first folder is the scene or the video. The name of the frame in an image store is its path with `_` for `/` and
without its ending, `scene0000_00_color_000100`, as the original's Convert-It makes it of ScanNet's frames.
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
_LARGEST = 1 << 28  # bytes; some three million frames


def listing_path(path: str | Path) -> Path:
    """Where the listing beside the annotations at `path` would be."""
    return Path(path).parent / FILE


class Frames:
    """The listing beside the annotations at `path`, if there is one. UTF-8, in any order; blank lines don't count.

    Raises InputError with file and line for a line that is no path of a frame in a folder.
    """

    def __init__(self, path: str | Path) -> None:
        self._listing = listing_path(path)
        self._names: dict[str, list[str]] = {}
        if not self._listing.is_file():
            return
        for number, line in enumerate(read_text(self._listing, _LARGEST).splitlines(), 1):
            if line.strip():
                self._add(PurePosixPath(line.strip()), number)
        for names in self._names.values():
            names.sort(key=natural_sort_key)

    def names(self, of: str) -> list[str]:
        """All frames of a scene or a video, in the order of their numbers; none where there is no listing.

        Raises InputError where the listing does not know it.
        """
        if not self._names:
            return []
        if of not in self._names:
            raise InputError(f"{self._listing}: no frames of {of}")
        return self._names[of]

    def _add(self, frame: PurePosixPath, number: int) -> None:
        if len(frame.parts) < 2 or frame.is_absolute() or not frame.suffix:
            raise InputError(
                f"{self._listing}: line {number}: a path such as scene0000_00/color/000100.jpg is expected"
            )
        self._names.setdefault(frame.parts[0], []).append(frame_name(frame))


def frame_name(frame: PurePath) -> str:
    """`scene0000_00_color_000100` of `scene0000_00/color/000100.jpg`."""
    return "_".join(frame.with_suffix("").parts)


def natural_sort_key(name: str) -> str:
    """For sorting: frame 9 comes before frame 10, whether their numbers have zeros before them or not.

    A number is its length and its digits; what has the same numbers is sorted as text. A text takes a quarter of the
    memory that a list of numbers and texts would, and of a folder all names are sorted together.
    """
    return _DIGITS.sub(_sortable, name) + f"\0\0{name}"


def _sortable(digits: re.Match[str]) -> str:
    number = str(int(digits[0]))
    return f"\0{len(number):03}{number}"


# FOLDED from media_files.py:
# The image and video files below a folder, for plugins that say where their images are.

IMAGES = frozenset((
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif",
))  # fmt: skip
VIDEOS = frozenset((
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".flv", ".wmv", ".asf",
    ".3gp", ".ogv", ".ogg", ".vob", ".mxf", ".f4v",
))  # fmt: skip
_FILE, _FOLDER = "-d"


def image_files(folder: str | Path) -> Iterator[Path]:
    """Yields the image files below a folder, by their endings, frame 9 before frame 10. Raises InputError."""
    return _files(folder, IMAGES, "image")


def video_files(folder: str | Path) -> Iterator[Path]:
    """Yields the video files below a folder, by their endings, in the order of their names. Raises InputError."""
    return _files(folder, VIDEOS, "video")


def _files(folder: str | Path, endings: frozenset[str], kind: str) -> Iterator[Path]:
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: a folder of {kind}s is needed; name it with --image_path")
    found = False
    for file in _below(str(folder), {os.path.realpath(folder)}):
        if os.path.splitext(file)[1].lower() in endings:  # noqa: PTH122 - a Path for each of millions costs a second
            found = True
            yield Path(file)
    if not found:
        raise InputError(f"{folder}: no {kind} file in it ({' '.join(sorted(endings))})")


def _below(folder: str, above: set[str]) -> Iterator[str]:
    """All files. Links to folders are followed, but not into one of those `above`: what leads out of the folder has to
    be seen to be told.
    """
    try:
        with os.scandir(folder) as entries:
            shown = (entry for entry in entries if not entry.name.startswith("."))
            ordered = sorted(
                f"{natural_sort_key(entry.name)}{_FOLDER if _is_folder(entry) else _FILE}" for entry in shown
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
    except OSError:  # a link that leads in a circle
        return False
