"""A translated MIMIC-IT file, entry by entry, and the data yaml for it."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import orjson
import yaml

from syphus.formats.files import replacing
from syphus.formats.mimicit import group_of

_ALONE = """\
# There was no image store {store}, so this is TEXT_ONLY. With one, add `images_path`, and make it IMAGE_TEXT
# (one image a pair) or VIDEO_TEXT (several).
"""


def write_entry(file: IO[bytes], name: str, value: object, first: bool) -> None:
    """One entry of a JSON object, on a line of its own, in UTF-8."""
    file.write(b"\n" if first else b",\n")
    file.write(orjson.dumps(name) + b":" + orjson.dumps(value))


def data_yaml(path: Path, english: Path, translated: Path, train: Path | None, name: str, most_images: int) -> None:
    """Writes the data yaml of a dataset in one language, with its train file.

    It is one for each language, as the pairs have the same ids in all of them, and Otter's loader keeps one of each id.
    Paths are absolute, as it takes them from the folder that it is started in. The images are those of `XX.parquet`
    beside the English file. Raises `StorageError` where the disk fails.
    """
    images = english.with_name(f"{english.name.partition('_instructions')[0]}.parquet")
    entry = {"mimicit_path": str(translated.absolute())}
    group = group_of(most_images if images.exists() else 0)
    if images.exists() and most_images:
        entry["images_path"] = str(images.absolute())
    if train is not None:
        entry["train_config_path"] = str(train.absolute())
    told = _ALONE.format(store=images.name) if group == "TEXT_ONLY" and most_images else ""
    with replacing(path) as file:
        text = yaml.safe_dump({group: {name: entry}}, sort_keys=False, allow_unicode=True, width=1_000)
        file.write(f"{told}{text}".encode())
