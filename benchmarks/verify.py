"""The check of a MIMIC-IT dataset of a million pairs: seconds and peak memory.

python benchmarks/verify.py [1000000]

Half as many images: JPEG of 224 x 224, all the same, in an image store of JSON, whose every byte is read.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
from pathlib import Path

from common import ROOT, measured, table
from PIL import Image

PER_QUERY = 4
COMMANDS = (("verify",), ("verify", "--decode", "none"), ("verify", "--decode", "full"), ("stats",))


def write_dataset(folder: Path, count: int) -> None:
    """Instructions, a train file and an image store (JSON) of so many pairs, four of each pair of images."""
    picture = _picture()
    store, train = folder / "SD.json", folder / "SD_train.json"
    with (
        (folder / "SD_instructions.json").open("w", encoding="utf-8") as pairs,
        store.open("w", encoding="utf-8") as images,
        train.open("w", encoding="utf-8") as keys,
    ):
        pairs.write('{"meta":{"version":"0.0.1"},"data":{')
        for file in (images, keys):
            file.write("{")
        for query in range(-(-count // PER_QUERY)):
            names = [f"SD_INS_{query:07}_{i}" for i in range(1, min(PER_QUERY, count - query * PER_QUERY) + 1)]
            shown = [f"SD_IMG_{query:07}_{i}" for i in (1, 2)]
            comma = ",\n" if query else "\n"
            items = [f"{json.dumps(name)}:{json.dumps(_entry(query, name, names, shown))}" for name in names]
            pairs.write(comma + ",\n".join(items))
            images.write(comma + ",\n".join(f'"{image}":"{picture}"' for image in shown))
            keys.write(f"{comma}{json.dumps(names[0])}:{json.dumps(names[1:])}")
        pairs.write("}}\n")
        for file in (images, keys):
            file.write("}\n")


def _picture() -> str:
    """An image with about as many bytes as a photo of that size."""
    file = io.BytesIO()
    Image.effect_noise((28, 28), 60).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def _entry(query: int, name: str, names: list[str], shown: list[str]) -> dict[str, object]:
    return {
        "instruction": f"Which vehicle appears only in the second image number {query}, and where does it stand?",
        "answer": "A second motorcycle appears only in the second image. It is beside the ticket booth, near the gate.",
        "image_ids": shown,
        "rel_ins_ids": [other for other in names if other != name],
    }


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_dataset(folder, count)
        size = sum(file.stat().st_size for file in folder.iterdir())
        rows: list[tuple[str, ...]] = [("command", "pairs", "files", "seconds", "peak memory")]
        for name, *options in COMMANDS:
            done = measured([sys.executable, str(ROOT / "main.py"), name, str(folder), *options])
            assert done.exit_code == 0, done.said
            rows.append(
                (
                    " ".join((name, *options)),
                    f"{count:,}",
                    f"{size / 1e6:,.0f} MB",
                    f"{done.seconds:.1f}",
                    f"{done.peak_mb:.0f} MB",
                )
            )
    table(rows)


if __name__ == "__main__":
    main()
