"""The data yaml of MIMIC-IT: groups of datasets, which Otter's loader puts together.

    IMAGE_TEXT:
      SD:
        mimicit_path: /data/SD_instructions.json
        images_path: /data/SD.parquet
        train_config_path: /data/SD_train.json
        num_samples: 5000

Source: `docs/mimicit_format.md` of Otter, and its loader (`pipeline/mimicit_utils/data.py`), which is stricter: a path
that does not exist, an unknown group or an empty one ends it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from syphus.errors import ConfigError
from syphus.io.records import type_name
from syphus.io.yaml_files import read_yaml

TEXT_ONLY = "TEXT_ONLY"
GROUPS = ("IMAGE_TEXT", TEXT_ONLY, "VIDEO_TEXT", "IMAGE_TEXT_IN_CONTEXT")
ENDINGS = (".yaml", ".yml")

_FILES = ("mimicit_path", "train_config_path")
_KEYS = (*_FILES, "images_path", "num_samples", "task_description")


class MixturePart(NamedTuple):
    """One dataset of a group: its files, and how many samples are drawn from it (all of them where it is not said)."""

    name: str
    instructions: Path
    train: Path | None = None
    images: tuple[Path, ...] = ()
    samples: int | None = None


class MixtureGroup(NamedTuple):
    """What is loaded together, and shares its ids. `kind` is one of `GROUPS`, or "" for a file by itself."""

    source: str  #: the file that says so
    kind: str
    parts: tuple[MixturePart, ...]


class Finding(NamedTuple):
    """Something that is wrong: in which file, with which id ("" where it is the file), what, and the details.

    `kind` is one of a few texts that can be counted.
    """

    file: str
    id: str
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return ": ".join(
            part if part.isprintable() else repr(part) for part in self if part
        )  # one line, whatever is in it


def read_groups(path: Path) -> tuple[list[MixtureGroup], list[Finding]]:
    """The groups of a data yaml, as far as they can be loaded, and what is wrong with it.

    Paths are taken from the current folder, as the loader takes them. Raises `ConfigError` where it is no YAML at all.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path}: groups are expected at the top ({', '.join(GROUPS)}), this is {type_name(document)}"
        )
    findings: list[Finding] = []
    groups = []
    for kind, body in document.items():
        if kind not in GROUPS:
            findings.append(Finding(str(path), kind, "unknown group", f"there is {', '.join(GROUPS)}"))
        elif not isinstance(body, dict) or not body:
            findings.append(Finding(str(path), kind, "empty group"))
        else:
            parts = []
            for name, settings in body.items():
                wrong = [Finding(str(path), f"{kind}.{name}", what, detail) for what, detail in _wrong(kind, settings)]
                findings += wrong
                if isinstance(settings, dict) and _is_file(settings.get("mimicit_path")):
                    parts.append(_part(name, settings))
            groups.append(MixtureGroup(str(path), kind, tuple(parts)))
    return groups, findings


def _wrong(kind: str, settings: object) -> Iterator[tuple[str, str]]:
    """What the loader would stumble over, as kind and detail."""
    if not isinstance(settings, dict):
        yield "no dataset", f"an object is expected, this is {type_name(settings)}"
        return
    needed = ("mimicit_path",) if kind == TEXT_ONLY else ("mimicit_path", "images_path")
    yield from (("missing setting", key) for key in needed if key not in settings)
    for key, value in settings.items():
        if key.endswith("_path") and not _exists(value):
            yield "no such file", f"{key} {value!r}"
        elif key in _FILES and not _is_file(value):
            yield "no such file", f"{key} {value!r} is a folder"
        elif key not in _KEYS:
            yield "unknown setting", key
    images = settings.get("images_path")
    if _exists(images) and not (_is_file(images) and str(images).endswith(".parquet")):
        yield "images_path is no parquet file", f"the loader opens nothing else: {images}"
    samples = settings.get("num_samples", -1)
    if type(samples) is not int or samples < -1:
        yield "num_samples is no number of samples", repr(samples)
    described = settings.get("task_description", [])
    if not isinstance(described, list) or not all(isinstance(each, str) for each in described):
        yield "task_description is no list of texts", "the loader takes one element of it"


def _part(name: str, settings: dict[str, object]) -> MixturePart:
    train, images, samples = (settings.get(key) for key in ("train_config_path", "images_path", "num_samples"))
    return MixturePart(
        name,
        Path(str(settings["mimicit_path"])),
        Path(str(train)) if _is_file(train) else None,
        (Path(str(images)),) if _exists(images) else (),
        samples if type(samples) is int and samples > 0 else None,
    )


def _exists(path: object) -> bool:
    return isinstance(path, str) and path != "" and os.path.exists(path)  # noqa: PTH110 - `Path` raises where a name is too long


def _is_file(path: object) -> bool:
    return isinstance(path, str) and os.path.isfile(path)  # noqa: PTH113 - as above
