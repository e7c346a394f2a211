"""How fast `convert` makes image stores, of made-up media, beside what else does the same work in the same run.

    python benchmarks/convert.py [6000] [20]

The numbers are those of stills (640 x 480 JPEG) and of videos (60 s at 30 frames a second, H.264), which are encoded in
several ways: how much of a video can be left out depends on its key frames and its B frames. "Bare" is Pillow alone in
as many processes as there are cores: decode, resize, encode, and nothing is kept. "The original's way" is a pool of
eight threads, PNG, base64, and one JSON file. Of videos, what else there is decodes every frame: PyAV in as many
processes, one frame a second resized and encoded; the same with every frame made RGB, as OpenCV's `read` does, by which
the original reads; and `ffmpeg -vf fps=1`, where it is installed, with its own threads.

On a machine that does other things as well, the ratio of CPU seconds is the one to look at.
"""

from __future__ import annotations

import base64
import io
import json
import math
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import cpu_count
from pathlib import Path
from typing import NamedTuple

import av
import numpy
from av.video.stream import VideoStream
from common import ROOT, measured, table
from PIL import Image

SIZE, QUALITY, THREADS = (224, 224), 90, 8
RATE, SECONDS, WIDE, HIGH = 30, 60, 640, 360
VIDEOS = {
    "a key frame every second": {"g": "30"},
    "every 2 s": {"g": "60"},
    "every 5 s": {"g": "150"},
    "as libx264 does by itself": {},
    "without B frames": {"bf": "0"},
}


def make_stills(folder: Path, count: int, size: tuple[int, int] = (640, 480), different: int = 50) -> Path:
    """Photos by COCO's names, of which some fifty differ: soft shapes with grain, 30 to 60 kB at 640 x 480."""
    folder.mkdir(parents=True)
    rng = numpy.random.default_rng(0)
    first: list[Path] = []
    for number in range(count):
        path = folder / f"{number:012}.jpg"
        if number < different:
            coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), numpy.uint8)).resize(
                size, Image.Resampling.BICUBIC
            )
            grain = rng.normal(0, 6, (size[1], size[0], 3))
            pixels = numpy.clip(numpy.asarray(coarse) + grain, 0, 255).astype(numpy.uint8)
            Image.fromarray(pixels).save(path, quality=85)
            first.append(path)
        else:
            path.hardlink_to(first[number % different])
    return folder


def make_videos(folder: Path, count: int, **options: str) -> Path:
    """The same video under several names: a camera moves over a scene with texture, in which things move on their own;
    libx264, half a megabit a second, as web sites deliver this size.
    """
    folder.mkdir(parents=True)
    rng = numpy.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (48, 80, 3), numpy.uint8))
    scene = numpy.asarray(coarse.resize((2 * WIDE, 2 * HIGH), Image.Resampling.BICUBIC)).astype(numpy.int16)
    scene += rng.normal(0, 12, (2 * HIGH, 2 * WIDE, 1)).astype(numpy.int16)
    noise = rng.normal(0, 2, (2 * HIGH, 2 * WIDE, 1)).astype(numpy.int16)  # of the camera
    first = folder / "v_0000.mp4"
    with av.open(first, "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE), options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for frame in range(RATE * SECONDS):
            x, y = (int(WIDE * abs(frame / t % 2 - 1) * 0.9) for t in (700, 900))
            y = min(y, HIGH)
            down, right = rng.integers(0, (HIGH, WIDE))
            picture = scene[y : y + HIGH, x : x + WIDE] + noise[down : down + HIGH, right : right + WIDE]
            for thing in range(3):
                left, top = (2 + thing) * frame % WIDE, int(HIGH / 2 + 90 * math.sin(frame / (20 + 7 * thing)))
                picture[max(0, top - 25) : top + 25, max(0, left - 20) : left + 20] = 60 + 40 * thing
            shown = numpy.clip(picture, 0, 255).astype(numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown)))
        container.mux(stream.encode(None))
    for number in range(1, count):
        (folder / f"v_{number:04}.mp4").hardlink_to(first)
    return folder


class Cost(NamedTuple):
    """Of some work, with all its processes: seconds by the clock, and of CPU."""

    seconds: float
    cpu: float


def converted(name: str, media: Path, output: Path, *options: str) -> Cost:
    """What the command takes, from its start to its end."""
    given = ["convert", "--name", name, "--image_path", str(media), "--output", str(output), *options]
    done = measured([sys.executable, str(ROOT / "main.py"), *given])
    assert done.exit_code == 0, done.said
    return Cost(done.seconds, done.cpu)


