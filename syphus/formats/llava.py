r"""LLaVA's conversations, which ShareGPT's form is, too: one JSON array, a conversation a line.

    [{"id": "SD_INS_00058_67c0ba_1", "image": ["SD_IMG_00058_1", "SD_IMG_00058_2"],
      "conversations": [{"from": "human", "value": "<image>\n<image>\nWhich vehicle ...?"},
                        {"from": "gpt", "value": "A second motorcycle ..."}]}]

Source: `docs/Finetune_Custom_Data.md` and `llava/train/train.py` of haotian-liu/LLaVA, where the first human turn has
one `<image>` for each image; a list of images is what LLaVA-NeXT made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from syphus.formats.conversations import conversations
from syphus.formats.mimicit.ids import check_unique
from syphus.formats.source import ExportSource
from syphus.io.durable import replace_file
from syphus.ledger.serialization import StoredPair

IMAGE = "<image>"


def write_llava(folder: Path, source: ExportSource) -> tuple[str, ...]:
    """Writes `XX_llava.json` in UTF-8; returns its name.

    Raises `RunError` where two pairs have the same id, `StorageError` where the disk fails.
    """
    name, most = f"{source.name}_llava.json", source.max_images()
    with replace_file(folder / name) as file:
        separator = b"[\n"
        for result in check_unique(source.results()):
            image = _image(result.image_ids, most)
            for pairs in conversations(result.pairs):
                turns = _turns(pairs, len(result.image_ids))
                file.write(separator + orjson.dumps({"id": pairs[0].id, **image, "conversations": turns}))
                separator = b",\n"
        file.write(b"\n]\n" if separator == b",\n" else b"[]\n")
    return (name,)


def _image(image_ids: Sequence[str], most: int) -> dict[str, object]:
    """Text where no pair of the dataset has more than one image, lists otherwise: a column has one type."""
    if not image_ids:
        return {}
    return {"image": image_ids[0] if most == 1 else image_ids}


def _turns(pairs: Sequence[StoredPair], images: int) -> list[dict[str, str]]:
    turns = []
    for number, pair in enumerate(pairs):
        marks = "" if number else f"{IMAGE}\n" * images
        turns.append({"from": "human", "value": marks + _plain(pair.instruction)})
        turns.append({"from": "gpt", "value": _plain(pair.answer)})
    return turns


def _plain(text: str) -> str:
    """A mark in a text would be taken for one more image, which there is not; the loader stops at that."""
    while IMAGE in text:  # "<im<image>age>" has one inside of another
        text = text.replace(IMAGE, "")
    return text
