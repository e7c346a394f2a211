"""The process that reads images for the viewer. It may load pyarrow, Pillow and a plugin, which the viewer does not.

    python -m syphus.viewer.image_process DESCRIPTOR

It receives one `ViewJob` at a time, and answers with the bytes of an image that browsers show, or with the reason why
there is none. It may be killed at any time.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from syphus.declarations import Frame, Still, Video
from syphus.errors import ImageError, SyphusError
from syphus.images.decoder_process import serve_parent
from syphus.images.prompt.attachments import IMAGES_FOLDER
from syphus.images.prompt.lookup import ImageLookup, digest_of
from syphus.io.media import media_kind
from syphus.text import one_line
from syphus.viewer.query_images import TYPES, ViewJob

MOST_BYTES = 64 << 20  #: of an image
_MOST_PIXELS = 100_000_000
_QUALITY = 82
_SMALL = ("JPEG", "PNG", "WEBP", "GIF")  #: that are sent as they are if they are small


class ImageFinder:
    """Reads images, and keeps what it has opened."""

    def __init__(self) -> None:
        self._opened: dict[tuple[object, ...], ImageLookup] = {}

    def read(self, job: ViewJob) -> bytes | str:
        """Return the image of a job, or why there is none."""
        problem = "no image store given: view --images names the store or folder"
        for images in job.images or (None,):
            try:
                return _shown(self._lookup(images, job).read(job.image), job)
            except ImageError as error:
                problem = error.problem
            except (SyphusError, OSError) as error:
                problem = str(error)
        return one_line(problem, 300)

    def _lookup(self, images: Path | None, job: ViewJob) -> ImageLookup:
        key = (images, job.run, job.plugin)
        if key not in self._opened:
            lister = _Lister(job.plugin, job.plugin_folders) if job.plugin and images and images.is_dir() else None
            self._opened[key] = ImageLookup(images, job.run / IMAGES_FOLDER, lister)
        return self._opened[key]


class _Lister:
    """Lists a folder as the plugin of the run does."""

    def __init__(self, name: str, folders: Iterable[Path]) -> None:
        self._name = name
        self._folders = tuple(folders)

    def __call__(self, folder: Path) -> Iterator[Still | Frame | Video]:
        from syphus.plugins.contract import AbstractDataset
        from syphus.plugins.discovery import find_plugin
        from syphus.plugins.hook_results import image_sources

        plugin = find_plugin(self._name, self._folders)
        if plugin.cls._load_images is not AbstractDataset._load_images:
            yield from image_sources(plugin.create(), str(folder.absolute()))


def _shown(data: bytes, job: ViewJob) -> bytes:
    """Return an image as browsers show it. Raises `ImageError`."""
    name = job.image.name
    if job.image.digest and digest_of(data) != job.image.digest:
        raise ImageError(name, "the file is not the one that was sent: it has changed since")
    if len(data) > MOST_BYTES:
        raise ImageError(name, f"larger than {MOST_BYTES >> 20} MB")
    kind = media_kind(data)
    if kind is None or kind.group != "image":
        raise ImageError(name, "not an image")
    if kind.name in TYPES and not job.size:
        return data
    try:
        return _converted(data, job.size)
    except Exception as error:
        if kind.name in TYPES:
            return data
        raise ImageError(name, f"{kind.name} can't be shown: {error}") from error


def _converted(data: bytes, size: int) -> bytes:
    """Return an image as JPEG, or as PNG if it is transparent, scaled down to a longest side."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    with Image.open(io.BytesIO(data)) as image:
        if size and max(image.size) <= size and image.format in _SMALL:
            return data
        if size:
            image.draft("RGB", (size, size))
        upright = ImageOps.exif_transpose(image)
        if size:
            upright.thumbnail((size, size))
        output = io.BytesIO()
        if "A" in upright.getbands() or "transparency" in upright.info:
            upright.convert("RGBA").save(output, "PNG")
        else:
            upright.convert("RGB").save(output, "JPEG", quality=_QUALITY)
    return output.getvalue()


def serve(connection: Connection) -> None:
    """Read images until the other end closes the connection."""
    finder = ImageFinder()
    while True:
        job: ViewJob = connection.recv()
        try:
            connection.send(finder.read(job))
        except MemoryError:
            connection.send("out of memory")


if __name__ == "__main__":
    serve_parent(serve)
