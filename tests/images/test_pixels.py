"""What becomes of an image file: right ones pass, others are made right once, and bad ones have a reason."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from media import number_of, numbered
from PIL import Image, ImageCms, PngImagePlugin

from syphus.errors import ConfigError
from syphus.images.convert_options import EncodeOptions, make_encode_options
from syphus.images.pixels import BadImageError, convert_still, measure, read_file, without_large_texts
from syphus.io.media import media_kind, unread_reason


def encoded(image: Image.Image, kind: str = "JPEG", **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def reason(data: bytes, look: EncodeOptions | None = None) -> str:
    with pytest.raises(BadImageError) as caught:
        convert_still(data, look or EncodeOptions())
    return str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000"])
def test_an_image_of_any_kind_becomes_a_jpeg_of_224(kind: str) -> None:
    made = opened(done := convert_still(encoded(numbered(1234), kind), EncodeOptions()))
    assert (made.format, made.mode, made.size) == ("JPEG", "RGB", (224, 224))
    assert number_of(done) == 1234


def test_the_pixels_are_those_of_a_plain_lanczos_resize() -> None:
    source = encoded(numbered(5).resize((640, 480)), quality=95)
    wanted = encoded(opened(source).resize((224, 224), Image.Resampling.LANCZOS), quality=90)
    assert convert_still(source, EncodeOptions()) == wanted


def test_an_image_that_is_right_passes_unchanged() -> None:
    right = encoded(numbered(7).resize((224, 224)), quality=31, comment=b"as it came")
    assert convert_still(right, EncodeOptions()) == right
    assert convert_still(right, make_encode_options((224, 224), False, "png", 90, 10**8, False)) != right
    png = encoded(numbered(7), "PNG")
    assert convert_still(png, make_encode_options(None, False, "", 90, 10**8, False)) == png
    assert opened(convert_still(png, make_encode_options(None, False, "jpeg", 90, 10**8, False))).format == "JPEG"
    grey = encoded(Image.new("L", (224, 224)))
    assert opened(convert_still(grey, EncodeOptions())).mode == "RGB"


def test_the_aspect_is_kept_where_it_is_asked_for() -> None:
    source = encoded(numbered(7).resize((400, 100)))
    assert opened(convert_still(source, make_encode_options((224, 224), True, "", 90, 10**8, False))).size == (224, 56)
    assert opened(convert_still(source, make_encode_options((100, 50), False, "png", 90, 10**8, False))).size == (
        100,
        50,
    )
    assert opened(convert_still(source, make_encode_options(None, False, "", 90, 10**8, False))).size == (400, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright(orientation: int) -> None:
    """A photo with a dark top right, as a camera that was held in any way would save it."""
    upright = Image.new("RGB", (120, 80), "white")
    upright.paste("black", (60, 0, 120, 40))
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a viewer has to undo
    stored = upright.transpose(Image.Transpose(turn[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = opened(convert_still(encoded(stored, exif=exif), EncodeOptions(size=(120, 80)))).convert("L")
    corners = [made.getpixel(at) for at in ((100, 10), (10, 10), (100, 70), (10, 70))]
    assert [isinstance(level, int) and level < 99 for level in corners] == [True, False, False, False]
    assert made.size == (120, 80)
    kept = opened(convert_still(encoded(stored, exif=exif), EncodeOptions(size=None)))
    assert kept.getexif().get(0x0112, 1) == 1


def test_transparent_parts_become_white() -> None:
    clear = Image.new("RGBA", (50, 50), (200, 0, 0, 0))
    palette = Image.new("P", (50, 50), 3)
    palette.putpalette([0, 0, 0] * 4)
    for data in (encoded(clear, "PNG"), encoded(palette, "PNG", transparency=3), encoded(clear, "WEBP", lossless=True)):
        assert opened(convert_still(data, EncodeOptions(format="PNG"))).getpixel((9, 9)) == (255, 255, 255)


def bomb() -> bytes:
    """A PNG of 80 megapixels, in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 10_000, 8_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(8_000 * 1_251), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    others = [numbered(number) for number in (2, 3)]
    return encoded(numbered(1), kind, save_all=True, append_images=others, duration=100)


