"""Puts the images of a request in place of their placeholders: in this process, or in one on another machine.

There, the images are read from the same paths, so its storage must be shared. What only this machine can read, such as
the images that a plugin has handed over, travels with the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from syphus.errors import ImageError
from syphus.images.prompt.lookup import ImageLookup, digest_of
from syphus.types import PromptImage

MAX_REQUEST_BYTES = 50_000_000  #: OpenAI's limit for one request
#: A placeholder in a body: the hash of the image, and the size and format in which it is sent.
PLACEHOLDER = re.compile(rb'"url":"(image:([0-9a-f]{32}):(\d+)x(\d+):([A-Z]+))"')
_CACHED_IMAGES = 32  # encoded ones: the images of in-context examples are sent with every request

_Packed: TypeAlias = tuple[bytes, dict[str, PromptImage], Path | None]


class ImageEncoder:
    """Reads and encodes images, from any thread. Those that many requests show are kept encoded."""

    def __init__(self, lookup: ImageLookup) -> None:
        self.lookup = lookup
        self._cached_data_url = lru_cache(_CACHED_IMAGES)(self._data_url)

    def build(self, body: bytes, images: Mapping[str, PromptImage]) -> bytes:
        """Return the body with its images, which are by their placeholders. Raises `ImageError`."""
        pieces, position = [], 0
        for found in PLACEHOLDER.finditer(body):
            size = int(found[3]), int(found[4])
            pieces += [
                body[position : found.start(1)],
                self._cached_data_url(images[found[1].decode()], *size, found[5].decode()),
            ]
            position = found.end(1)
        full_body = b"".join([*pieces, body[position:]])
        if len(full_body) > MAX_REQUEST_BYTES:
            limit, size_now = MAX_REQUEST_BYTES // 1_000_000, len(full_body) / 1e6
            raise ImageError(
                f"{len(images)} images", f"larger than {limit} MB together: a request of {size_now:,.0f} MB"
            )
        return full_body

    def _data_url(self, image: PromptImage, width: int, height: int, image_format: str) -> bytes:
        """Return the image as a data URL. Raises `ImageError` if it changed since it was inspected."""
        data = self.lookup.read(image)
        if digest_of(data) != image.digest:
            raise ImageError(image.name, "changed since the input was read: --check-input reads it again")
        from syphus.images.pixels import data_url

        return data_url(image.name, data, width, height, image_format)


class ImageBody:
    """The body of a request with images. Calling it builds it; pickling it lets another machine do that.

    `images` are those of the body by their placeholders. Both block, and raise `ImageError`.
    """

    def __init__(self, encoder: ImageEncoder, body: bytes, images: Mapping[str, PromptImage]) -> None:
        self._encoder = encoder
        self._body = body
        self._images = images

    def __call__(self) -> bytes:
        """Return the body with its images."""
        return self._encoder.build(self._body, self._images)

    def __reduce__(self) -> tuple[object, _Packed]:
        """Return what builds it elsewhere: with absolute paths, and with the content of what is only here."""
        lookup = self._encoder.lookup
        images = {placeholder: lookup.portable(image) for placeholder, image in self._images.items()}
        return _unpacked, (self._body, images, lookup.store)


def _unpacked(body: bytes, images: Mapping[str, PromptImage], store: Path | None) -> ImageBody:
    return ImageBody(_shared_encoder(store), body, images)


@lru_cache(4)
def _shared_encoder(store: Path | None) -> ImageEncoder:
    """Return the encoder that all requests share in a process that unpacks them."""
    return ImageEncoder(ImageLookup(store, None))
