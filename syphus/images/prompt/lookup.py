"""Find the images of a query: files, images in the image store, or images that a plugin hands over.

The latter are kept in the run's folder, in files named by the hash of their content, so that a resumed run does not
need its plugin; the ledger holds only names. An image that a thousand rows share is kept once.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from threading import Lock, get_ident
from typing import TypeAlias

from syphus.declarations import Frame, Still, Video
from syphus.errors import ImageError, UsageError, short_name
from syphus.images.store import ImageStore, open_store
from syphus.io.durable import storage_faults, temporary_database
from syphus.io.media import hashed_stem
from syphus.io.text_files import local_file, text_problem
from syphus.storage.addresses import as_url
from syphus.storage.local_copies import with_urls
from syphus.text import normal_forms
from syphus.types import PromptImage

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")  #: of image files, also in upper case
_OWN_NAME = re.compile(r"\w+?_IMG_(.+)", re.DOTALL)  #: `XX_IMG_<name of the image>`, as MIMIC-IT calls images
_SCHEME = re.compile(r"\s*(data(?=:)|[A-Za-z][\w+.-]+(?=://))")
_CACHE = 32_000  # KiB

#: Yields the images in a folder, with the ids that the plugin gives them.
ImageLister: TypeAlias = Callable[[Path], Iterable[Still | Frame | Video]]


class ImageLookup:
    """Reads images. `images` is an image store or a folder, or its URL; `keep_folder` is for images of a plugin.

    Relative paths start at `images` if that is a folder of image files, otherwise at the current folder. An id is
    looked up in the store; in a folder, it is the name of a file without its suffix, also behind `XX_IMG_`, or
    one that `lister` knows.
    """

    def __init__(self, images: Path | None, keep_folder: Path | None, lister: ImageLister | None = None) -> None:
        self._shown = as_url(images) or images if images else None  #: as people know it
        # Absolute, since a plugin may change the current folder.
        self._images = images = Path(local_file(images)).absolute() if images else None
        self._listed_files = ListedFiles(images, lister) if images and lister else None
        self._keep_folder = keep_folder.absolute() if keep_folder else None
        self._is_store = images is not None and (images.is_file() or any(images.glob("*.parquet")))
        self._base = Path.cwd() if images is None or self._is_store else images
        self._store: ImageStore | None = None
        self._store_lock = Lock()

    def read(self, image: PromptImage) -> bytes:
        """Return the bytes of an image file, from any thread. Raises `ImageError`."""
        if image.data:
            return image.data
        if image.path:
            if problem := _address_problem(image.path):
                raise ImageError(short_name(image.path), problem)
            return _read(self._path_of(image), image.path)
        if not image.id:
            return _read(self._kept_path(image.digest), image.name)
        try:
            if not self._is_store:
                return self._read_by_name(image.id)
            return self._open_store()[image.id]
        except KeyError:
            raise ImageError(image.id, f"missing in {self._shown}") from None
        except ImageError:
            raise
        except UsageError as error:
            raise ImageError(image.id, f"can't be read: {with_urls(str(error))}") from error

    @property
    def store(self) -> Path | None:
        """The image store, an absolute path; None for a folder of files or none at all."""
        return self._images if self._is_store else None

    def portable(self, image: PromptImage) -> PromptImage:
        """Return an image as another machine finds it that shares the storage of images.

        A file has its absolute path; what a plugin has handed over has its content, as it is only on this machine.
        Raises `ImageError`.
        """
        if image.data or (image.path and _address_problem(image.path)) or (image.id and self._is_store):
            return image
        if image.path:
            return replace(image, path=str(self._path_of(image)))
        if not image.id:
            return replace(image, data=self.read(image))
        found = self._find_file(image.id)
        return image if found is None else replace(image, path=str(found))

    def prepare(self) -> None:
        """Open the store or list the folder. Raises `UsageError` if it can't be read, or the plugin fails on it."""
        if self._is_store:
            self._open_store()
        elif self._listed_files:
            self._listed_files.find("")

    @property
    def can_keep(self) -> bool:
        """Whether there is a folder for images that a plugin hands over."""
        return self._keep_folder is not None

    def keep(self, digest: str, data: bytes) -> None:
        """Save an image that a plugin handed over. Raises `StorageError` if the disk fails. `sync` makes it durable."""
        path = self._kept_path(digest)
        with storage_faults(path):
            if path.is_file() and path.stat().st_size == len(data):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{get_ident()}.partial")
            temporary.write_bytes(data)
            temporary.replace(path)

    def sync(self) -> None:
        """Make all kept images durable with one sync of the disks: one per file would take minutes."""
        if self._keep_folder is not None and self._keep_folder.is_dir() and hasattr(os, "sync"):
            os.sync()

    def close(self) -> None:
        """Close the image store and the list of files."""
        for opened in (self._store, self._listed_files):
            if opened is not None:
                opened.close()

    def _path_of(self, image: PromptImage) -> Path:
        forms = [self._base / form for form in normal_forms(image.path)]
        return next(filter(os.path.isfile, forms), forms[0])

    def _kept_path(self, digest: str) -> Path:
        assert self._keep_folder is not None
        return self._keep_folder / digest[:2] / digest

    def _open_store(self) -> ImageStore:
        with self._store_lock:
            if self._store is None:
                assert self._images is not None
                self._store = open_store(self._images)
        return self._store

    def _read_by_name(self, name: str) -> bytes:
        """Read the file of an id from the folder."""
        path = self._find_file(name)
        if path is None:
            raise ImageError(name, f"missing in {self._shown}")
        return _read(path, name)

    def __contains__(self, image_id: str) -> bool:
        """Return whether the folder has a file of this id. Raises `ImageError` for an id that leads out of it."""
        return self._find_file(image_id) is not None

    def __getitem__(self, image_id: str) -> bytes:
        """Return the image with this id. Raises `ImageError`."""
        return self._read_by_name(image_id)

    def _find_file(self, name: str) -> Path | None:
        """Find the file of an id: by name, what the plugin lists, what follows `XX_IMG_`, or its name in exports."""
        if self._images is None:
            raise ImageError(name, "no image store given: --images names the store or folder")
        own = _OWN_NAME.fullmatch(name)
        if any(Path(each).is_absolute() or ".." in Path(each).parts for each in (name, own[1] if own else "")):
            raise ImageError(name, "an id that leads outside the folder")
        if path := self._file_named(name):
            return path
        files = self._listed_files
        listed = next(filter(None, map(files.find, normal_forms(name))), None) if files else None
        if listed is None and own:
            listed = self._file_named(own[1])
        return listed or self._file_named(hashed_stem(name, name))

    def _file_named(self, name: str) -> Path | None:
        assert self._images is not None
        for form in normal_forms(name):
            for suffix in (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES)):
                path = self._images / f"{form}{suffix}"
                if os.path.isfile(path):  # noqa: PTH113 - `Path` raises if a name is too long
                    return path
        return None