def flipped() -> bytes:
    """A PNG with one bit wrong, in the middle of its pixels."""
    data = bytearray(encoded(numbered(1).effect_spread(40), "PNG"))
    data[len(data) // 2] ^= 1
    return bytes(data)


def raw_preview() -> bytes:
    """A TIFF whose first picture is marked as a preview, as in DNG and NEF."""
    return encoded(numbered(1), "TIFF", tiffinfo={254: 1})


def in_words(kind: str) -> str:
    return f"{kind} is not read: convert it to JPEG or PNG first"


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "heic": (lambda: HEIC, in_words("HEIC")),
    "heif of another camera": (lambda: b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", in_words("HEIC")),
    "jpeg xl": (lambda: b"\xff\x0a\xff\x07\x08", in_words("JPEG XL")),
    "jpeg xl in a container": (lambda: b"\0\0\0\x0cJXL \r\n\x87\n", in_words("JPEG XL")),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", in_words("SVG")),
    "svg with a head": (lambda: b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<svg/>", in_words("SVG")),
    "photoshop": (lambda: b"8BPS\0\1", in_words("Photoshop")),
    "jpeg xr": (lambda: b"II\xbc\1", in_words("JPEG XR")),
    "dicom": (lambda: bytes(128) + b"DICM", in_words("DICOM")),
    "raw": (raw_preview, "the preview of a camera raw file: convert it"),
    "pdf": (lambda: b"%PDF-1.7\n", "not an image but PDF"),
    "video": (lambda: b"\0\0\0\x18ftypisom\0\0\0\0", "not an image but a video (MP4)"),
    "text": (lambda: b"<html>404 Not Found</html>", "not an image"),
    "script": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "noise": (lambda: random.Random(0).randbytes(5000), "not an image"),
    "head": (lambda: encoded(numbered(1), "PNG")[:20], "truncated: "),
    "cut jpeg": (lambda: encoded(numbered(1).resize((640, 480)))[:3000], "truncated: "),
    "cut png": (lambda: encoded(numbered(1).effect_spread(40), "PNG")[:2000], "truncated: "),
    "cut right jpeg": (lambda: encoded(numbered(1).resize((224, 224)))[:2000], "truncated: "),
    "flipped png": (flipped, "broken: "),
    "cmyk": (lambda: encoded(numbered(1).convert("CMYK")), "CMYK"),
    "grey 16": (lambda: encoded(Image.new("I;16", (9, 9), 40_000), "PNG"), "16 bits or more per channel"),
    "tiff 16": (lambda: encoded(Image.new("I;16", (9, 9), 40_000), "TIFF"), "16 bits or more per channel"),
    "float": (lambda: encoded(Image.new("F", (9, 9), 0.5), "TIFF"), "16 bits or more per channel"),
    "gif": (lambda: animated("GIF"), "animated or in parts: 3 pictures"),
    "webp": (lambda: animated("WEBP"), "animated or in parts: 3 pictures"),
    "apng": (lambda: animated("PNG"), "animated or in parts: 3 pictures"),
    "pages": (lambda: animated("TIFF"), "animated or in parts: 3 pictures"),
    "bomb": (bomb, "10,000 x 8,000 pixels, more than 50,000,000 in all"),
}


def with_texts(*texts: tuple[str, str, bool]) -> bytes:
    info = PngImagePlugin.PngInfo()
    for kind, text, packed in texts:
        (info.add_itxt if kind == "iTXt" else info.add_text)("Comment", text, zip=packed)
    return encoded(numbered(7), "PNG", pnginfo=info)


LARGE = "x" * (3 << 20)
TEXTS: dict[str, Callable[[], bytes]] = {
    "packed": lambda: with_texts(("zTXt", LARGE, True)),
    "international": lambda: with_texts(("iTXt", LARGE, True)),
    "plain": lambda: with_texts(("tEXt", "x" * (70 << 20), False)),
    "many": lambda: with_texts(*[("zTXt", "x" * (1 << 20), True)] * 70),
    "profile": lambda: encoded(numbered(7), "PNG", icc_profile=b"A" * (2 << 20)),
    "small": lambda: with_texts(("zTXt", "x", True), ("iTXt", "y", False)),
}


@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS)
def test_texts_and_profiles_of_any_size_do_not_matter(make: Callable[[], bytes]) -> None:
    data = make()
    assert number_of(convert_still(data, EncodeOptions())) == 7
    kept = convert_still(data, EncodeOptions(size=None, passthrough_formats=("PNG",)))
    with Image.open(io.BytesIO(kept)) as image:  # others open it, too
        assert number_of(encoded(image.convert("RGB"), "PNG")) == 7


def test_a_png_with_usual_texts_is_not_touched() -> None:
    data = TEXTS["small"]()
    assert without_large_texts(data) is data
    assert convert_still(data, EncodeOptions(size=None, passthrough_formats=("PNG",))) is data


SOUND: dict[str, Callable[[], bytes]] = {
    "palette with a transparent colour": lambda: encoded(numbered(7).convert("P"), "PNG", transparency=255),
    "grey": lambda: encoded(numbered(7).convert("L")),
    "one bit": lambda: encoded(numbered(7).convert("1"), "PNG"),
    "a single gif": lambda: encoded(numbered(7), "GIF"),
    "avif": lambda: encoded(numbered(7), "AVIF"),
    "jpeg 2000": lambda: encoded(numbered(7), "JPEG2000"),
    "ppm": lambda: encoded(numbered(7), "PPM"),
    "bmp": lambda: encoded(numbered(7), "BMP"),
    "tiff": lambda: encoded(numbered(7), "TIFF"),
}


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_what_is_read_is_known_by_its_bytes(make: Callable[[], bytes]) -> None:
    data = make()
    kind = media_kind(data)
    assert kind is not None
    assert (kind.group, kind.is_read, unread_reason(data)) == ("image", True, "")
    assert number_of(convert_still(data, EncodeOptions())) == 7


@pytest.mark.parametrize(("make", "told"), BAD.values(), ids=BAD)
def test_a_bad_image_has_a_reason(make: Callable[[], bytes], told: str) -> None:
    assert reason(make()).startswith(told)


def test_a_png_is_looked_at_to_its_end_before_it_is_shown_to_a_model() -> None:
    with pytest.raises(BadImageError, match="broken"):
        measure(flipped(), EncodeOptions(size=None))
    exif = Image.Exif()
    exif[0x0112] = 6
    png = encoded(numbered(5), "PNG", exif=exif)
    start = png.index(b"eXIf") - 4
    chunk, end = png[start : start + 12 + int.from_bytes(png[start : start + 4])], png.index(b"IEND") - 4
    late = png[:start] + png[start + len(chunk) : end] + chunk + png[end:]
    assert measure(late, EncodeOptions(size=None)) == (96, 192, "")


def test_colours_of_16_bits_are_reported_too() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + struct.pack(">HHH", 65535, 32768, 256) * 8 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert reason(data) == "16 bits or more per channel"
    assert opened(convert_still(data, EncodeOptions(format="PNG", lenient=True))).getpixel((4, 4)) == (255, 128, 1)


def test_what_is_a_guess_is_taken_by_the_lenient() -> None:
    lenient = EncodeOptions(format="PNG", lenient=True)
    assert number_of(convert_still(animated("GIF"), lenient)) == 1
    assert number_of(convert_still(encoded(numbered(77).convert("CMYK")), lenient)) == 77
    grey = encoded(Image.new("I;16", (9, 9), 40_000), "PNG")
    assert opened(convert_still(grey, lenient)).getpixel((4, 4)) == (156, 156, 156)
    assert reason(bomb(), lenient).startswith("10,000 x 8,000 pixels")


def test_a_photo_with_its_previews_is_a_photo() -> None:
    photo = encoded(numbered(9), "MPO", save_all=True, append_images=[numbered(1)])
    assert number_of(convert_still(photo, EncodeOptions())) == 9


def test_metadata_that_is_broken_spoils_no_photo() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(numbered(9), exif=b"Exif\0\0nonsense", icc_profile=profile)
    made = convert_still(data, make_encode_options((224, 224), False, "png", 90, 10**8, False))
    assert number_of(made) == 9
    assert opened(made).info == {}


def test_files_that_are_none_have_a_reason_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(1 << 29)
    found = {}
    for name in ("empty.jpg", "pipe.jpg", "huge.jpg", "none.jpg"):
        with pytest.raises(BadImageError) as caught:
            read_file(tmp_path / name)
        found[name] = str(caught.value)
    assert found == {
        "empty.jpg": "0 bytes",
        "pipe.jpg": "not a regular file",
        "huge.jpg": "a file of more than 256 MiB",
        "none.jpg": "missing",
    }


def test_options_that_make_no_sense_are_reported() -> None:
    with pytest.raises(ConfigError, match=r"--image-format gif: must be jpeg or png\."):
        make_encode_options(None, False, "gif", 90, 1, False)
    with pytest.raises(ConfigError, match=r"--size: must be at most 16,384 pixels\."):
        make_encode_options((20_000, 5), False, "", 90, 1, False)
