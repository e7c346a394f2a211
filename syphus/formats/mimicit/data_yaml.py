"""Reads and writes the data yaml of MIMIC-IT: groups of datasets that Otter's loader loads together.

    IMAGE_TEXT:
      SD:
        mimicit_path: /data/SD_instructions.json
        images_path: /data/SD.parquet
        train_config_path: /data/SD_train.json
        num_samples: 5000

Source: `docs/mimicit_format.md` of Otter, and its loader (`pipeline/mimicit_utils/data.py`), which is stricter: a path
that does not exist, an unknown group or an empty one stops it.

The pairs of a run may have a task description beside them, in a file of its own. It becomes a setting of the data yaml.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson
import yaml

from syphus.errors import ConfigError
from syphus.io.durable import replace_file
from syphus.io.records import type_name
from syphus.io.yaml_files import read_yaml

TEXT_ONLY = "TEXT_ONLY"
GROUPS = ("IMAGE_TEXT", TEXT_ONLY, "VIDEO_TEXT", "IMAGE_TEXT_IN_CONTEXT")
ENDINGS = (".yaml", ".yml")
DESCRIPTION_FILE = "task_description.json"  #: beside the pairs: {"short": ..., "long": ..., "simulated": ...}

_FILES = ("mimicit_path", "train_config_path")
_DESCRIPTION = "task_description"
_KEYS = (*_FILES, "images_path", "num_samples", _DESCRIPTION)


class MixturePart(NamedTuple):
    """One dataset of a group: its files, and how many samples are drawn from it (None: all)."""

    name: str
    instructions: Path
    train: Path | None = None
    images: tuple[Path, ...] = ()
    samples: int | None = None
    notes: tuple[str, ...] = ()  #: what to say about its files that is not a fault
    shared: tuple[
        Path, ...
    ] = ()  #: image stores that were found by their ids and have another name: for several datasets


class MixtureGroup(NamedTuple):
    """Datasets that are loaded together and share their ids. `kind` is one of `GROUPS`, or "" for a single file."""

    source: str  #: the path of the data yaml, or of the single file
    kind: str
    parts: tuple[MixturePart, ...]


class Finding(NamedTuple):
    """A fault in a file. `id` is the id with the fault, "" for the file itself; `kind` is a countable text."""

    file: str
    id: str
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        """One line, even if an id holds line breaks or control characters."""
        return ": ".join(part if part.isprintable() else repr(part) for part in self if part)


def read_groups(path: Path) -> tuple[list[MixtureGroup], list[Finding]]:
    """Return the groups of a data yaml that can be loaded, and its faults.

    Relative paths start from the current folder, as in the loader. Raises `ConfigError` if the file is not YAML.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path}: expected groups at the top level ({', '.join(GROUPS)}), found {type_name(document)}"
        )
    findings: list[Finding] = []
    groups = []
    for kind, body in document.items():
        if kind not in GROUPS:
            findings.append(Finding(str(path), kind, "unknown group", f"must be one of {', '.join(GROUPS)}"))
        elif not isinstance(body, dict) or not body:
            findings.append(Finding(str(path), kind, "empty group"))
        else:
            parts = []
            for name, settings in body.items():
                findings += [Finding(str(path), f"{kind}.{name}", *fault) for fault in _faults(kind, settings)]
                if isinstance(settings, dict) and _is_file(settings.get("mimicit_path")):
                    parts.append(_part(name, settings))
            groups.append(MixtureGroup(str(path), kind, tuple(parts)))
    return groups, findings


def write_groups(path: Path, groups: Mapping[str, Mapping[str, object]], comment: str = "") -> None:
    """Write a data yaml in UTF-8, with a comment at the top. Raises `StorageError` if the disk fails."""
    with replace_file(path) as file:
        text = yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=1_000)
        file.write(f"{comment}{text}".encode())


def write_description(folder: Path, short: str, long: str, simulated: bool) -> Path:
    """Write the file of a run; return its path. `simulated` says that no model wrote the texts.

    Raises `StorageError` if the disk fails.
    """
    path = folder / DESCRIPTION_FILE
    description = {"short": short, "long": long, "simulated": simulated}
    with replace_file(path) as file:
        file.write(orjson.dumps(description, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def read_description(instructions: Path) -> list[str]:
    """Read the description beside an instruction file, as the data yaml has it: texts from which the loader draws one.

    Returns [] if there is none. Raises `ConfigError` if the file is malformed.
    """
    path = instructions.parent / DESCRIPTION_FILE
    if not path.is_file():
        return []
    try:
        description = orjson.loads(path.read_bytes())
        return [str(description["short"]), str(description["long"])]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f'{path}: expected an object with "short" and "long"') from error


def add_description(path: Path, folder: Path) -> int:
    """Set the description of the run in `folder` in a data yaml, for each dataset with pairs of that run.

    Returns the number of these datasets. Rewrites the file, so comments are lost. Raises `ConfigError` if the file is
    not a data yaml, or lists no pairs of that run.
    """
    groups = read_yaml(path)
    if not isinstance(groups, dict):
        raise ConfigError(f"{path}: expected groups at the top level")
    datasets = [each for body in groups.values() if isinstance(body, dict) for each in body.values()]
    matching = [each for each in datasets if isinstance(each, dict) and _is_in(each.get("mimicit_path"), folder)]
    if not matching:
        raise ConfigError(f"{path} lists no pairs of {folder}: no mimicit_path is in that folder.")
    for each in matching:
        each[_DESCRIPTION] = read_description(folder / DESCRIPTION_FILE)
    write_groups(path, groups)
    return len(matching)


def _faults(group: str, settings: object) -> Iterator[tuple[str, str]]:
    """Yield what would stop the loader, as (kind, detail)."""
    if not isinstance(settings, dict):
        yield "not a dataset", f"expected an object, found {type_name(settings)}"
        return
    needed = ("mimicit_path",) if group == TEXT_ONLY else ("mimicit_path", "images_path")
    yield from (("missing setting", key) for key in needed if key not in settings)
    for key, value in settings.items():
        if key.endswith("_path") and not _exists(value):
            yield "no such file", f"{key} {value!r}"
        elif key in _FILES and not _is_file(value):
            yield "no such file", f"{key} {value!r} is a folder"
        elif key not in _KEYS:
            yield "unknown setting", key
    if str(settings.get("mimicit_path", "")).endswith(".parquet"):
        yield "mimicit_path is not a JSON file", "the loader opens nothing else; `mix` writes one from a table"
    images = settings.get("images_path")
    if _exists(images) and not (_is_file(images) and str(images).endswith(".parquet")):
        yield "images_path is not a Parquet file", f"the loader opens nothing else: {images}"
    samples = settings.get("num_samples", -1)
    if type(samples) is not int or samples < -1:
        yield "num_samples is not a number of samples", repr(samples)
    description = settings.get(_DESCRIPTION, [])
    if not isinstance(description, list) or not all(isinstance(each, str) for each in description):
        yield "task_description is not a list of texts", "the loader takes one element of it"


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


def _is_in(instructions: object, folder: Path) -> bool:
    return isinstance(instructions, str) and Path(instructions).resolve().parent == folder.resolve()
