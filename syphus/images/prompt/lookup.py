"""Where the images of a query are, and their bytes: files, the image store, or what a plugin has handed over.

What was handed over is kept in the run's folder, in a file that is called by the hash of its content, so that a run
goes on without its plugin; the ledger holds names only. One image that a thousand rows bring along is kept once.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from threading import Lock, get_ident

from syphus.errors import ImageError, UsageError
from syphus.images.store import ImageStore, open_store
from syphus.io.durable import storage_faults, temporary_database
from syphus.types import Frame, PromptImage, Still, Video

# FOLDED from sources.py:
# The image files of a dataset as its source has them, by the ids that its plugin gives them.

_CACHE = 32_000  # KiB

Listing = Callable[[Path], Iterable[Still | Frame | Video]]


class SourceIndex:
    """Paths by id, for any thread: `listing` is asked once, when the first id is looked for.

    They are kept in a temporary file, not in memory. Frames of videos are left out: they need a store.
    """

    def __init__(self, folder: Path, listing: Listing) -> None:
        self._folder = folder
        self._listing = listing
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None

    def find(self, name: str) -> Path | None:
        """The file of an image. Raises `UsageError` where the plugin fails on the folder."""
        with self._lock:
            if self._db is None:
                self._db = self._listed()
            row = self._db.execute("SELECT path FROM still WHERE id = ?", (name,)).fetchone()
        return self._folder / row[0] if row else None

    def close(self) -> None:
        """Forgets them."""
        if self._db is not None:
            self._db.close()

    def _listed(self) -> sqlite3.Connection:
        stills = ((each.id, str(each.path)) for each in self._listing(self._folder) if isinstance(each, Still))
        db = temporary_database(_CACHE)
        db.execute("CREATE TABLE still (id TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID")
        db.executemany("INSERT OR IGNORE INTO still VALUES (?, ?)", stills)
        return db


ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")  #: of image files, also in capitals


class ImageLookup:
    """Reads images. `images` is a store, or a folder of image files; `kept` the folder for what is handed over.

    Relative paths start at `images` where that is a folder of image files, otherwise at the current folder. An id is
    looked up in the store; in a folder it is the name of a file, without its ending, or one that `listing` knows.
    """

    def __init__(self, images: Path | None, kept: Path | None, listing: Listing | None = None) -> None:
        self._images = images = images.absolute() if images else None  # a plugin may be in another folder just then
        self._sources = SourceIndex(images, listing) if images and listing else None
        self._kept = kept.absolute() if kept else None
        self._is_store = images is not None and (images.is_file() or any(images.glob("*.parquet")))
        self._start = Path.cwd() if images is None or self._is_store else images
        self._store: ImageStore | None = None
        self._opening = Lock()

    def read(self, picture: PromptImage) -> bytes:
        """The bytes of an image file, from any thread. Raises `ImageError`."""
        if picture.data:
            return picture.data
        if picture.path:
            return _read(self._start / picture.path, picture.path)
        if not picture.id:
            return _read(self._place(picture.digest), picture.name)
        try:
            if not self._is_store:
                return self._named(picture.id)
            return self._opened()[picture.id]
        except KeyError:
            raise ImageError(picture.id, f"missing in {self._images}") from None
        except ImageError:
            raise
        except UsageError as error:
            raise ImageError(picture.id, f"can't be read: {error}") from error

    def prepare(self) -> None:
        """Opens the store, if there is one. Raises `UsageError` where it can't be read, or the plugin fails on it."""
        if self._is_store:
            self._opened()
        elif self._sources:
            self._sources.find("")

    def keep(self, digest: str, data: bytes) -> None:
        """Keeps what was handed over. Raises `StorageError` where the disk fails; `sync` makes it last."""
        path = self._place(digest)
        with storage_faults(path):
            if path.is_file() and path.stat().st_size == len(data):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{get_ident()}.partial")
            temporary.write_bytes(data)
            temporary.replace(path)

    def sync(self) -> None:
        """What was kept survives a power cut: all of it at once, for a sync a file would take minutes."""
        if self._kept is not None and self._kept.is_dir() and hasattr(os, "sync"):
            os.sync()

    @property
    def keeps(self) -> bool:
        """Whether there is a folder for what is handed over."""
        return self._kept is not None

    def close(self) -> None:
        """Closes the store."""
        for each in (self._store, self._sources):
            if each is not None:
                each.close()

    def _place(self, digest: str) -> Path:
        assert self._kept is not None
        return self._kept / digest[:2] / digest

    def _opened(self) -> ImageStore:
        with self._opening:
            if self._store is None:
                assert self._images is not None
                self._store = open_store(self._images)
        return self._store

    def _named(self, name: str) -> bytes:
        """The file of an id."""
        if self._images is None:
            raise ImageError(name, "in no store: --images says where the images are")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ImageError(name, "an id that leads out of the folder")
        for ending in (*ENDINGS, *(ending.upper() for ending in ENDINGS)):
            path = self._images / f"{name}{ending}"
            if os.path.isfile(path):  # noqa: PTH113 - `Path` raises where a name is too long
                return _read(path, name)
        found = self._sources.find(name) if self._sources else None
        if found is not None:
            return _read(found, name)
        raise ImageError(name, f"missing in {self._images}")


def digest_of(data: bytes) -> str:
    """The hash under which content is known: 32 hex digits of BLAKE2b."""
    return blake2b(data, digest_size=16).hexdigest()


def _read(path: Path, name: str) -> bytes:
    from syphus.images.prompt.encode import file_bytes  # Pillow takes its time to load, and not every run needs it

    return file_bytes(name, path)
