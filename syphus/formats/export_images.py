"""The images of an export: found by id in stores and folders, written to files, or read for files that embed them.

Files keep the bytes that were stored; the suffix says what they are. A file is called by the id of its image. Where an
id is no safe name on every system, or differs from another by its case alone, a hash of the id distinguishes it. Files
are copied, not linked: a program that changes an image of the export must not change the original.

A store is read by position, in the order of the pairs, as long as its groups of rows are small. Some Parquet files hold
gigabytes in one group, which would be read again for each image; the images that are needed are first copied from such
a file into one without a name, in one pass.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from syphus.declarations import Frame, Still, Video
from syphus.errors import ImageError, InputError, RunError
from syphus.images.index import ImageLocation, make_index
from syphus.images.parquet_store import ParquetStore
from syphus.images.prompt.lookup import ImageLister, ImageLookup
from syphus.images.store import ImageStore, open_store, part_paths, read_images
from syphus.io.durable import storage_faults, temporary_database
from syphus.io.media import hashed_stem, media_kind, safe_stem
from syphus.io.text_files import missing
from syphus.text import normal_forms, pluralize

IMAGES_FOLDER, VIDEOS_FOLDER = "images", "videos"
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WebP": ".webp", "BMP": ".bmp", "TIFF": ".tif",
             "PPM": ".ppm", "JPEG 2000": ".jp2", "AVIF": ".avif"}  # fmt: skip
_SHOWN = 3  # missing images in a message
_CACHE = 4_000  # KiB; images are mostly used in the order in which they were noted
_LARGE_GROUP = 16_000_000  # bytes of a group of rows, from which on a store is read in one pass
_COPY_BYTES = 1 << 20


class ImageSources:
    """The stores and folders that `--images` names, looked through in this order. Close them after use.

    `wanted` are the ids that will be read, `scratch` is a folder for large temporary files, and `lister` yields the
    images in a folder with the ids of the plugin. Raises `InputError` for what is neither a store nor a folder.
    """

    def __init__(self, paths: Sequence[Path], wanted: WantedImages, scratch: Path, lister: ImageLister | None) -> None:
        self._paths = paths
        self._opened = ExitStack()
        self._sources: list[ImageStore | ImageLookup] = []
        for path in paths:
            self._sources.append(self._open(path, wanted, scratch, lister))

    def __contains__(self, image_id: str) -> bool:
        return any(image_id in source for source in self._sources)

    def check(self, wanted: WantedImages, allow_missing: bool) -> None:
        """Raise `RunError` if images are missing; with `allow_missing`, only if all are."""
        missing = (image_id for image_id in wanted if image_id not in self)
        first = list(islice(missing, _SHOWN))
        if not first:
            return
        count, total = len(first) + sum(1 for _ in missing), len(wanted)
        places = ", ".join(map(str, self._paths))
        shown = ", ".join(first) + (", ..." if count > len(first) else "")
        if count == total:
            raise RunError(
                f"None of the {pluralize(total, 'image')} is in {places}: {shown}. "
                f"--images takes an image store, or a folder with files such as {first[0]}.jpg."
            )
        if not allow_missing:
            raise RunError(
                f"{count:,} of {pluralize(total, 'image')} are missing in {places}: {shown}. Add another --images, or "
                "leave their queries out with --allow-missing-images."
            )

    def read(self, image_id: str) -> bytes:
        """Return the bytes of an image file. Raises `ImageError` if it is missing, or is not an image."""
        source = next((each for each in self._sources if image_id in each), None)
        if source is None:
            raise ImageError(image_id, "missing in --images")
        data = source[image_id]
        kind = media_kind(data)
        if kind is None or kind.group != "image" or kind.name not in _SUFFIXES:
            raise ImageError(image_id, f"not an image but {kind.name}" if kind else "not an image")
        return data

    def close(self) -> None:
        """Close all stores, and delete temporary files."""
        self._opened.close()

    def _open(
        self, path: Path, wanted: WantedImages, scratch: Path, lister: ImageLister | None
    ) -> ImageStore | ImageLookup:
        if path.is_dir() and not any(path.glob("*.parquet")):
            return self._folder(path, lister)
        if not path.exists():
            raise InputError(f"--images {missing(path)}")
        return self._opened.enter_context(
            self._copy(path, wanted, scratch) if _has_large_groups(path) else open_store(path)
        )

    def _folder(self, path: Path, lister: ImageLister | None) -> ImageLookup:
        lookup = ImageLookup(path, None, lister)
        self._opened.callback(lookup.close)
        try:
            lookup.prepare()
        except InputError:  # the plugin finds nothing of its own there, such as videos among their frames
            return self._folder(path, None)
        return lookup

    def _copy(self, path: Path, wanted: WantedImages, scratch: Path) -> ImageStore:
        """Copy the wanted images of a store into a temporary file, in one pass over the store."""
        with storage_faults(scratch):
            file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed with the sources
        self._opened.enter_context(file)

        def copied() -> Iterator[tuple[str, int, int, int]]:
            end = 0
            for image_id, data in read_images(path):
                if image_id in wanted and not isinstance(data, ImageError):
                    with storage_faults(scratch):
                        file.write(data)
                    yield image_id, 0, end, len(data)
                    end += len(data)
            with storage_faults(scratch):
                file.flush()

        def read(location: ImageLocation, _: str) -> bytes:
            return os.pread(file.fileno(), location.b, location.a)

        return ImageStore(make_index(copied()), read, file.close)


def _has_large_groups(path: Path) -> bool:
    if path.is_file() and path.suffix != ".parquet":
        return False
    store = ParquetStore(part_paths(path))
    try:
        return store.largest_group() > _LARGE_GROUP
    finally:
        store.close()


class WantedImages:
    """The ids of all images of an export, in the order of their first use, in a temporary file."""

    def __init__(self) -> None:
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE wanted (id TEXT PRIMARY KEY)")

    def add(self, image_ids: Iterable[str]) -> None:
        """Add ids, whether or not they were there before."""
        self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((image_id,) for image_id in image_ids))

    def __contains__(self, image_id: str) -> bool:
        sql = "SELECT 1 FROM wanted WHERE id = ?"
        return any(self._db.execute(sql, (form,)).fetchone() for form in normal_forms(image_id))

    def __iter__(self) -> Iterator[str]:
        return (name for (name,) in self._db.execute("SELECT id FROM wanted ORDER BY rowid"))

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM wanted").fetchone()[0])

    def close(self) -> None:
        """Delete the temporary file."""
        self._db.close()


class ExportImages:
    """The images of one exported format, of all its splits.

    With a `folder`, `take` writes images into its `images/`, each once, and `path` returns where. Without, `take` holds
    the images of one query in memory, for `read`. `videos` are the source files to use in place of their frames.
    """

    def __init__(self, sources: ImageSources | None, folder: Path | None, videos: VideoSources | None = None) -> None:
        self._sources = sources
        self._folder = folder
        self._videos = videos if folder else None
        self._held: dict[str, bytes] = {}
        self._names = SafeNames()
        self.notes: list[str] = []  #: what the user should know of the images, one line each

    def take(self, image_ids: Sequence[str]) -> None:
        """Make the images of a query ready. Raises `ImageError` if one is missing or no image."""
        if self.video(image_ids):
            return
        if self._folder:
            for image_id in image_ids:
                if self._sources is None or image_id not in self._sources:
                    raise ImageError(image_id, "missing in --images")
            unwritten = dict.fromkeys(each for each in image_ids if self._names.find(each) is None)
            read = {image_id: self._read(image_id) for image_id in unwritten}  # all, before any of them is written
            for image_id, data in read.items():
                self._write(image_id, data)
        else:
            held = self._held
            self._held = {image_id: held.get(image_id) or self._read(image_id) for image_id in image_ids}

    def read(self, image_id: str) -> bytes:
        """Return an image that `take` has read."""
        return self._held.get(image_id) or self._read(image_id)

    def path(self, image_id: str) -> str:
        """Return the path of an image in the folder, as `images/SD_IMG_00058_1.jpg`; writes it on first use."""
        assert self._folder is not None
        name = self._names.find(image_id) or self._write(image_id, self._read(image_id))
        return f"{IMAGES_FOLDER}/{name}"

    def video(self, image_ids: Sequence[str]) -> str:
        """Return the path of the video whose frames these are, as `videos/v_abc.mp4`; "" if images are used."""
        source = self._videos.find(image_ids) if self._videos else None
        if source is None or self._folder is None:
            return ""
        key = f"video\0{source}"
        if (name := self._names.find(key)) is None:
            name = self._names.add(key, source.suffix, source.stem)
            path = self._folder / VIDEOS_FOLDER / name
            with storage_faults(path):
                path.parent.mkdir(exist_ok=True)
                with source.open("rb") as original, path.open("wb") as copy:
                    while chunk := original.read(_COPY_BYTES):
                        copy.write(chunk)
        return f"{VIDEOS_FOLDER}/{name}"

    def close(self) -> None:
        """Delete the temporary list of names. The sources stay open."""
        self._names.close()

    def _write(self, image_id: str, data: bytes) -> str:
        assert self._folder is not None
        name = self._names.add(image_id, image_suffix(data))
        path = self._folder / IMAGES_FOLDER / name
        with storage_faults(path):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return name

    def _read(self, image_id: str) -> bytes:
        if self._sources is None:
            raise ImageError(image_id, "missing in --images")
        return self._sources.read(image_id)


def image_suffix(data: bytes) -> str:
    """Return the suffix for the file of an image, by its first bytes: `.jpg`, `.png`, ..."""
    kind = media_kind(data)
    return _SUFFIXES.get(kind.name, "") if kind else ""


class SafeNames:
    """File names by id, each a safe name on every system and no two alike, in a temporary file."""

    def __init__(self) -> None:
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE named (id TEXT PRIMARY KEY, name TEXT, folded TEXT UNIQUE) WITHOUT ROWID")

    def find(self, key: str) -> str | None:
        """Return the name of an id; None if it has none yet."""
        row = self._db.execute("SELECT name FROM named WHERE id = ?", (key,)).fetchone()
        return row[0] if row else None

    def add(self, key: str, suffix: str, stem: str = "") -> str:
        """Name an id: by itself, or by `stem`, with a suffix."""
        for stem_of_file in (safe_stem(stem or key), hashed_stem(stem or key, key)):
            name = stem_of_file + suffix
            try:
                self._db.execute("INSERT INTO named VALUES (?, ?, ?)", (key, name, stem_of_file.casefold()))
            except sqlite3.IntegrityError:
                continue
            return name
        raise InputError(f"Two images have the same file name: {key!r}")

    def close(self) -> None:
        """Delete the temporary file."""
        self._db.close()


class VideoSources:
    """The video files that `--videos` names, by the ids of their frames as the plugin's `_load_images` gives them."""

    def __init__(self, folder: Path, images: Iterable[Still | Frame | Video]) -> None:
        self._folder = folder.absolute()
        self._db = temporary_database(_CACHE)
        self._db.execute("CREATE TABLE video (prefix TEXT PRIMARY KEY, path BLOB) WITHOUT ROWID")
        self._db.execute("CREATE TABLE frame (id TEXT PRIMARY KEY, path BLOB) WITHOUT ROWID")
        for image in images:
            if isinstance(image, Video):
                self._db.execute("INSERT OR IGNORE INTO video VALUES (?, ?)", (image.prefix, os.fsencode(image.path)))
            elif isinstance(image, Frame):
                self._db.execute("INSERT OR IGNORE INTO frame VALUES (?, ?)", (image.id, os.fsencode(image.video)))

    def find(self, image_ids: Sequence[str]) -> Path | None:
        """Return the file whose frames all these images are; None if there is none."""
        found = {self._find(image_id) for image_id in image_ids}
        return found.pop() if len(found) == 1 else None

    def close(self) -> None:
        """Delete the temporary list."""
        self._db.close()

    def _find(self, image_id: str) -> Path | None:
        row = self._db.execute("SELECT path FROM frame WHERE id = ?", (image_id,)).fetchone()
        prefix = image_id
        while row is None and prefix[-1:].isdecimal():
            prefix = prefix[:-1]
            row = self._db.execute("SELECT path FROM video WHERE prefix = ?", (prefix,)).fetchone()
        path = self._folder / os.fsdecode(row[0]) if row else None
        return path if path and path.is_file() else None
