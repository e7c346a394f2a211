r"""The Alpaca format: JSON Lines, one pair per line, without its context.

    {"instruction": "Which vehicle ...?", "input": "[image: SD_IMG_00058_1]\n[image: SD_IMG_00058_2]",
     "output": "A second motorcycle ..."}

The input names the images, and is "" for a pair without images. Source: the README of tatsu-lab/stanford_alpaca.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from syphus.formats.chat import image_placeholders
from syphus.formats.llava import strip_marks
from syphus.formats.source import ExportSource
from syphus.io.durable import replace_file


def write_alpaca(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_alpaca.jsonl` in UTF-8; return its name. Raises `StorageError` if the disk fails."""
    name = f"{source.name}_alpaca.jsonl"
    with replace_file(folder / name) as file:
        for result in source.results():
            images = image_placeholders(result.image_ids)
            for pair in result.pairs:
                instruction, output = strip_marks(pair.instruction), strip_marks(pair.answer)
                line = {"instruction": instruction, "input": images, "output": output}
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    return (name,)
