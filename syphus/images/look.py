"""What images become: told by the user, and needed by every process that decodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syphus.errors import ConfigError

MOST_PIXELS = 50_000_000  #: that an image or a video may have; a phone's camera has 50 million
LARGEST_SIDE = 16_384


@dataclass(frozen=True, slots=True)
class Look:
    """What images become.

    `size` is (width, height) in pixels, None for that of the source; with `keep_aspect` the picture fits into it.
    `passing` are the formats of images that are already right. `lenient` takes what is a guess otherwise: CMYK, 16 bits
    a channel, the first picture of an animation.
    """

    size: tuple[int, int] | None = (224, 224)
    keep_aspect: bool = False
    format: Literal["JPEG", "PNG"] = "JPEG"
    quality: int = 90
    passing: tuple[str, ...] = ("JPEG",)
    most_pixels: int = MOST_PIXELS
    lenient: bool = False

    def target(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture of this size gets."""
        if self.size is None:
            return width, height
        if not self.keep_aspect:
            return self.size
        scale = min(self.size[0] / width, self.size[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))


def make_look(
    size: tuple[int, int] | None, keep_aspect: bool, image_format: str, quality: int, most_pixels: int, lenient: bool
) -> Look:
    """A look as a user tells it; where no format is named, images that keep their size keep theirs, JPEG or PNG.

    Raises `ConfigError`.
    """
    named: Literal["JPEG", "PNG"] | None
    match image_format.lower():
        case "":
            named = None
        case "jpeg" | "jpg":
            named = "JPEG"
        case "png":
            named = "PNG"
        case _:
            raise ConfigError(f"--image_format {image_format}: there is jpeg and png.")
    if not 1 <= quality <= 100 or most_pixels < 1:
        raise ConfigError("--quality is a number from 1 to 100, --max_pixels one from 1.")
    if size is not None and max(size) > LARGEST_SIDE:
        raise ConfigError(f"--size: up to {LARGEST_SIDE:,} pixels.")
    passing = ("JPEG", "PNG") if size is None and named is None else (named or "JPEG",)
    return Look(size, keep_aspect, named or "JPEG", quality, passing, most_pixels, lenient)
