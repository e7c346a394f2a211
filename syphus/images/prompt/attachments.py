"""The images of a run: inspected when the input is read, encoded only when their request is sent.

A request needs its key before it is known whether it will be sent, and a resumed run needs keys by the thousand. So a
request is first built with a placeholder for each image: the hash of its content, and the size and format in which it
will be sent. The image itself is read and encoded only when the request is in flight, so memory holds no more images
than there are requests in flight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from syphus.endpoints.image_tokens import ImageRules
from syphus.errors import ConfigError, ImageError, PromptError
from syphus.images.prompt.encoder import PLACEHOLDER, ImageBody, ImageEncoder
from syphus.images.prompt.lookup import ImageLister, ImageLookup, digest_of
from syphus.plugins.prompts import PromptTemplate
from syphus.text import install_hint
from syphus.types import Message, PromptImage, Query

IMAGES_FOLDER = "images"  #: in a run's folder: the images that its plugin has handed over
_READERS = 8  # threads that read images: disks, above all network disks, are slow one file at a time
_SENT_UNCHANGED = ("JPEG", "PNG", "WEBP")  # every provider accepts these; GIF too, but it may be animated


class ImagePlaceholder(NamedTuple):
    """What stands for an image in a request: the hash of its content, and the size and format in which it is sent."""

    digest: str
    width: int
    height: int
    format: str

    def __str__(self) -> str:
        return f"image:{self.digest}:{self.width}x{self.height}:{self.format}"


class ImageAttachments:
    """The images of a run. Close it after use: that closes the image store.

    `images` is the image store or folder that the user named. `keep_folder` is for images that a plugin hands over;
    without it they stay in memory. `lister` yields the images in a folder with their ids.
    """

    def __init__(
        self,
        rules: ImageRules,
        images: Path | None = None,
        keep_folder: Path | None = None,
        lister: ImageLister | None = None,
    ) -> None:
        self.rules = rules
        self._lookup = ImageLookup(images, keep_folder, lister)
        self._encoder = ImageEncoder(self._lookup)
        self.readable = 0  #: number of images that could be read
        self.first_problem = ""  #: with the first image that could not be read

    def inspect(self, queries: Sequence[Query]) -> list[Query]:
        """Return the queries with the hash and size of each image, or its problem.

        Raises `UsageError` if the image store can't be read.
        """
        if not any(query.images for query in queries):
            return list(queries)  # Pillow is not needed
        _require_pillow()
        if any(image.id for query in queries for image in query.images):
            self.prepare()
        images = [image for query in queries for image in query.images]
        with ThreadPoolExecutor(_READERS, "images") as readers:
            inspected = list(readers.map(self._inspect, images))
        self._count(inspected)
        remaining = iter(inspected)
        return [replace(query, images=tuple(next(remaining) for _ in query.images)) for query in queries]

    def prepare(self) -> None:
        """Open the store, or list the folder, before threads use it. Raises `UsageError` if that fails."""
        self._lookup.prepare()

    def inspected(self, images: Sequence[PromptImage]) -> Sequence[PromptImage]:
        """Return the images, and retry those that could not be read. Raises `ImageError` if one still can't be read."""
        inspected = [image if image.digest else self._inspect(image) for image in images]
        unreadable = next((image for image in inspected if image.problem), None)
        if unreadable is not None:
            raise ImageError(unreadable.name, unreadable.problem)
        return inspected

    def placeholder(self, image: PromptImage) -> ImagePlaceholder:
        """Return the placeholder of an inspected image."""
        size = self.rules.size(image.width, image.height)
        unchanged = size == (image.width, image.height) and image.format in _SENT_UNCHANGED
        return ImagePlaceholder(image.digest, *size, image.format if unchanged else "JPEG")

    def tokens(self, image: PromptImage) -> int:
        """Estimate the tokens of an image; 0 if it can't be read."""
        return self.rules.tokens(*self.placeholder(image)[1:3]) if image.digest else 0

    def body_builder(self, body: bytes, images: Iterable[PromptImage]) -> Callable[[], bytes]:
        """Return a function that returns the body with its images in place of the placeholders."""
        return ImageBody(self._encoder, body, {str(self.placeholder(image)): image for image in images})

    def describe(self, body: bytes) -> bytes:
        """Return a request body for display: each placeholder becomes the size, format and tokens of its image."""

        def description(placeholder: re.Match[bytes]) -> bytes:
            width, height = int(placeholder[3]), int(placeholder[4])
            tokens = self.rules.tokens(width, height)
            return b'"url":"<image %dx%d %b, about %d tokens>"' % (width, height, placeholder[5], tokens)

        return PLACEHOLDER.sub(description, body)

    def sync(self) -> None:
        """Make sure that the images that a plugin handed over are on disk."""
        self._lookup.sync()

    def close(self) -> None:
        """Close the image store."""
        self._lookup.close()

    def _inspect(self, image: PromptImage) -> PromptImage:
        digest = digest_of(image.data) if image.data else ""  # now, as the data can't be read a second time
        try:
            data = self._lookup.read(image)
            from syphus.images.pixels import measure_image  # here, as it needs Pillow

            width, height, image_format = measure_image(image.name, data)
        except ImageError as error:
            return replace(image, data=b"", digest=digest, problem=error.problem)
        if image.data and self._lookup.can_keep:
            self._lookup.keep(digest, image.data)
            image = replace(image, data=b"")
        return replace(
            image, digest=digest or digest_of(data), width=width, height=height, format=image_format, problem=""
        )

    def _count(self, images: Iterable[PromptImage]) -> None:
        for image in images:
            self.readable += not image.problem
            if image.problem and not self.first_problem:
                self.first_problem = f"{image.name}: {image.problem}"


def inspect_example_images(template: PromptTemplate, rules: ImageRules) -> PromptTemplate:
    """Return the template with the images of its in-context examples inspected.

    Raises `PromptError` if one can't be read, since every query would be sent without it; `ConfigError` without Pillow.
    """
    if not any("images" in turn for turn in template.in_context):
        return template
    attachments = ImageAttachments(rules)
    turns = tuple(_inspect_turn(turn, attachments) for turn in template.in_context)
    if attachments.first_problem:
        raise PromptError(f"An in-context example shows an image that can't be read: {attachments.first_problem}.")
    return replace(template, in_context=turns)


def _inspect_turn(turn: Message, attachments: ImageAttachments) -> Message:
    if "images" not in turn:
        return turn
    (query,) = attachments.inspect([Query("example", turn["content"], images=tuple(turn["images"]))])
    return Message(role=turn["role"], content=turn["content"], images=query.images)


def _require_pillow() -> None:
    if find_spec("PIL") is None:
        raise ConfigError(f"Images in a prompt need Pillow: {install_hint('images')}")
