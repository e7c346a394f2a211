"""The export of 100,000 pairs with an image each: seconds, peak memory, and how much slower than `cp`, for each format.

python benchmarks/export_images.py [100000] [20000]

The arguments are the number of pairs, and the bytes of an image. The store is a folder of parts, as `convert` writes
it; the images are noise behind the first bytes of a JPEG, as only copying counts. `times cp` is the time over that of
`cp` for the same bytes: as a file for each image where the format has that, otherwise as files of half a gigabyte. All
is measured on one core. `chat` is left out: it decodes the images, which these are not. What the disk does is in its
cache: repeat with more data than memory for its own speed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

from common import ROOT, Run, measured, table

from syphus.images.part_writer import PartWriter

FORMATS = ("llava", "alpaca", "internvl", "axolotl", "trl", "webdataset", "parquet", "mimicit")
AS_FILES = FORMATS[:4]
CHUNK = 500_000_000
PLUGIN = '''
from syphus import AbstractDataset, Pair


class MadeUp(AbstractDataset):
    """Made-up pairs."""

    short_name = "MU"
    brings_pairs = True

    def _load_query_inputs(self, path):
        for query in range({queries}):
            pair = Pair("Which vehicle is only in this image?", f"Number {{query}}, beside the booth.")
            name = f"{{query:07}}"
            yield {{"id": name, "sentences": "a car", "image_ids": [f"MU_IMG_{{name}}"], "pairs": [pair]}}
'''


def main() -> None:
    """Make a run and a store, and export them in each format."""
    pairs, size = (int(value) for value in (*sys.argv[1:], "100000", "20000")[:2])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "made_up.py").write_text(PLUGIN.format(queries=pairs), "utf-8")
        (plugins / "made_up.json").write_text(json.dumps({"system_message": "Nobody is asked."}), "utf-8")
        store = folder / "MU"
        # In a process of its own: what this one holds would count as the peak of the commands that it starts.
        writer = multiprocessing.get_context("fork").Process(target=_write_images, args=(folder, store, pairs, size))
        writer.start()
        writer.join()
        where = ["--datasets-dir", str(plugins)]
        prompt = ["--prompt-path", str(plugins / "made_up.json")]
        _syphus("--name", "MadeUp.made_up", "--output-dir", str(folder), *prompt, *where, "-in", "none")
        copies = {True: _copied(folder / "files", folder), False: _copied(folder / "chunks", folder)}
        rows: list[tuple[str, ...]] = [("format", "seconds", "CPU s", "MB/s", "peak MB", "times cp")]
        for kind, copy in (("cp, files", copies[True]), ("cp, chunks", copies[False])):
            rows.append(_row(kind, copy, pairs * size, 1.0))
        for name in FORMATS:
            run = str(folder / "MadeUp.made_up" / "v1")
            out = str(folder / "out")
            done = _syphus("export", run, "--format", name, "--images", str(store), "--output", out, *where)
            rows.append(_row(name, done, pairs * size, done.seconds / copies[name in AS_FILES].seconds))
            shutil.rmtree(out)
        table(rows)


def _write_images(folder: Path, store: Path, pairs: int, size: int) -> None:
    """Write a store, and for `cp` the same images as files and as large files."""
    for each in (store, folder / "files", folder / "chunks"):
        each.mkdir()
    writer = PartWriter(store, "mimicit", 1_000_000_000, "")
    for number in range(pairs):
        image = b"\xff\xd8\xff" + os.urandom(size - 3)
        writer.add(f"MU_IMG_{number:07}", image)
        (folder / "files" / f"MU_IMG_{number:07}.jpg").write_bytes(image)
        with (folder / "chunks" / str(number * size // CHUNK)).open("ab") as chunk:
            chunk.write(image)
        if writer.is_full:
            writer.finish()
    writer.finish()


def _syphus(*arguments: str) -> Run:
    done = measured(["taskset", "-c", "0", sys.executable, str(ROOT / "main.py"), *arguments])
    assert done.exit_code == 0, done.said
    return done


def _copied(source: Path, folder: Path) -> Run:
    done = measured(["taskset", "-c", "0", "cp", "-r", str(source), str(folder / "copy")])
    assert done.exit_code == 0, done.said
    shutil.rmtree(folder / "copy")
    return done


def _row(name: str, done: Run, size: int, times: float) -> tuple[str, ...]:
    speed = size / 1e6 / done.seconds
    return name, f"{done.seconds:.1f}", f"{done.cpu:.1f}", f"{speed:.0f}", f"{done.peak_mb:.0f}", f"{times:.1f}"


if __name__ == "__main__":
    main()
