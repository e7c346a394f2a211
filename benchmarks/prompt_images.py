"""Images in the prompt: how fast they go out, beside a bare loop that makes them ready, and what they take in memory.

    python benchmarks/prompt_images.py [QUERIES]

The photos are made up: 1280 x 960 pixels, JPEG, about 250 kB; they go out as 1024 x 768. The server is the simulated
endpoint in a process of its own, which decodes every image; it has one of the two cores about half of the time.
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from common import ROOT, measured, table
from PIL import Image, ImageFilter

from syphus.endpoints.image_tokens import ImageRules
from syphus.images.prompt.attachments import ImageAttachments
from syphus.types import PromptImage, Query

PHOTOS = 200  # different ones; a query shows one of them, and says something else
_PLUGIN = """
from pathlib import Path
from syphus import AbstractDataset

class Photos(AbstractDataset):
    prompt = "photos"
    def _load_query_inputs(self, path):
        count, shown = Path(path).read_text().split()
        for n in range(int(count)):
            images = [f"{(n + k) % PHOTOS}.jpg" for k in range(int(shown))]
            yield {"id": n, "sentences": f"photo {n} shows a street", "images": images}
"""
_PROMPT = '{"system_message": "Write at least two pairs. Question: ... Answer: ...", "in_context": []}'


def write_photos(folder: Path) -> None:
    """Clouds of colour with some grain, as large as photos are on the disk."""
    folder.mkdir()
    rng = random.Random(0)
    for n in range(PHOTOS):
        soft = Image.frombytes("RGB", (40, 30), rng.randbytes(3600)).resize((1280, 960), Image.Resampling.BICUBIC)
        grain = Image.effect_noise((1280, 960), 24).convert("RGB").filter(ImageFilter.BLUR)
        Image.blend(soft, grain, 0.3).save(folder / f"{n}.jpg", quality=90)


def bare(folder: Path, count: int) -> float:
    """Images a second of a loop that reads, decodes, shrinks, encodes and writes base64, on all cores."""

    def ready(n: int) -> int:
        with Image.open(folder / f"{n % PHOTOS}.jpg") as image:
            small = image.resize((1024, 768), Image.Resampling.LANCZOS)
        path = folder / f".{n}.out.jpg"
        small.save(path, quality=90)
        try:
            return len(base64.b64encode(path.read_bytes()))
        finally:
            path.unlink()

    began = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        assert all(threads.map(ready, range(count)))
    return count / (time.monotonic() - began)


def looked_at(folder: Path, count: int) -> float:
    """Images a second that are looked at when the input is read."""
    attachments = ImageAttachments(ImageRules("gpt-4o"), folder)
    queries = [Query(str(n), "x", images=(PromptImage(f"{n % PHOTOS}.jpg"),)) for n in range(count)]
    began = time.monotonic()
    assert not attachments.inspect(queries)[0].images[0].problem
    return count / (time.monotonic() - began)


@contextmanager
def simulated() -> Iterator[dict[str, str]]:
    """The environment of a simulated endpoint."""
    given = ["--set", "keep_requests=0", "--set", "sloppiness=0"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "simulate", "--port", "0", *given], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split("OPENAI_BASE_URL=")[1].split()[0]
    try:
        yield {**os.environ, "OPENAI_API_KEY": "sk-benchmark-0123456789", "OPENAI_BASE_URL": url}
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def pipeline(folder: Path, count: int, shown: int, environ: dict[str, str]) -> tuple[float, float]:
    """Queries a second of the whole main job with so many images each, and its peak memory in MB."""
    rows = folder / f"rows-{shown}.txt"
    rows.write_text(f"{count} {shown}", "utf-8")
    output = folder / f"output-{shown}-{time.monotonic_ns()}"
    given = ["--name", "Photos.photos", "--datasets-dir", str(folder / "datasets"), "-in", str(rows), "--images"]
    given += [str(folder / "photos"), "--output_dir", str(output), "--model", "a-vision-model", "--num_threads", "64"]
    done = measured([sys.executable, str(ROOT / "main.py"), *given], environ)
    assert done.exit_code == 0, done.said
    return count / done.seconds, done.peak_mb


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rows: list[tuple[str, ...]] = [("what", "a second", "peak memory")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_photos(folder / "photos")
        for name, text in (("datasets/photos.py", f"PHOTOS = {PHOTOS}\n{_PLUGIN}"), ("prompts/photos.json", _PROMPT)):
            (folder / name).parent.mkdir()
            (folder / name).write_text(text, "utf-8")
        rows.append(("a bare loop that makes images ready, on all cores", f"{bare(folder / 'photos', count):,.0f}", ""))
        rows.append(("images looked at when the input is read", f"{looked_at(folder / 'photos', 5_000):,.0f}", ""))
        with simulated() as environ:
            for shown in (0, 1, 4):
                rate, peak = pipeline(folder, count, shown, environ)
                name = f"the main job, 64 threads, {shown} images a query"
                rows.append((name, f"{rate:,.0f} queries", f"{peak:,.0f} MB"))
    table(rows)


if __name__ == "__main__":
    main()
