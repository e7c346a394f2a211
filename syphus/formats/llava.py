r"""The LLaVA format, which ShareGPT shares: one JSON array, one conversation per line.

    [{"id": "SD_INS_00058_67c0ba_1", "image": ["SD_IMG_00058_1", "SD_IMG_00058_2"],
      "conversations": [{"from": "human", "value": "<image>\n<image>\nWhich vehicle ...?"},
                        {"from": "gpt", "value": "A second motorcycle ..."}]}]

Source: `docs/Finetune_Custom_Data.md` and `llava/train/train.py` of haotian-liu/LLaVA, where the first human turn has
one `<image>` for each image. LLaVA-NeXT allows a list of images.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import orjson

from syphus.formats.mimicit.ids import check_unique
from syphus.formats.source import ExportSource
from syphus.io.durable import replace_file
from syphus.ledger.results import conversations
from syphus.ledger.serialization import StoredPair

IMAGE_MARK = "<image>"
_OTHER_MARKS = re.compile(r"<(video|audio)>")
_AT_AN_END = re.compile(r"\A(?:\s*<(?:video|audio)>)+\s*|(?:\s*<(?:video|audio)>)+\s*\Z")


def write_llava(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Write `XX_llava.json` in UTF-8; return its name.

    Raises `RunError` if two pairs have the same id, `StorageError` if the disk fails.
    """
    name, max_images = f"{source.name}_llava.json", source.max_images()
    with replace_file(folder / name) as file:
        separator = b"[\n"
        for result in check_unique(source.results()):
            image = _image(result.image_ids, max_images)
            for pairs in conversations(result.pairs):
                turns = _turns(pairs, len(result.image_ids))
                file.write(separator + orjson.dumps({"id": pairs[0].id, **image, "conversations": turns}))
                separator = b",\n"
        file.write(b"\n]\n" if separator == b",\n" else b"[]\n")
    return (name,)


def _image(image_ids: Sequence[str], max_images: int) -> dict[str, object]:
    """Return the `image` field: text if no pair of the dataset has several images, otherwise always a list."""
    if not image_ids:
        return {}
    return {"image": image_ids[0] if max_images == 1 else image_ids}


def _turns(pairs: Sequence[StoredPair], images: int) -> list[dict[str, str]]:
    turns = []
    for number, pair in enumerate(pairs):
        marks = "" if number else f"{IMAGE_MARK}\n" * images
        turns.append({"from": "human", "value": marks + strip_marks(pair.instruction)})
        turns.append({"from": "gpt", "value": strip_marks(pair.answer)})
    return turns


def strip_marks(text: str) -> str:
    """Remove the tokens of images, videos and audio from a text: trainers would look for one more file, and stop.

    Within a sentence, `<video>` is a word, such as the name of HTML's element; it becomes `<video >`.
    """
    if "<" not in text:
        return text
    while IMAGE_MARK in text:  # "<im<image>age>" nests one in another
        text = text.replace(IMAGE_MARK, "")
    return _OTHER_MARKS.sub(r"<\1 >", _AT_AN_END.sub("", text))
