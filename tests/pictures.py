"""Images for tests: drawn with a seed, written as files, or as a store."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(width: int, height: int, seed: int = 0, form: str = "JPEG", mode: str = "RGB", coarse: int = 16) -> bytes:
    """An image file of random blocks of `coarse` pixels."""
    wide, high = -(-width // coarse), -(-height // coarse)
    noise = Image.frombytes("RGB", (wide, high), random.Random(seed).randbytes(3 * wide * high))
    file = io.BytesIO()
    noise.resize((width, height), Image.Resampling.NEAREST).convert(mode).save(file, form)
    return file.getvalue()


def write_picture(path: Path, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(width, height, seed, "PNG" if path.suffix == ".png" else "JPEG"))
    return path


def write_store(path: Path, images: Mapping[str, bytes]) -> Path:
    """A Parquet file as pandas writes an image store."""
    table = pa.table(
        {
            "base64": [base64.b64encode(image).decode() for image in images.values()],
            "__index_level_0__": list(images),
        }
    )
    noted = table.to_pandas().set_index("__index_level_0__").rename_axis(None)
    pq.write_table(pa.Table.from_pandas(noted), path, row_group_size=2)
    return path
