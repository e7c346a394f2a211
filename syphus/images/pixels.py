"""The pixels of an image store: decoded, turned upright, made RGB, resized and encoded once.

What can't be taken as it is meant is a `BadImageError` that says why. Formats are those that a photo comes in;
PostScript and the like, which Pillow would start other programs for, are none of them.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from syphus.images.convert_options import EncodeOptions
from syphus.images.worker_protocol import MISSING

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_LARGEST_FILE = 1 << 28  # bytes
_GAP = 3.0  # how many times the wanted size a picture keeps when a decoder or a box filter shrinks it first
_ORIENTATION = 0x0112  # EXIF
_SIDEWAYS = 5  # from this orientation on, width and height change places
_BITS_PER_SAMPLE = 258  # TIFF
_PNG_DEPTH = 24  # the byte of a PNG that says how many bits a channel has

Image.init()  # Pillow knows a few of them from the start
Image.MAX_IMAGE_PIXELS = None  # ours is said below, and is a reason instead of a warning


class BadImageError(Exception):
    """Why an image can't be taken, in a few words."""


def read_file(path: Path) -> bytes:
    """The bytes of an image file. Raises `BadImageError`; never waits for a pipe."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadImageError("no file")
            if found.st_size > _LARGEST_FILE:
                raise BadImageError(f"a file of more than {_LARGEST_FILE >> 20} MiB")
            data = file.read()
    except FileNotFoundError as error:
        raise BadImageError(MISSING) from error
    except OSError as error:
        raise BadImageError(f"can't be read: {error.strerror}") from error
    if not data:
        raise BadImageError("0 bytes")
    return data


def convert_still(data: bytes, look: EncodeOptions) -> bytes:
    """The bytes of an image file as the store wants them; the same bytes where they are right already."""
    with _broken(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        found = image.format or ""
        _check(image, data, look)
        upright = _orientation(image) in (0, 1)
        right = found in look.passing and image.mode == "RGB" and image.size == look.target(*image.size) and upright
        if look.size is not None and not right:
            wide, high = image.size if upright else image.size[::-1]
            image.draft("RGB", _at_least(look.target(wide, high)))
        image.load()
        return data if right else encode(image if upright else ImageOps.exif_transpose(image), look)


def measure(data: bytes, look: EncodeOptions) -> tuple[int, int, str]:
    """Width and height of an image file when upright, and its format where it needs nothing but a smaller size.

    The format is "" where the picture must be turned or is not RGB. Nothing is decoded but the head, and PNG, which may
    say at its end how it is turned. Raises `BadImageError`.
    """
    with _broken(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check(image, data, look)
        orientation = _orientation(image)
        width, height = image.size[::-1] if orientation >= _SIDEWAYS else image.size
        return width, height, "" if orientation not in (0, 1) or image.mode != "RGB" else image.format or ""


def encode(image: Image.Image, look: EncodeOptions) -> bytes:
    """A decoded picture, resized and encoded. Transparent parts become white."""
    plain = _rgb(image)
    size = look.target(*plain.size)
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=_GAP)
    plain.info = {}  # comments and profiles would be written, too
    encoded = io.BytesIO()
    if look.format == "PNG":
        plain.save(encoded, "PNG")
    else:
        plain.save(encoded, "JPEG", quality=look.quality)
    return encoded.getvalue()


def check_pixels(width: int, height: int, look: EncodeOptions) -> None:
    """Raises `BadImageError` for more pixels than may be."""
    if width * height > look.most_pixels:
        raise BadImageError(f"{width:,} x {height:,} pixels, more than {look.most_pixels:,} in all")


def _check(image: Image.Image, data: bytes, look: EncodeOptions) -> None:
    check_pixels(*image.size, look)
    if look.lenient:
        return
    pictures = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # a photo and its previews
    if pictures > 1:
        raise BadImageError(f"animated or in parts: {pictures} pictures")
    if image.mode == "CMYK":
        raise BadImageError("CMYK")
    if image.mode[:1] in ("I", "F") or _depth(image, data) > 8:
        raise BadImageError("16 bit or more a channel")


def _depth(image: Image.Image, data: bytes) -> int:
    """Bits a channel, where Pillow would drop the lower ones without a word."""
    if image.format == "PNG":
        return data[_PNG_DEPTH]
    if image.format == "TIFF":
        depth = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
        return max(depth) if isinstance(depth, tuple) else int(depth)
    return 8


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG":
        image.load()  # Pillow does this itself, for EXIF at the end: a broken picture must not pass for broken EXIF
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - broken EXIF raises anything, and says nothing about the picture
        return 1


def _at_least(size: tuple[int, int]) -> tuple[int, int]:
    return round(size[0] * _GAP), round(size[1] * _GAP)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # Pillow cuts off everything above 255
        return image.convert("I").point(lambda value: value / 256, "L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _broken() -> Iterator[None]:
    """Whatever a decoder raises becomes a reason."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd metadata
            yield
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError("not an image") from error
    except Exception as error:
        said = " ".join(str(error).split())
        truncated = "truncated" in said.lower() or isinstance(error, EOFError)
        raise BadImageError(f"truncated: {said:.80}" if truncated else f"broken: {said:.80}") from error