def _bare(path: Path) -> int:
    picture = Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=QUALITY)
    return len(encoded.getvalue())


def _as_original(path: Path) -> tuple[str, str]:
    picture = Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return path.stem, base64.b64encode(encoded.getvalue()).decode()


def bare_stills(paths: Sequence[Path]) -> None:
    with ProcessPoolExecutor(cpu_count()) as pool:
        assert sum(pool.map(_bare, paths, chunksize=64))


def original_stills(paths: Sequence[Path], target: Path) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        target.write_text(json.dumps(dict(pool.map(_as_original, paths))), "utf-8")


def _every_frame(path: Path, rgb: bool) -> int:
    kept = 0
    with av.open(path) as container:
        container.streams.video[0].thread_type = "NONE"
        for number, frame in enumerate(container.decode(video=0)):
            if rgb:
                frame.to_ndarray(format="bgr24")
            if number % RATE == 0:
                image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]  # its types leave it out
                image.resize(SIZE, Image.Resampling.LANCZOS).save(io.BytesIO(), "JPEG", quality=QUALITY)
                kept += 1
    return kept


def _as_rgb(path: Path) -> int:
    return _every_frame(path, rgb=True)


def _plain(path: Path) -> int:
    return _every_frame(path, rgb=False)


def every_frame(paths: Sequence[Path], how: Callable[[Path], int]) -> None:
    with ProcessPoolExecutor(cpu_count()) as pool:
        assert sum(pool.map(how, paths)) == SECONDS * len(paths)


def by_ffmpeg(paths: Sequence[Path], target: Path) -> None:
    for path in paths:
        images = str(target / f"{path.stem}_%04d.jpg")
        given = ["-i", str(path), "-vf", "fps=1,scale=224:224:flags=lanczos", "-q:v", "3", images]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *given], check=True)


def cost(work: Callable[[], None]) -> Cost:
    def used() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in both)

    began, before = time.monotonic(), used()
    work()
    return Cost(time.monotonic() - began, used() - before)


def show(what: str, unit: str, amount: int, costs: Mapping[str, Cost]) -> None:
    ours = costs["convert"]
    rows: list[tuple[str, ...]] = [(what, f"{unit}/s", "convert is so many times as fast", "by CPU")]
    for name, each in costs.items():
        ratios = (f"{each.seconds / ours.seconds:.2f}", f"{each.cpu / ours.cpu:.2f}")
        rows.append((name, f"{amount / each.seconds:,.0f}", *ratios))
    table(rows)


def stills(folder: Path, count: int) -> None:
    paths = sorted(make_stills(folder / "photos", count).iterdir())
    random.Random(0).shuffle(paths)
    quarter = cost(lambda: original_stills(paths[: count // 4], folder / "images.json"))
    costs = {
        "convert": converted("CocoSpotTheDifference.change", folder / "photos", folder / "CGD.parquet"),
        "bare Pillow, as many processes": cost(lambda: bare_stills(paths)),
        "the original's way": Cost(4 * quarter.seconds, 4 * quarter.cpu),
    }
    show("stills", "images", count, costs)


def videos(folder: Path, count: int, what: str, **options: str) -> None:
    paths = sorted(make_videos(folder / "videos", count, **options).iterdir())
    rate = paths[0].stat().st_size * 8 / SECONDS / 1e6
    costs = {
        "convert": converted("DenseCaptions.video", folder / "videos", folder / "DC.parquet"),
        "every frame decoded": cost(lambda: every_frame(paths, _plain)),
        "every frame decoded and made RGB": cost(lambda: every_frame(paths, _as_rgb)),
    }
    if shutil.which("ffmpeg"):
        (folder / "ffmpeg").mkdir()
        costs["ffmpeg -vf fps=1"] = cost(lambda: by_ffmpeg(paths, folder / "ffmpeg"))
    show(f"videos, {what}, {rate:.1f} Mbit/s", "seconds of video", count * SECONDS, costs)


def main() -> None:
    counts = [int(each) for each in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as temporary:
        stills(Path(temporary), counts[0] if counts else 6_000)
    for what, options in VIDEOS.items():
        print()
        with tempfile.TemporaryDirectory() as temporary:
            videos(Path(temporary), counts[1] if counts[1:] else 20, what, **options)


if __name__ == "__main__":
    main()
