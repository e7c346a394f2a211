"""The pictures of a run: looked at when the input is read, marked in a request, encoded when its call goes.

A request must have its key before anybody knows whether it will be sent, and keys are asked for by the thousand when a
run goes on. So a mark stands for each image: the hash of its content and what it goes out as. Only a call that has its
place in flight gets the image itself, so memory holds as many as there are calls in flight, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from syphus.endpoints.image_tokens import ImageRules
from syphus.errors import ConfigError, ImageError, PromptError
from syphus.images.prompt.lookup import ImageLookup, Listing, digest_of
from syphus.text import install_hint
from syphus.types import Message, PromptImage, PromptTemplate, Query

IMAGES = "images"  #: the folder in a run's folder with the images that its plugin has handed over
LARGEST_REQUEST = 50_000_000  #: bytes; what OpenAI takes in one request
_READERS = 8  # threads that look at images: disks, above all those of a network, are slow one by one
_REMEMBERED = 32  # encoded images: those of the in-context examples go out with every call
_AS_THEY_ARE = ("JPEG", "PNG", "WEBP")  # what every provider takes; also GIF, which may be animated
_MARK = re.compile(rb'"url":"(image:([0-9a-f]{32}):(\d+)x(\d+):([A-Z]+))"')


class ImagePlaceholder(NamedTuple):
    """What stands for an image in a request: its content, and the size and the format in which it goes out."""

    digest: str
    width: int
    height: int
    format: str

    def __str__(self) -> str:
        return f"image:{self.digest}:{self.width}x{self.height}:{self.format}"


class ImageAttachments:
    """The pictures of a run. `close` it, which closes the store.

    `images` is the image store or folder that the user has named, `kept` the folder for images that a plugin hands
    over; without it they stay in memory. `listing` gives the images in a folder with their ids.
    """

    def __init__(
        self,
        rules: ImageRules,
        images: Path | None = None,
        kept: Path | None = None,
        listing: Listing | None = None,
    ) -> None:
        self.rules = rules
        self._places = ImageLookup(images, kept, listing)
        self._data_url = lru_cache(_REMEMBERED)(self._encoded)
        self.seen = 0  #: images that could be read
        self.problem = ""  #: of the first that could not

    def look(self, queries: Sequence[Query]) -> list[Query]:
        """The queries, their pictures looked at. Raises `UsageError` where the store can't be read."""
        if not any(query.images for query in queries):
            return list(queries)  # nor is Pillow needed
        _require_pillow()
        if any(picture.id for query in queries for picture in query.images):
            self.prepare()
        with ThreadPoolExecutor(_READERS, "images") as readers:
            found = iter(list(readers.map(self._looked_at, (picture for query in queries for picture in query.images))))
        looked_at = [replace(query, images=tuple(next(found) for _ in query.images)) for query in queries]
        self._count(picture for query in looked_at for picture in query.images)
        return looked_at

    def prepare(self) -> None:
        """Opens the store, or lists the folder, before threads want it. Raises `UsageError` where that fails."""
        self._places.prepare()

    def known(self, pictures: Sequence[PromptImage]) -> Sequence[PromptImage]:
        """The pictures, those tried once more that could not be read. Raises `ImageError`."""
        known = [picture if picture.digest else self._looked_at(picture) for picture in pictures]
        bad = next((picture for picture in known if picture.problem), None)
        if bad is not None:
            raise ImageError(bad.name, bad.problem)
        return known

    def mark(self, picture: PromptImage) -> ImagePlaceholder:
        """What stands for a picture that was looked at."""
        size = self.rules.size(picture.width, picture.height)
        same = size == (picture.width, picture.height) and picture.format in _AS_THEY_ARE
        return ImagePlaceholder(picture.digest, *size, picture.format if same else "JPEG")

    def tokens(self, picture: PromptImage) -> int:
        """The tokens that it will take, about; 0 where it can't be read."""
        return self.rules.tokens(*self.mark(picture)[1:3]) if picture.digest else 0

    def whole(self, body: bytes, pictures: Iterable[PromptImage]) -> Callable[[], bytes]:
        """What gives the request that `body` is, with the pictures in the place of their marks."""
        return partial(self._whole, body, {str(self.mark(picture)): picture for picture in pictures})

    def told(self, body: bytes) -> bytes:
        """A request for people: in the place of each mark what the image is."""

        def words(mark: re.Match[bytes]) -> bytes:
            width, height = int(mark[3]), int(mark[4])
            tokens = self.rules.tokens(width, height)
            return b'"url":"<image %dx%d %b, about %d tokens>"' % (width, height, mark[5], tokens)

        return _MARK.sub(words, body)

    def sync(self) -> None:
        """Images that were handed over are on the disk from now on."""
        self._places.sync()

    def close(self) -> None:
        """Closes the store."""
        self._places.close()

    def _looked_at(self, picture: PromptImage) -> PromptImage:

        digest = digest_of(picture.data) if picture.data else ""  # of what can't be read a second time
        try:
            data = self._places.read(picture)
            from syphus.images.prompt.encode import measured

            width, height, form = measured(picture.name, data)
        except ImageError as error:
            problem = str(error).removeprefix(f"{picture.name}: ")
            return replace(picture, data=b"", digest=digest, problem=problem)
        if picture.data and self._places.keeps:
            self._places.keep(digest, picture.data)
            picture = replace(picture, data=b"")
        return replace(picture, digest=digest or digest_of(data), width=width, height=height, format=form, problem="")

    def _count(self, pictures: Iterable[PromptImage]) -> None:
        for picture in pictures:
            self.seen += not picture.problem
            if picture.problem and not self.problem:
                self.problem = f"{picture.name}: {picture.problem}"

    def _whole(self, body: bytes, pictures: Mapping[str, PromptImage]) -> bytes:
        parts, at = [], 0
        for mark in _MARK.finditer(body):
            parts += [body[at : mark.start(1)], self._data_url(pictures[mark[1].decode()])]
            at = mark.end(1)
        whole = b"".join([*parts, body[at:]])
        if len(whole) > LARGEST_REQUEST:
            told = f"larger than {LARGEST_REQUEST // 1_000_000} MB together: a request of {len(whole) / 1e6:,.0f} MB"
            raise ImageError(f"{len(pictures)} images", told)
        return whole

    def _encoded(self, picture: PromptImage) -> bytes:
        """The image as a data URL (RFC 2397), checked against what it was when the input was read."""
        data, mark = self._places.read(picture), self.mark(picture)
        if digest_of(data) != picture.digest:
            raise ImageError(picture.name, "changed since the input was read: --check-input reads it again")
        from syphus.images.prompt.encode import encoded

        return encoded(picture.name, data, mark.width, mark.height, mark.format)


def _require_pillow() -> None:
    """Raises `ConfigError` where there is none."""
    if find_spec("PIL") is None:
        raise ConfigError(f"Images in a prompt need Pillow: {install_hint('images')}")


# FOLDED from examples.py:
# The images of the in-context examples: looked at before anything else is done, since every query would go without.


def look_at_examples(prefix: PromptTemplate, rules: ImageRules) -> PromptTemplate:
    """The prefix, its images looked at. Raises `PromptError` for one that can't be read, and `ConfigError`."""
    if not any("images" in turn for turn in prefix.in_context):
        return prefix
    attachments = ImageAttachments(rules)
    turns = tuple(_looked_at(turn, attachments) for turn in prefix.in_context)
    if attachments.problem:
        raise PromptError(f"An in-context example shows an image that can't be read: {attachments.problem}.")
    return replace(prefix, in_context=turns)


def _looked_at(turn: Message, attachments: ImageAttachments) -> Message:
    if "images" not in turn:
        return turn
    (query,) = attachments.look([Query("example", turn["content"], images=tuple(turn["images"]))])
    return Message(role=turn["role"], content=turn["content"], images=query.images)