class ListedFiles:
    """The files of the images that `lister` yields for a folder, by id, in a temporary database.

    Any thread may use it. The folder is listed once, for the first lookup. Frames of videos are left out: they need a
    store.
    """

    def __init__(self, folder: Path, lister: ImageLister) -> None:
        self._folder = folder
        self._lister = lister
        self._lock = Lock()
        self._db: sqlite3.Connection | None = None

    def find(self, image_id: str) -> Path | None:
        """Return the file of an image. Raises `UsageError` if the plugin fails on the folder."""
        with self._lock:
            if self._db is None:
                self._db = self._list()
            row = self._db.execute("SELECT path FROM still WHERE id = ?", (image_id,)).fetchone()
        return self._folder / os.fsdecode(row[0]) if row else None

    def close(self) -> None:
        """Delete the temporary database."""
        if self._db is not None:
            self._db.close()

    def _list(self) -> sqlite3.Connection:
        images = self._lister(self._folder)
        stills = (
            (image.id, os.fsencode(image.path))
            for image in images
            if isinstance(image, Still) and not text_problem(image.id)  # no query can name a file that is not UTF-8
        )
        db = temporary_database(_CACHE)
        db.execute("CREATE TABLE still (id TEXT PRIMARY KEY, path BLOB NOT NULL) WITHOUT ROWID")
        db.executemany("INSERT OR IGNORE INTO still VALUES (?, ?)", stills)
        return db


def digest_of(data: bytes) -> str:
    """Return the hash that identifies content: 32 hex digits of BLAKE2b."""
    return blake2b(data, digest_size=16).hexdigest()


def _address_problem(path: str) -> str:
    """Return why an image can't be read if its path is an address; "" if the path is that of a file."""
    scheme = found[1].lower() if (found := _SCHEME.match(path)) else ""
    if scheme == "data":
        return "a data URI that can't be decoded"
    return f"an address ({scheme}), not a file: download it, and name the file" if scheme else ""


def _read(path: Path, name: str) -> bytes:
    from syphus.images.pixels import read_image_file  # Pillow is slow to import, and not every run needs it

    return read_image_file(name, path)
