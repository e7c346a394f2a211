"""The size in which an image is sent to a model, and the tokens that it takes there.

OpenAI's models count in one of two ways (https://developers.openai.com/api/docs/guides/images-vision). The older ones
shrink an image to fit 2048 x 2048 pixels and its short side to 768, and count tiles of 512 pixels; with the detail
"low" they see 512 pixels of it and charge no tile. The small and the newest ones count patches of 32 pixels, up to a
maximum that depends on the model and on the detail. Pixels that the model does not see need not be sent. `models.yaml`
says how each model counts.

Other models count in their own ways. They are treated like the most common one, and the estimate then learns from the
usage that they report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from syphus.config.model_table import ImageCounting, Patches, Tiles, shipped_models

_SQUARE, _SHORT, _TILE, _LOW = 2048, 768, 512, 512  # pixels
_PATCH = 32  # pixels


@dataclass(frozen=True, slots=True)
class ImageRules:
    """How images are sent to `model`.

    `max_side` is their longest side in pixels: None for what the model can use, 0 for their original size. `detail`
    (low, high, auto or original) is sent along unless it is None. `tokens_per_image` is set if the user knows the
    number of tokens, and `counting` if it is not the shipped rule of the model.
    """

    model: str
    max_side: int | None = None
    detail: str | None = None
    tokens_per_image: int | None = None
    counting: ImageCounting | None = None

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
            case Tiles() as tiles:
                return tiles.base + (
                    0 if self.detail == "low" else tiles.each * _count(wide, _TILE) * _count(high, _TILE)
                )
            case Patches() as patches:
                count = _count(wide, _PATCH) * _count(high, _PATCH)
                most = self._most_patches(patches)
                return math.ceil(patches.each * (min(most, count) if most else count))

    @property
    def _rule(self) -> Tiles | Patches:
        return (self.counting or _shipped_counting(self.model)).rule

    def _shrunk(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which the model shrinks an image."""
        rule = self._rule
        if isinstance(rule, Patches):
            return _in_patches(width, height, self._most_patches(rule))
        if self.detail == "low":
            return _within(width, height, _LOW)
        wide, high = _within(width, height, _SQUARE)
        scale = min(1.0, _SHORT / min(wide, high))
        return _scaled(wide, high, scale)

    def _most_patches(self, rule: Patches) -> int:
        """Return the maximum of patches with this detail, or 0. What "low" shows is not published: at most "high"."""
        if self.detail == "original" and rule.original is not None:
            return rule.original
        return rule.most if self.detail in (None, "auto", "original") or rule.high is None else rule.high


@cache
def _shipped_counting(model: str) -> ImageCounting:
    return shipped_models().image_counting(model)


def _within(width: int, height: int, longest: int) -> tuple[int, int]:
    return _scaled(width, height, min(1.0, longest / max(width, height)))


def _in_patches(width: int, height: int, most: int) -> tuple[int, int]:
    """Shrink a size so that whole patches cover it, at most `most` of them; 0 is no maximum."""
    if not most or _count(width, _PATCH) * _count(height, _PATCH) <= most:
        return width, height
    scale = math.sqrt(most * _PATCH**2 / (width * height))
    wide, high = width * scale / _PATCH, height * scale / _PATCH
    return _scaled(width, height, scale * min(1 / scale, max(1, int(wide)) / wide, max(1, int(high)) / high))


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _count(length: int, step: int) -> int:
    return -(-length // step)
