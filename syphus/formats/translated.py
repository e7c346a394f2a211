"""A translated MIMIC-IT file, entry by entry, and the data yaml that puts a dataset in all its languages together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import orjson
import yaml

from syphus.formats.files import replacing

_ALONE = """\
# There was no image store {store}, so the pairs are in TEXT_ONLY. With one, give every
# dataset `images_path`, and put them into IMAGE_TEXT (one image a pair) or VIDEO_TEXT (several).
"""


def write_entry(file: IO[bytes], name: str, value: object, first: bool) -> None:
    """One entry of a JSON object, on a line of its own, in UTF-8."""
    file.write(b"\n" if first else b",\n")
    file.write(orjson.dumps(name) + b":" + orjson.dumps(value))


def data_yaml(
    path: Path,
    name: str,
    english: Path,
    translated: Mapping[str, tuple[Path, Path | None]],
    most_images: int,
) -> None:
    """Writes the data yaml of the English file and of those by language, each with its train file.

    Paths are absolute, as Otter's loader takes them from the folder that it is started in. The images are those of
    `XX.parquet` beside the English file. Raises `StorageError` where the disk fails.
    """
    images, train = english.with_name(f"{name}.parquet"), english.with_name(f"{name}_train.json")
    group = "TEXT_ONLY"
    if images.exists() and most_images:
        group = "IMAGE_TEXT" if most_images == 1 else "VIDEO_TEXT"
    files = {"": (english, train if train.is_file() else None), **translated}
    entries: dict[str, dict[str, str]] = {}
    for code, (instructions, trained) in files.items():
        entry = {"mimicit_path": str(instructions.absolute())}
        if group != "TEXT_ONLY":
            entry["images_path"] = str(images.absolute())
        if trained is not None:
            entry["train_config_path"] = str(trained.absolute())
        entries[f"{name}_{code}" if code else name] = entry
    told = _ALONE.format(store=images.name) if group == "TEXT_ONLY" and most_images else ""
    with replacing(path) as file:
        text = yaml.safe_dump({group: entries}, sort_keys=False, allow_unicode=True, width=1_000)
        file.write(f"{told}{text}".encode())
