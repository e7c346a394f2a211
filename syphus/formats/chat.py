r"""OpenAI's fine-tuning format: JSON Lines, one conversation per line, with the key `messages` only.

    {"messages": [{"role": "user", "content": "[image: SD_IMG_00058_1]\n[image: SD_IMG_00058_2]\nWhich vehicle ...?"},
                  {"role": "assistant", "content": "A second motorcycle ..."}]}

The text names the images where they belong, for the user to replace. Source: "Supervised fine-tuning" in OpenAI's API
guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from syphus.formats.llava import strip_marks
from syphus.formats.source import ExportSource
from syphus.io.durable import replace_file
from syphus.ledger.results import conversations


def write_chat(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_chat.jsonl` in UTF-8; return its name. Raises `StorageError` if the disk fails."""
    name = f"{source.name}_chat.jsonl"
    with replace_file(folder / name) as file:
        for result in source.results():
            images = image_placeholders(result.image_ids)
            for pairs in conversations(result.pairs):
                messages = []
                for number, pair in enumerate(pairs):
                    instruction = strip_marks(pair.instruction)
                    question = instruction if number or not images else f"{images}\n{instruction}"
                    messages.append({"role": "user", "content": question})
                    messages.append({"role": "assistant", "content": strip_marks(pair.answer)})
                file.write(orjson.dumps({"messages": messages}, option=orjson.OPT_APPEND_NEWLINE))
    return (name,)


def image_placeholders(image_ids: Sequence[str]) -> str:
    """Return one line for each image, as `[image: SD_IMG_00058_1]`."""
    return "\n".join(f"[image: {image}]" for image in image_ids)
