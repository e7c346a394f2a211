"""Images for tests, drawn with a seed, as files or as a store; and the main job over rows that have some."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from harness import Ran, run_rows
from PIL import Image

from syphus.simulator import SimulatedServer


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


def ask(folder: Path, endpoint: SimulatedServer, rows: Sequence[Mapping[str, Any]], **options: Any) -> Ran:
    """The main job over rows with images."""
    path = folder / "images.jsonl"
    text = "".join(json.dumps({"text": f"the car {row['id']} has moved", **row}) + "\n" for row in rows)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
    return run_rows(folder, endpoint.url, 0, name="Pictures.pictures", query_inputs_path=str(path), **options)


def shown(endpoint: SimulatedServer) -> list[tuple[str, ...]]:
    """The images of each request, as the server has seen them."""
    return [record.images for record in endpoint.requests]
