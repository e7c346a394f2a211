"""Reads images for the pages, through a process of its own that ends when nobody looks at images.

An image store needs pyarrow, and a decoder may crash: neither is to be in the viewer's own process.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from syphus.images.decoder_process import start_process
from syphus.io.media import media_kind
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.runs.run_settings import run_command
from syphus.types import PromptImage
from syphus.viewer.query_images import IN_STORE, TYPES, ShownImage, ViewJob, images_of_query

_IDLE_SECONDS = 60.0  #: after which the process ends
_SECONDS = 30.0  #: that an image may take: the first of a store without an index reads all its ids
_DATASET = (  #: of the newest session that asked for pairs; one that translates names another
    "SELECT settings ->> 'dataset' FROM spec WHERE id IN (SELECT spec FROM session WHERE stage = ?) "
    "ORDER BY id DESC LIMIT 1"
)
_MOST_WAITING = 400  #: images at once
_LARGEST_SIDE = 4096  #: pixels that a page may ask for


class ImageReader:
    """Reads images. `images` are the stores and folders that the user named, besides those of the run."""

    def __init__(self, images: Sequence[Path] = ()) -> None:
        self._images = tuple(path.absolute() for path in images)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="viewer images")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._timer: threading.Timer | None = None
        self._waiting = 0

    async def read(self, job: ViewJob) -> bytes | str:
        """Return an image, or why there is none. Raises `HTTPServiceUnavailable` if too many are waited for."""
        if self._waiting >= _MOST_WAITING:
            raise web.HTTPServiceUnavailable(reason="Too many images at once.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(self._ask, job))
        finally:
            self._waiting -= 1

    def job(self, store: Store, folder: Path, n: int, k: int, size: int) -> ViewJob | None:
        """Return how to read image `k` of query `n` of a run; None if there is none."""
        images: list[ShownImage] = images_of_query(store, n)
        if k >= len(images):
            return None
        options = _options(store)
        folders = options.get("datasets_dir")
        dataset = store.read_value(_DATASET, GenerateStage.name)
        return ViewJob(
            image=_without_data(images[k].image),
            images=(*self._images, *_named(options)),
            run=folder.absolute(),
            plugin=str(dataset or ""),
            plugin_folders=tuple(Path(str(each)) for each in folders) if isinstance(folders, list) else (),
            size=min(size, _LARGEST_SIDE),
        )

    def clear_addresses(self, store: Store, holders: Iterable[Mapping[str, object]]) -> None:
        """Set the address of images to None where no store and folder is there to read them from.

        `holders` are the objects of a reply that have `images`. Images that a run has kept, and files, stay.
        """
        if any(path.exists() for path in (*self._images, *_named(_options(store)))):
            return
        for holder in holders:
            images = holder["images"]
            assert isinstance(images, list)
            for image in images:
                if image["kind"] == IN_STORE:
                    image["url"] = None

    def close(self) -> None:
        """End the process, even while it reads."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        process = self._process
        if process is not None:
            process.kill()  # whoever waits for it sees the end of the connection
        self._end()

    def _ask(self, job: ViewJob) -> bytes | str:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            try:
                connection = self._connection or self._start()
                connection.send(job)
                if not connection.poll(_SECONDS):
                    self._kill()
                    return f"reading it takes more than {_SECONDS:.0f} seconds"
                answer: bytes | str = connection.recv()
            except (EOFError, OSError):
                self._kill()
                return "the process that reads images has crashed on it"
            self._timer = threading.Timer(_IDLE_SECONDS, self._end)
            self._timer.daemon = True
            self._timer.start()
            return answer

    def _start(self) -> Connection:
        self._process, self._connection = start_process("syphus.viewer.image_process")
        return self._connection

    def _end(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._kill()

    def _kill(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None


def image_type(data: bytes) -> str:
    """Return the media type of an image by its first bytes, "" if browsers do not show it, or if it is a program."""
    kind = media_kind(data)
    return TYPES.get(kind.name, "") if kind is not None else ""


def _options(store: Store) -> Mapping[str, object]:
    """Return the options of the run's command."""
    command = run_command(store)
    return command.options if command is not None else {}


def _named(options: Mapping[str, object]) -> list[Path]:
    """Return the store or folder of images that a command names, if any."""
    named = options.get("images")
    return [Path(str(named))] if named else []


def _without_data(image: PromptImage) -> PromptImage:
    return PromptImage(path=image.path, id=image.id, digest=image.digest)
