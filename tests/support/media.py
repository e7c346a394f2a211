"""Made-up stills and videos for tests. A video's frames show their number, so that a test can tell which one it got."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

_BITS = 12
_WIDE, _HIGH = 16 * _BITS, 96


def numbered(number: int) -> Image.Image:
    """A picture of a number: its bits as bars, black and white, the highest to the left; the lower third is grey."""
    image = Image.new("RGB", (_WIDE, _HIGH), (90, 90, 90))
    draw = ImageDraw.Draw(image)
    for bit in range(_BITS):
        on = number >> (_BITS - 1 - bit) & 1
        draw.rectangle((16 * bit, 0, 16 * bit + 15, 2 * _HIGH // 3), fill="white" if on else "black")
    return image


def number_of(data: bytes) -> int:
    """The number in a picture, whatever size it has got."""
    image = Image.open(io.BytesIO(data)).convert("L")
    width, height = image.size
    number = 0
    for bit in range(_BITS):
        level = image.getpixel((int((bit + 0.5) * width / _BITS), height // 3))
        assert isinstance(level, int)
        assert level < 60 or level > 195, level
        number = 2 * number + (level > 128)
    return number


def write_video(
    path: Path,
    times: Sequence[Fraction | float],
    codec: str = "libx264",
    base: Fraction = Fraction(1, 12800),
    rotation: int = 0,
    rate: Fraction = Fraction(30),
    wide: int = _WIDE,
    **options: str,
) -> Path:
    """A video with numbered frames at these seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"preset": "ultrafast", **options})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = wide, _HIGH, "yuv420p"
        stream.codec_context.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numpy.asarray(numbered(number).resize((wide, _HIGH))))
            frame.pts, frame.time_base = round(Fraction(time) / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def every(rate: Fraction | float, seconds: float, start: float = 0) -> list[Fraction]:
    """The times of frames at a rate."""
    return [Fraction(start) + Fraction(number) / Fraction(rate) for number in range(round(seconds * rate))]


def write_still(path: Path, number: int = 0, size: tuple[int, int] = (64, 48), **how: object) -> Path:
    """A still in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbered(number).resize(size).save(path, **how)  # type: ignore[arg-type]  # parameters of the formats
    return path


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
    return path


def skipped(path: Path) -> dict[str, str]:
    """The reasons of a list of skipped images, by id, or by the name of the file where it has none."""
    entries: Iterable[dict[str, str]] = map(json.loads, path.read_text("utf-8").splitlines())
    return {entry.get("id") or Path(entry["path"]).name: entry["reason"] for entry in entries}
