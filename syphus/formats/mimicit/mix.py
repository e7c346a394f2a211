"""Writes a data yaml from several datasets, and computes how often Otter's loader will draw from each.

The loader cuts down or repeats each dataset to its `num_samples`, joins the datasets of a group, and draws from a group
with replacement. It draws from groups by their size. So the share of a dataset is its samples over all samples. Source:
Otter's `pipeline/mimicit_utils/mimicit_dataset.py` and `data.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from syphus.errors import ConfigError
from syphus.formats.mimicit.data_yaml import (
    ENDINGS,
    GROUPS,
    TEXT_ONLY,
    MixturePart,
    group_for_images,
    read_description,
    read_groups,
    write_groups,
)
from syphus.formats.mimicit.discovery import file_language, find_groups
from syphus.formats.mimicit.verify import OnFinding, VerifySummary, text_list, verify
from syphus.io.records import read_nested_items

DATASET_SYNTAX = "[NAME=GROUP:]INSTRUCTIONS.json[,images=FILE][,train=FILE][,num_samples=N]"

_SETTINGS = {"images": "images_path", "train": "train_config_path", "num_samples": "num_samples"}


class MixtureShare(NamedTuple):
    """One dataset of a mixture: the pairs it has, the samples drawn from it, and its share of all samples."""

    group: str
    name: str
    pairs: int
    samples: int
    ratio: float


class Mixture(NamedTuple):
    """The shares of the datasets in a data yaml, and the summary of their check."""

    shares: list[MixtureShare]
    summary: VerifySummary


def mix(path: Path, datasets: Sequence[str], on_finding: OnFinding) -> Mixture:
    """Write a data yaml of the datasets, each given as `DATASET_SYNTAX`, with absolute paths; check all its files.

    A dataset without name and group takes the name `XX` from `XX_instructions.json`, its files from the same folder,
    and its group from the number of its images. A folder stands for all instruction files in it that are no
    translations.

    Raises `ConfigError`, before it writes anything, for bad syntax or a missing file.
    """
    groups: dict[str, dict[str, dict[str, object]]] = {}
    for text in datasets:
        for group, name, settings in _datasets(text):
            if name in groups.setdefault(group, {}):
                raise ConfigError(f"{text}: {group} has a {name} already; give it another name: NAME={group}:FILE")
            groups[group][name] = settings
    write_groups(path, groups)
    mixture, findings = read_groups(path)
    summary = verify(mixture, findings, on_finding, allow_unused=True)
    return Mixture(shares(summary), summary)


def shares(summary: VerifySummary) -> list[MixtureShare]:
    """Return the share of each dataset. Its pairs are the keys of its train file if it has one."""
    rows = []
    for group, part, pairs, trained in summary.parts:
        available = pairs if trained is None else trained
        rows.append((group.kind, part.name, available, part.samples or available))
    total = sum(samples for *_, samples in rows)
    return [MixtureShare(*row, row[-1] / total if total else 0.0) for row in rows]


def _datasets(text: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Parse one argument; yield group, name, and settings as in the yaml."""
    source, *options = text.split(",")
    if Path(source).suffix in ENDINGS:
        raise ConfigError(f"{text}: this is a data yaml; name the datasets in it instead")
    if Path(source).exists():
        yield from _found_datasets(text, Path(source), options)
    else:
        yield _described_dataset(text, source, options)


def _found_datasets(text: str, source: Path, options: Sequence[str]) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield the datasets of a folder or an instruction file, with what is beside them."""
    parts = [part for group in find_groups([source])[0] for part in group.parts]
    if source.is_dir():
        parts = [part for part in parts if not file_language(part.instructions)]
    if options and len(parts) > 1:
        raise ConfigError(f"{text}: {source} holds {len(parts)} instruction files; name each with its own settings")
    for part in parts:
        code = file_language(part.instructions)
        settings = _settings_beside(text, part) | _parse_options(text, options)
        max_images = _max_images(part.instructions) if "images_path" in settings else 0
        yield group_for_images(max_images), f"{part.name}_{code}" if code else part.name, settings


def _described_dataset(text: str, source: str, options: Sequence[str]) -> tuple[str, str, dict[str, object]]:
    """Parse a dataset that is given as NAME=GROUP:INSTRUCTIONS.json."""
    name, equals, rest = source.partition("=")
    group, colon, file = rest.partition(":")
    if not equals:
        raise ConfigError(f"{text}: no such file or folder; the syntax of a dataset is {DATASET_SYNTAX}")
    if not (name and colon and file):
        raise ConfigError(f"{text}: the syntax of a dataset is {DATASET_SYNTAX}")
    if group not in GROUPS:
        raise ConfigError(f"{text}: unknown group {group}; use {', '.join(GROUPS)}")
    settings = {"mimicit_path": _absolute(text, file)} | _parse_options(text, options) | _description(Path(file))
    if group != TEXT_ONLY and "images_path" not in settings:
        raise ConfigError(f"{text}: {group} needs images=FILE")
    return group, name, settings


def _settings_beside(text: str, part: MixturePart) -> dict[str, object]:
    """Return the settings of an instruction file, from the files beside it."""
    settings: dict[str, object] = {"mimicit_path": _absolute(text, str(part.instructions))}
    if part.images:
        settings["images_path"] = _absolute(text, str(part.images[0]))
    if part.train:
        settings["train_config_path"] = _absolute(text, str(part.train))
    return settings | _description(part.instructions)


def _description(instructions: Path) -> dict[str, object]:
    description = read_description(instructions)
    return {"task_description": description} if description else {}


def _parse_options(text: str, options: Sequence[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for option in options:
        key, _, value = option.partition("=")
        if key not in _SETTINGS:
            raise ConfigError(f"{text}: unknown setting {key!r}; use {', '.join(_SETTINGS)}")
        settings[_SETTINGS[key]] = _samples(text, value) if key == "num_samples" else _absolute(text, value)
    return settings


def _max_images(instructions: Path) -> int:
    """Return 0, 1, or a number above 1: the largest number of images of a pair, as far as the group depends on it."""
    max_images = 0
    for _, entry in read_nested_items(instructions, "data"):
        if (max_images := max(max_images, len(text_list(entry, "image_ids")))) > 1:
            break
    return max_images


def _absolute(text: str, path: str) -> str:
    """Return the absolute path of a file, because the loader may start in any folder. It can't open folders."""
    if not path or not Path(path).exists():
        raise ConfigError(f"{text}: no such file: {path}")
    if Path(path).is_dir():
        raise ConfigError(f"{text}: {path} is a folder; the loader opens only files")
    return str(Path(path).absolute())


def _samples(text: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not int(value):
        raise ConfigError(f"{text}: num_samples must be a whole number above 0; without it, all pairs are drawn")
    return int(value)
