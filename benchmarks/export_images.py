"""The export of 100,000 pairs with an image each: seconds, MB a second, and peak memory, for each format with images.

python benchmarks/export_images.py [100000] [20000]

The arguments are the number of pairs, and the bytes of an image. The store is a folder of parts, as `convert` writes
it; the images are noise behind the first bytes of a JPEG, as only copying counts. `copy` is what the disk takes for the
same bytes in one file. What the disk does is in its cache: repeat with more data than memory for its own speed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, measured, table

from syphus.images.part_writer import PartWriter

FORMATS = ("llava", "internvl", "axolotl", "trl", "webdataset", "parquet", "mimicit")
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
        store.mkdir()
        writer = PartWriter(store, "mimicit", 1_000_000_000, "")
        for number in range(pairs):
            writer.add(f"MU_IMG_{number:07}", b"\xff\xd8\xff" + os.urandom(size - 3))
            if writer.is_full:
                writer.finish()
        writer.finish()
        where = ["--datasets-dir", str(plugins)]
        named = [
            "--name",
            "MadeUp.made_up",
            "--output-dir",
            str(folder),
            "--prompt-path",
            str(plugins / "made_up.json"),
        ]
        done = measured([sys.executable, str(ROOT / "main.py"), *named, *where, "-in", "none"])
        assert done.exit_code == 0, done.said
        rows: list[tuple[str, ...]] = [
            ("format", "seconds", "CPU s", "MB/s", "peak MB"),
            ("copy", f"{_copy_seconds(store, folder):.1f}", "", "", ""),
        ]
        for name in FORMATS:
            command = ["export", str(folder / "MadeUp.made_up" / "v1"), "--format", name, "--images", str(store)]
            done = measured([sys.executable, str(ROOT / "main.py"), *command, "--output", str(folder / "out"), *where])
            assert done.exit_code == 0, done.said
            speed = pairs * size / 1e6 / done.seconds
            rows.append((name, f"{done.seconds:.1f}", f"{done.cpu:.1f}", f"{speed:.0f}", f"{done.peak_mb:.0f}"))
            shutil.rmtree(folder / "out")
        table(rows)


def _copy_seconds(store: Path, folder: Path) -> float:
    started = time.perf_counter()
    with (folder / "copy").open("wb") as copy:
        for part in sorted(store.glob("*.parquet")):
            with part.open("rb") as file:
                shutil.copyfileobj(file, copy)
        os.fsync(copy.fileno())
    (folder / "copy").unlink()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
