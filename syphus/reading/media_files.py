"""The image and video files below a folder, for plugins that say where their images are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from syphus.errors import InputError
from syphus.reading.frames import natural

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
            ordered = sorted(f"{natural(entry.name)}{_FOLDER if _is_folder(entry) else _FILE}" for entry in shown)
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
