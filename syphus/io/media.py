"""Image and video files below a folder, their names by id, what the first bytes of a file say, and listings of frames.

If annotations don't name the frames, a file `frames.txt` beside them lists the path of one frame per line, as
`find . -name '*.jpg'` prints it in the folder of the frames:

    ./scene0000_00/color/000100.jpg

The first folder is the scene or the video. In an image store, a frame is named by its path without the suffix, with
`_` for `/`: `scene0000_00_color_000100`, like ScanNet's frames in the original Convert-It.

The image files of an export are called by the ids of the images. Where an id is no safe name on every system, or
differs from another by its case alone, a hash of the id is in the name. So the file of an id has one of two names, and
is found without a list of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal, NamedTuple

from syphus.errors import InputError
from syphus.io.text_files import open_file, read_text
from syphus.text import normal_forms

FILE = "frames.txt"
_DIGITS = re.compile(r"\d+")
_MAX_BYTES = 1 << 28  # of a listing; about three million frames
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(?<!\.)")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)  # of Windows
_HASHED = re.compile(r".*[0-9a-f]{16}", re.DOTALL)


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
        names = next((self._names[form] for form in normal_forms(scene) if form in self._names), None)
        if names is None:
            raise InputError(f"{self._listing}: no frames of {scene}")
        return names

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
_KNOWN = IMAGES | VIDEOS
_UNREAD = frozenset((".heic", ".heif", ".jxl", ".svg"))  # named as images even if their bytes are broken
_FILE, _FOLDER = "-d"
_HEAD = 1024  # bytes that tell what a file is


class MediaKind(NamedTuple):
    """What a file is by its first bytes, whatever its name says."""

    name: str
    group: Literal["image", "video", "other"]
    is_read: bool = True  #: Syphus reads the format; if not, the file must be converted first


_IMAGES_READ = (
    (rb"\xff\xd8\xff", "JPEG"), (rb"\x89PNG\r\n\x1a\n", "PNG"), (rb"GIF8[79]a", "GIF"), (rb"RIFF.{4}WEBP", "WebP"),
    (rb"BM.{4}\0{4}", "BMP"), (rb"II[*+]\0|MM\0[*+]", "TIFF"), (rb"P[1-6]\s(?:#[^\n]*\n|\s)*+\d+\s+\d+\s", "PPM"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb".{4}ftyp(?:avi[fs]|m[is]f1.{4}(?:.{4}){0,8}?avi[fs])", "AVIF"),
)  # fmt: skip
_IMAGES_NOT_READ = (
    (rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC"), (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"(?:\xef\xbb\xbf)?(?:<\?xml\b[^>]*>|<!--.*?-->|<!DOCTYPE svg[^>]*>|\s)*+<(?:\w+:)?svg\b", "SVG"),
    (rb"II\xbc", "JPEG XR"), (rb"8BPS\0", "Photoshop"), (rb"gimp xcf", "GIMP"), (rb"BPG\xfb", "BPG"),
    (rb"FLIF", "FLIF"), (rb"qoif", "QOI"),
    (rb"\x76\x2f\x31\x01", "OpenEXR"), (rb"#\?RADIANCE", "Radiance HDR"), (rb"DDS ", "DDS"),
    (rb"\0\0[\x01\x02]\0[^\0]\0", "icon"), (rb"\xd7\xcd\xc6\x9a", "WMF"), (rb".{128}DICM", "DICOM"),
    (rb"IIRO|IIRS|IIU\0|FUJIFILMCCD-RAW|.{4}ftypcrx |\0MRM", "camera raw"),
)  # fmt: skip
_OTHERS = ((rb"%PDF-", "PDF"), (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"))
_VIDEOS_READ = (
    (rb"\x1a\x45\xdf\xa3", "Matroska"), (rb"RIFF.{4}AVI ", "AVI"), (rb"\0\0\x01[\xba\xb3]", "MPEG"),
    (rb"FLV\x01", "FLV"), (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF"), (rb"\x06\x0e\x2b\x34\x02\x05\x01\x01", "MXF"),
    (rb"(?:.{4})?G.{187}G.{187}(?:.{4})?G|.{4}G.{191}G.{191}G", "MPEG-TS"),
    (rb".{4}ftyp(?!M4A |M4B |M4P )", "MP4"), (rb".{4}(?:moov|mdat|wide)", "MP4"),
)  # fmt: skip
_VIDEOS_NOT_READ = ((rb"\.RMF", "RealMedia"),)


def _kinds(
    rows: Iterable[tuple[bytes, str]], group: Literal["image", "video", "other"], is_read: bool
) -> Iterator[tuple[re.Pattern[bytes], MediaKind]]:
    return ((re.compile(pattern, re.DOTALL), MediaKind(name, group, is_read)) for pattern, name in rows)


_KINDS = [
    *_kinds(_IMAGES_READ, "image", True),
    *_kinds(_IMAGES_NOT_READ, "image", False),
    *_kinds(_OTHERS, "other", False),
    *_kinds(_VIDEOS_READ, "video", True),
    *_kinds(_VIDEOS_NOT_READ, "video", False),
]


def media_kind(head: bytes) -> MediaKind | None:
    """Return what a file is by its first bytes (up to 1,024 count); None if they are of nothing known.

    The signatures are those of the formats' own specifications, as file(1) has them (looked up 2026-11-30).
    """
    return next((kind for pattern, kind in _KINDS if pattern.match(head[:_HEAD])), None)


def unread_reason(head: bytes) -> str:
    """Return why a file is not read as an image, with the remedy; "" if its format is read or not known."""
    kind = media_kind(head)
    if kind is None or (kind.is_read and kind.group == "image"):
        return ""
    if kind.group == "other":
        return f"not an image but {kind.name}"
    if kind.is_read:
        return f"not an image but a video ({kind.name})"
    return f"{kind.name} is not read: convert it to {'MP4' if kind.group == 'video' else 'JPEG or PNG'} first"


def image_files(folder: str | Path) -> Iterator[Path]:
    """Yield the image files below a folder, frame 9 before frame 10. Raises `InputError`.

    Suffixes identify them, and in other files the first bytes: a photo without a suffix, a PDF, or a format that is not
    read. Those are left out if they lie beside an image of the same name, as a camera's raw files do.
    """
    return _files(folder, IMAGES, "image")


def video_files(folder: str | Path) -> Iterator[Path]:
    """Yield the video files below a folder in the order of their names, identified as in `image_files`."""
    return _files(folder, VIDEOS, "video")


def _files(folder: str | Path, suffixes: frozenset[str], kind: str) -> Iterator[Path]:
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: must be a folder of {kind}s; set it with --image_path")
    found, root = False, os.path.realpath(folder)
    for file in _below(str(folder), {root}):
        suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122 - a Path for each of millions costs a second
        if suffix in suffixes or (
            suffix not in _KNOWN
            and (_is_of_kind(file, root, kind) or (kind == "image" and suffix in _UNREAD))
            and not _has_readable_twin(file, suffixes)
        ):
            found = True
            yield Path(file)
    if not found:
        raise InputError(f"{folder}: no {kind} file in it ({' '.join(sorted(suffixes))})")


def _is_of_kind(file: str, root: str, kind: str) -> bool:
    """Return whether a file is an image or a video by its first bytes. Nothing outside the folder is read."""
    if not os.path.realpath(file).startswith(f"{root}{os.sep}"):
        return False
    try:
        with open_file(file) as opened:
            found = media_kind(opened.read(_HEAD))
    except (OSError, InputError):
        return False
    return found is not None and (found.group == kind or (kind == "image" and found.group == "other"))


def _has_readable_twin(file: str, suffixes: frozenset[str]) -> bool:
    """Return whether a file stands beside one that is read: `7.cr2`, `7.jpg~` and `7.jpg.bak` beside `7.jpg`."""
    stem, _ = os.path.splitext(file)  # noqa: PTH122 - as above
    twins = [stem + each for suffix in suffixes for each in (suffix, suffix.upper())]
    if os.path.splitext(stem)[1].lower() in suffixes:  # noqa: PTH122 - as above
        twins.append(stem)
    return any(map(os.path.isfile, twins))


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


def safe_stem(name: str) -> str:
    """Return an id as the stem of a file name: itself if that is safe on every system, otherwise with a hash."""
    return name if _PLAIN_NAME.fullmatch(name) and not _RESERVED.match(name) else hashed_stem(name, name)


def hashed_stem(name: str, key: str) -> str:
    """Return the readable part of a name, and a hash of `key`, without dots."""
    readable = _UNSAFE.sub("_", name).strip("_")[:80]
    return f"{readable}-{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}".lstrip("-")


def may_be_hashed(stem: str) -> bool:
    """Return whether a stem ends like one of `hashed_stem`."""
    return bool(_HASHED.fullmatch(stem))
