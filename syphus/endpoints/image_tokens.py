"""The size in which an image is sent to a model, and the tokens that it takes there.

OpenAI's models count in one of two ways (https://platform.openai.com/docs/guides/images-vision). Most of them shrink an
image to fit 2048 x 2048 pixels and its short side to 768, and count tiles of 512 pixels; with the detail "low" they see
512 pixels of it and charge no tile. The small and the newest ones count patches of 32 pixels, at most 1,536 per image,
and `detail` changes nothing. Pixels that the model does not see need not be sent.

Other models count in their own ways. They are treated like the most common one, and the estimate then learns from the
usage that they report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

_SQUARE, _SHORT, _TILE, _LOW = 2048, 768, 512, 512  # pixels
_PATCH = 32  # pixels
_MAX_PATCHES = 1536  # per image


class Tiles(NamedTuple):
    """Tokens per image (`base`), and per tile."""

    base: int
    per_tile: int


class Patches(NamedTuple):
    """Tokens per patch."""

    per_patch: float


#: By the beginning of the model's name; the first match counts. `gpt-5.2` and later are as measured by users.
RULES: tuple[tuple[str, Tiles | Patches], ...] = (
    ("gpt-4o-mini", Tiles(2833, 5667)),
    ("gpt-4.1-mini", Patches(1.62)),
    ("gpt-4.1-nano", Patches(2.46)),
    ("gpt-5-mini", Patches(1.62)),
    ("gpt-5-nano", Patches(2.46)),
    ("o4-mini", Patches(1.72)),
    ("gpt-5.1", Tiles(70, 140)),
    ("gpt-5.", Patches(1.2)),
    ("gpt-5", Tiles(70, 140)),
    ("o1", Tiles(75, 150)),
    ("o3", Tiles(75, 150)),
)
DEFAULT_RULE = Tiles(85, 170)  #: gpt-4o, gpt-4.1, and every model that is not in the table


@dataclass(frozen=True, slots=True)
class ImageRules:
    """How images are sent to `model`.

    `max_side` is their longest side in pixels: None for what the model can use, 0 for their original size. `detail`
    (low, high or auto) is sent along unless it is None. `tokens_per_image` is set if the user knows the number of
    tokens.
    """

    model: str
    max_side: int | None = None
    detail: str | None = None
    tokens_per_image: int | None = None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height in pixels in which an image of this size is sent; never larger than it is."""
        if self.max_side is not None:
            return _within(width, height, self.max_side) if self.max_side else (width, height)
        return self._shrunk(width, height)

    def tokens(self, width: int, height: int) -> int:
        """Return the tokens that an image takes if it is sent in this size."""
        if self.tokens_per_image is not None:
            return self.tokens_per_image
        wide, high = self._shrunk(width, height)
        match self._rule:
            case Tiles(base, per_tile):
                return base + (0 if self.detail == "low" else per_tile * _count(wide, _TILE) * _count(high, _TILE))
            case Patches(per_patch):
                return math.ceil(per_patch * min(_MAX_PATCHES, _count(wide, _PATCH) * _count(high, _PATCH)))

    @property
    def _rule(self) -> Tiles | Patches:
        name = self.model.rpartition("/")[2].lower()  # gateways write openai/gpt-4o
        return next((rule for start, rule in RULES if name.startswith(start)), DEFAULT_RULE)

    def _shrunk(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which the model shrinks an image."""
        if isinstance(self._rule, Patches):
            return _in_patches(width, height)
        if self.detail == "low":
            return _within(width, height, _LOW)
        wide, high = _within(width, height, _SQUARE)
        scale = min(1.0, _SHORT / min(wide, high))
        return _scaled(wide, high, scale)


def _within(width: int, height: int, longest: int) -> tuple[int, int]:
    return _scaled(width, height, min(1.0, longest / max(width, height)))


def _in_patches(width: int, height: int) -> tuple[int, int]:
    """Shrink a size so that whole patches cover it, at most `_MAX_PATCHES`."""
    if _count(width, _PATCH) * _count(height, _PATCH) <= _MAX_PATCHES:
        return width, height
    scale = math.sqrt(_MAX_PATCHES * _PATCH**2 / (width * height))
    wide, high = width * scale / _PATCH, height * scale / _PATCH
    return _scaled(width, height, scale * min(1 / scale, max(1, int(wide)) / wide, max(1, int(high)) / high))


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _count(length: int, step: int) -> int:
    return -(-length // step)
