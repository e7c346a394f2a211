"""The check of a MIMIC-IT dataset of a million pairs: seconds, seconds of CPU, and peak memory.

python benchmarks/verify.py [1000000 [100000]]

The second number is that of the images: JPEG of 224 x 224, no two of the same bytes, in an image store of Parquet as
`convert` has it. Four pairs stand about the same two images. All cores look at images, one reads pairs.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet
from common import ROOT, measured, table
from PIL import Image

from syphus.images.parquet_store import BASE64, INDEX
from syphus.images.part_writer import parquet_writer, schema

PER_QUERY = 4
PHOTOS, GROUP = 200, 150  # different photos; images in a row group
COMMANDS = (("verify",), ("verify", "--decode", "none"), ("verify", "--decode", "full"), ("stats",))


def write_dataset(folder: Path, count: int, images: int) -> None:
    """Instructions, a train file and an image store of so many pairs and images."""
    with (
        (folder / "SD_instructions.json").open("w", encoding="utf-8") as pairs,
        (folder / "SD_train.json").open("w", encoding="utf-8") as keys,
    ):
        pairs.write('{"meta":{"version":"0.0.1"},"data":{')
        keys.write("{")
        for query in range(-(-count // PER_QUERY)):
            names = [f"SD_INS_{query:07}_{i}" for i in range(1, min(PER_QUERY, count - query * PER_QUERY) + 1)]
            shown = [_id(2 * query % images), _id((2 * query + 1) % images)]
            comma = ",\n" if query else "\n"
            items = [f"{json.dumps(name)}:{json.dumps(_entry(query, name, names, shown))}" for name in names]
            pairs.write(comma + ",\n".join(items))
            keys.write(f"{comma}{json.dumps(names[0])}:{json.dumps(names[1:])}")
        pairs.write("}}\n")
        keys.write("}\n")
    _write_store(folder / "SD.parquet", images)


def _write_store(path: Path, count: int) -> None:
    photos = [_photo(number) for number in range(PHOTOS)]
    columns = schema(pyarrow, raw=False, note="")
    with path.open("wb") as file, parquet_writer(pyarrow, file, columns) as writer:
        for first in range(0, count, GROUP):
            numbers = range(first, min(first + GROUP, count))
            held = {
                BASE64: [base64.b64encode(_another(photos[n % PHOTOS], n)).decode() for n in numbers],
                INDEX: [_id(n) for n in numbers],
            }
            writer.write_batch(pyarrow.record_batch([held[name] for name in columns.names], schema=columns))


def _photo(number: int) -> bytes:
    """An image that has coarse and fine parts, as photos have, and about as many bytes."""
    layers = [Image.merge("RGB", [Image.effect_noise((side, side), 90) for _ in "RGB"]) for side in (7, 28, 112)]
    image, *finer = [layer.resize((224, 224), Image.Resampling.BICUBIC) for layer in layers]
    for weight, layer in zip((0.3, 0.15), finer, strict=True):
        image = Image.blend(image, layer, weight)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75 + number % 15)
    return file.getvalue()


def _another(photo: bytes, number: int) -> bytes:
    """The same picture as other bytes: a comment is put in behind the first mark."""
    comment = b"%012d" % number
    return photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + photo[2:]


def _id(number: int) -> str:
    return f"SD_IMG_{number // 2:07}_{number % 2 + 1}"


def _entry(query: int, name: str, names: list[str], shown: list[str]) -> dict[str, object]:
    return {
        "instruction": f"Which vehicle appears only in the second image number {query}, and where does it stand?",
        "answer": "A second motorcycle appears only in the second image. It is beside the ticket booth, near the gate.",
        "image_ids": shown,
        "rel_ins_ids": [other for other in names if other != name],
    }


def main() -> None:
    given = [int(each) for each in sys.argv[1:]]
    count, images = (*given, *(1_000_000, 100_000)[len(given) :])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_dataset(folder, count, images)
        size = sum(file.stat().st_size for file in folder.iterdir())
        rows: list[tuple[str, ...]] = [("command", "pairs", "images", "files", "seconds", "of CPU", "peak memory")]
        for name, *options in COMMANDS:
            done = measured([sys.executable, str(ROOT / "main.py"), name, str(folder), *options])
            assert done.exit_code == 0, done.said
            what = (" ".join((name, *options)), f"{count:,}", f"{images:,}", f"{size / 1e6:,.0f} MB")
            rows.append((*what, f"{done.seconds:.1f}", f"{done.cpu:.1f}", f"{done.peak_mb:.0f} MB"))
    table(rows)


if __name__ == "__main__":
    main()
