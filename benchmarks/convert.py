"""How fast `convert` makes image stores, of made-up media, beside what else does the same work in the same run.

    python benchmarks/convert.py [6000] [6]

The numbers are those of stills (640 x 480 JPEG) and of videos (60 s at 30 frames a second, H.264). "Bare" is Pillow alone
in as many processes as there are cores: decode, resize, encode, and nothing is kept. "The original's way" is a pool of
eight threads, PNG, base64, and one JSON file. Of videos, what else is there decodes every frame: PyAV in as many
processes, keeping one a second; the same with every frame made RGB, as OpenCV's `read` does, which the original uses; and
`ffmpeg -vf fps=1`, where it is installed, with its own threads.
"""

from __future__ import annotations

import base64
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import cpu_count
from pathlib import Path

import av
import numpy
from av.video.stream import VideoStream
from common import ROOT, measured, table
from PIL import Image

SIZE, QUALITY, THREADS = (224, 224), 90, 8
RATE, SECONDS, WIDE, HIGH = 30, 60, 640, 360


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


def make_videos(folder: Path, count: int) -> Path:
    """Videos of a camera that moves over a picture with grain; libx264 as it comes, 1 to 2 Mbit/s."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = numpy.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 40, 3), numpy.uint8))
        ground = numpy.asarray(coarse.resize((2 * WIDE, 2 * HIGH), Image.Resampling.BICUBIC)).astype(numpy.int16)
        grain = [rng.normal(0, 3, (HIGH, WIDE, 1)).astype(numpy.int16) for _ in range(8)]
        with av.open(folder / f"v_{number:04}.mp4", "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(RATE), options={"crf": "26"})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
            for frame in range(RATE * SECONDS):
                x, y = (int(WIDE * abs(frame / t % 2 - 1) * 0.9) for t in (700, 900))
                y = min(y, HIGH)
                picture = numpy.clip(ground[y : y + HIGH, x : x + WIDE] + grain[frame % 8], 0, 255)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(numpy.uint8))))
            container.mux(stream.encode(None))
    return folder


def converted(name: str, media: Path, output: Path, *options: str) -> float:
    """Seconds that the command takes, from its start to its end."""
    given = ["convert", "--name", name, "--image_path", str(media), "--output", str(output), *options]
    done = measured([sys.executable, str(ROOT / "main.py"), *given])
    assert done.exit_code == 0, done.said
    return done.seconds


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


def timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def stills(folder: Path, count: int) -> None:
    paths = sorted(make_stills(folder / "photos", count).iterdir())
    random.Random(0).shuffle(paths)
    quarter = paths[: count // 4]
    seconds = {
        "convert": converted("CocoSpotTheDifference.change", folder / "photos", folder / "CGD.parquet"),
        "bare Pillow, as many processes": timed(lambda: bare_stills(paths)),
        "the original's way": 4 * timed(lambda: original_stills(quarter, folder / "images.json")),
    }
    ours = seconds["convert"]
    rows: list[tuple[str, ...]] = [("stills", "images/s", "convert is")]
    rows += [(name, f"{count / each:,.0f}", f"{each / ours:.2f} times as fast") for name, each in seconds.items()]
    table(rows)


def videos(folder: Path, count: int) -> None:
    paths = sorted(make_videos(folder / "videos", count).iterdir())
    size = sum(path.stat().st_size for path in paths) / len(paths)
    seconds = {
        "convert": converted("DenseCaptions.video", folder / "videos", folder / "DC.parquet"),
        "every frame decoded": timed(lambda: every_frame(paths, _plain)),
        "every frame decoded and made RGB": timed(lambda: every_frame(paths, _as_rgb)),
    }
    if shutil.which("ffmpeg"):
        (folder / "ffmpeg").mkdir()
        seconds["ffmpeg -vf fps=1"] = timed(lambda: by_ffmpeg(paths, folder / "ffmpeg"))
    ours = seconds["convert"]
    rows: list[tuple[str, ...]] = [
        (f"videos of {size * 8 / SECONDS / 1e6:.1f} Mbit/s", "video seconds/s", "convert is")
    ]
    rows += [
        (name, f"{count * SECONDS / each:,.0f}", f"{each / ours:.2f} times as fast") for name, each in seconds.items()
    ]
    table(rows)


def main() -> None:
    counts = [int(each) for each in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as temporary:
        stills(Path(temporary), counts[0] if counts else 6_000)
        print()
        videos(Path(temporary), counts[1] if counts[1:] else 6)


if __name__ == "__main__":
    main()
