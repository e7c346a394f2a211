"""Decode an image file, rotate it upright, convert it to RGB, resize it, and encode it once.

An image that can't be used raises `BadImageError` with the reason. Only the formats of photos are accepted: for
PostScript and the like, Pillow would start other programs.
"""

from __future__ import annotations

import base64
import io
import os
import stat
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from syphus.errors import ImageError
from syphus.images.convert_options import MISSING, EncodeOptions
from syphus.io.media import unread_reason

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_MAX_FILE_BYTES = 1 << 28
_REDUCING_GAP = 3.0  # a decoder or box filter may first shrink an image to this many times the target size
_ORIENTATION = 0x0112  # EXIF tag
_FIRST_SIDEWAYS = 5  # from this orientation on, width and height are swapped
_BITS_PER_SAMPLE = 258  # TIFF tag
_SUBFILE = 254  # TIFF tag; its lowest bit marks a preview of another picture in the file
_PNG_DEPTH = 24  # offset of the byte of a PNG that holds the bits per channel
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"iCCP"))  # texts and a colour profile: no pixel depends on them
_MAX_TEXT = 1 << 20  # bytes of such a chunk, unpacked, that Pillow reads; above it refuses the image
_MAX_TEXTS = 60 * _MAX_TEXT  # of all of them; Pillow allows 64

Image.init()  # registers all formats; by default, Pillow knows only a few
Image.MAX_IMAGE_PIXELS = None  # `check_pixels` raises an error instead of a warning


class BadImageError(Exception):
    """Why an image can't be used, in a few words."""


def read_file(path: Path) -> bytes:
    """Read an image file. Raises `BadImageError`; never blocks on a pipe."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadImageError("not a regular file")
            if status.st_size > _MAX_FILE_BYTES:
                raise BadImageError(f"a file of more than {_MAX_FILE_BYTES >> 20} MiB")
            data = file.read()
    except FileNotFoundError as error:
        raise BadImageError(MISSING) from error
    except OSError as error:
        raise BadImageError(f"can't be read: {error.strerror}") from error
    if not data:
        raise BadImageError("0 bytes")
    return data


def convert_still(data: bytes, options: EncodeOptions) -> bytes:
    """Convert the bytes of an image file; return them unchanged if they already are what the options ask for."""
    data = without_large_texts(data)
    with _image_errors(data), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check(image, data, options)
        upright = _orientation(image) in (0, 1)
        unchanged = (
            upright
            and image.format in options.passthrough_formats
            and image.mode == "RGB"
            and image.size == options.target_size(*image.size)
        )
        if options.size is not None and not unchanged:
            width, height = options.target_size(*(image.size if upright else image.size[::-1]))
            image.draft("RGB", (round(width * _REDUCING_GAP), round(height * _REDUCING_GAP)))
        image.load()  # even if nothing changes: a broken image must not pass
        return data if unchanged else encode(image if upright else ImageOps.exif_transpose(image), options)


def measure(data: bytes, options: EncodeOptions) -> tuple[int, int, str]:
    """Return width and height in pixels when upright, and the format if the file needs nothing but a smaller size.

    The format is "" if the image must be rotated or is not RGB. Only the header is decoded, except for PNG, which may
    hold its orientation at the end. Raises `BadImageError`.
    """
    data = without_large_texts(data)
    with _image_errors(data), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check(image, data, options)
        orientation = _orientation(image)
        width, height = image.size[::-1] if orientation >= _FIRST_SIDEWAYS else image.size
        return width, height, "" if orientation not in (0, 1) or image.mode != "RGB" else image.format or ""


def without_large_texts(data: bytes) -> bytes:
    """Return a PNG without the texts and the colour profile that Pillow would refuse it for; anything else unchanged.

    Most images are returned as they are, after a look at the headers of their chunks.
    """
    if not data.startswith(_PNG_START):
        return data
    kept, start, begin, total = [], 0, len(_PNG_START), 0
    while begin + 12 <= len(data):
        end = begin + 12 + int.from_bytes(data[begin : begin + 4], "big")
        kind = data[begin + 4 : begin + 8]
        if kind in _PNG_TEXTS:
            size, packed = _text_size(kind, data[begin + 8 : end - 4])
            total += size
            if (packed and size > _MAX_TEXT) or total > _MAX_TEXTS:
                kept.append(data[start:begin])
                start = end
        begin = end
    return b"".join((*kept, data[start:])) if kept else data


def _text_size(kind: bytes, content: bytes) -> tuple[int, bool]:
    """Return the unpacked size of a chunk of text, up to a little more than `_MAX_TEXT`, and whether it is packed."""
    _, _, rest = content.partition(b"\0")
    if kind == b"tEXt" or (kind == b"iTXt" and not rest.startswith(b"\1")):
        return len(content), False
    packed = rest[1:] if kind != b"iTXt" else rest[2:].split(b"\0", 2)[-1]  # behind the language and the translated key
    try:
        return len(zlib.decompressobj().decompress(packed, _MAX_TEXT + 1)), True
    except zlib.error:
        return 0, True  # Pillow leaves it out


def encode(image: Image.Image, options: EncodeOptions) -> bytes:
    """Resize and encode a decoded image. Transparent parts become white; metadata is dropped."""
    plain = _rgb(image)
    size = options.target_size(*plain.size)
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    plain.info = {}  # or Pillow writes comments and profiles
    encoded = io.BytesIO()
    if options.format == "PNG":
        plain.save(encoded, "PNG")
    else:
        plain.save(encoded, "JPEG", quality=options.quality)
    return encoded.getvalue()


def check_pixels(width: int, height: int, options: EncodeOptions) -> None:
    """Raise `BadImageError` if an image has too many pixels."""
    if width * height > options.max_pixels:
        raise BadImageError(f"{width:,} x {height:,} pixels, more than {options.max_pixels:,} in all")


def _check(image: Image.Image, data: bytes, options: EncodeOptions) -> None:
    check_pixels(*image.size, options)
    if options.lenient:
        return
    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # MPO is a photo with previews
    if frames > 1:
        raise BadImageError(f"animated or in parts: {frames} pictures")
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & 1:
        raise BadImageError("the preview of a camera raw file: convert it to JPEG or PNG first")
    if image.mode == "CMYK":
        raise BadImageError("CMYK")
    if image.mode[:1] in ("I", "F") or _depth(image, data) > 8:
        raise BadImageError("16 bits or more per channel")


def _depth(image: Image.Image, data: bytes) -> int:
    """Return the bits per channel. Pillow would drop all above 8 silently."""
    if image.format == "PNG":
        return data[_PNG_DEPTH]
    if image.format == "TIFF":
        depth = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
        return max(depth) if isinstance(depth, tuple) else int(depth)
    return 8


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG":
        image.load()  # as getexif does, for EXIF at the end: a broken image must not be taken for broken EXIF
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - broken EXIF raises anything; the image may still be fine
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # a plain conversion clips everything above 255
        return image.convert("I").point(lambda value: value / 256, "L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _image_errors(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises for `data` into a `BadImageError`."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about odd metadata
            yield
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError(unread_reason(data[:1024]) or "not an image") from error
    except Exception as error:
        kind = "truncated" if _is_truncated(error) else "broken"
        raise BadImageError(f"{kind}: {' '.join(str(error).split()):.80}") from error


def _is_truncated(error: Exception) -> bool:
    """Return whether a decoder has found the end of a file too early.

    Pillow raises the same `OSError`, without a number, for a truncated file as for a broken one: only its words differ.
    """
    return isinstance(error, EOFError) or "truncated" in str(error).lower()


# For images in a prompt; a problem raises `ImageError` with the image's name.

_UNCHANGED = EncodeOptions(size=None)


def read_image_file(name: str, path: Path) -> bytes:
    """Read an image file."""
    with _named_errors(name):
        return read_file(path)


def measure_image(name: str, data: bytes) -> tuple[int, int, str]:
    """Return width and height when upright, and the format if the file can be sent as it is, else ""."""
    with _named_errors(name):
        return measure(data, _UNCHANGED)


def data_url(name: str, data: bytes, width: int, height: int, image_format: str) -> bytes:
    """Return the data URL (RFC 2397) of an image in this size in pixels. It is encoded again only if necessary."""
    with _named_errors(name):
        options = replace(_UNCHANGED, size=(width, height), passthrough_formats=(image_format,))
        encoded = convert_still(data, options)
    return b"data:image/%b;base64,%b" % (image_format.lower().encode(), base64.b64encode(encoded))


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except BadImageError as error:
        raise ImageError(name, str(error)) from error
