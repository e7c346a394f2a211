"""A data yaml from datasets, and how often the loader will draw from each.

Datasets of a group are put together after each was cut down or repeated to its `num_samples`, and drawn from with
replacement; groups are drawn from by their size. So a dataset's share is its samples over all samples. Source: Otter's
loader, `pipeline/mimicit_utils/mimicit_dataset.py` and `data.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from syphus.errors import ConfigError
from syphus.formats.mimicit.data_yaml import ENDINGS, GROUPS, TEXT_ONLY, MixturePart, read_groups
from syphus.formats.mimicit.descriptions import read_description
from syphus.formats.mimicit.discovery import file_language, find_groups
from syphus.formats.mimicit.verify import OnFinding, VerifySummary, text_list, verify
from syphus.formats.mimicit.writer import group_for_images
from syphus.io.durable import replace_file
from syphus.io.records import read_nested_items

DATASET_SYNTAX = "[NAME=GROUP:]INSTRUCTIONS.json[,images=FILE][,train=FILE][,num_samples=N]"

_SETTINGS = {"images": "images_path", "train": "train_config_path", "num_samples": "num_samples"}


class MixtureShare(NamedTuple):
    """One dataset of a mixture: what can be drawn, what it was made to be, and its share of all that is drawn."""

    group: str
    name: str
    pairs: int
    samples: int
    ratio: float


class Mixture(NamedTuple):
    """What a data yaml makes of its datasets, and what is wrong with them."""

    shares: list[MixtureShare]
    summary: VerifySummary


def mix(path: Path, datasets: Sequence[str], tell: OnFinding) -> Mixture:
    """Writes a data yaml of the datasets, each told as in `FORM`, with absolute paths, and checks all that it names.

    Without name and group, the name is `XX` of `XX_instructions.json`, what stands beside belongs to it, and the group
    is reckoned from its images; a folder stands for all such files in it that are no translations.

    Raises `ConfigError`, before anything is written, for a dataset that is not told so, or a file that is not there.
    """
    groups: dict[str, dict[str, dict[str, object]]] = {}
    for text in datasets:
        for group, name, settings in _datasets(text):
            if name in groups.setdefault(group, {}):
                raise ConfigError(f"{text}: {group} has a {name} already; give it another name: NAME={group}:FILE")
            groups[group][name] = settings
    with replace_file(path) as file:
        file.write(yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=1_000).encode())
    read, found = read_groups(path)
    summary = verify(read, found, tell, allow_unused=True)
    return Mixture(shares(summary), summary)


def shares(summary: VerifySummary) -> list[MixtureShare]:
    """How often each dataset will be drawn from; pairs are the keys of the train file, where there is one."""
    rows = []
    for group, part, pairs, trained in summary.parts:
        available = pairs if trained is None else trained
        rows.append((group.kind, part.name, available, part.samples or available))
    total = sum(samples for *_, samples in rows)
    return [MixtureShare(*row, row[-1] / total if total else 0.0) for row in rows]


def _datasets(text: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Group, name, and settings as the yaml has them."""
    place, *more = text.split(",")
    if Path(place).suffix in ENDINGS:
        raise ConfigError(f"{text}: a data yaml; tell the datasets that it names")
    if Path(place).exists():
        parts = [part for group in find_groups([Path(place)])[0] for part in group.parts]
        if Path(place).is_dir():
            parts = [part for part in parts if not file_language(part.instructions)]
        if more and len(parts) > 1:
            raise ConfigError(f"{text}: {place} holds {len(parts)} instruction files; tell of each what belongs to it")
        for part in parts:
            code = file_language(part.instructions)
            settings = _beside(text, part) | _told(text, more)
            most = _most_images(part.instructions) if "images_path" in settings else 0
            yield group_for_images(most), f"{part.name}_{code}" if code else part.name, settings
        return
    name, equals, rest = place.partition("=")
    group, colon, file = rest.partition(":")
    if not equals:
        raise ConfigError(f"{text}: no such file or folder; a dataset is told as {DATASET_SYNTAX}")
    if not (name and colon and file):
        raise ConfigError(f"{text}: a dataset is told as {DATASET_SYNTAX}")
    if group not in GROUPS:
        raise ConfigError(f"{text}: unknown group {group}; there is {', '.join(GROUPS)}")
    settings = {"mimicit_path": _absolute(text, file)} | _told(text, more) | _described(Path(file))
    if group != TEXT_ONLY and "images_path" not in settings:
        raise ConfigError(f"{text}: {group} needs images=FILE")
    yield group, name, settings


def _beside(text: str, part: MixturePart) -> dict[str, object]:
    """The settings of an instruction file by what stands beside it."""
    settings: dict[str, object] = {"mimicit_path": _absolute(text, str(part.instructions))}
    if part.images:
        settings["images_path"] = _absolute(text, str(part.images[0]))
    if part.train:
        settings["train_config_path"] = _absolute(text, str(part.train))
    return settings | _described(part.instructions)


def _described(instructions: Path) -> dict[str, object]:
    described = read_description(instructions)
    return {"task_description": described} if described else {}


def _told(text: str, more: Sequence[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for setting in more:
        key, _, value = setting.partition("=")
        if key not in _SETTINGS:
            raise ConfigError(f"{text}: unknown setting {key!r}; there is {', '.join(_SETTINGS)}")
        settings[_SETTINGS[key]] = _samples(text, value) if key == "num_samples" else _absolute(text, value)
    return settings


def _most_images(instructions: Path) -> int:
    """Of any pair, as far as the group depends on it; the file is left where two are found."""
    most = 0
    for _, entry in read_nested_items(instructions, "data"):
        if (most := max(most, len(text_list(entry, "image_ids")))) > 1:
            break
    return most


def _absolute(text: str, path: str) -> str:
    """As the loader will find it, wherever it is started; a folder is nothing that it opens."""
    if not path or not Path(path).exists():
        raise ConfigError(f"{text}: no such file: {path}")
    if Path(path).is_dir():
        raise ConfigError(f"{text}: {path} is a folder; the loader opens files alone")
    return str(Path(path).absolute())


def _samples(text: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not int(value):
        raise ConfigError(f"{text}: num_samples must be a whole number above 0; without it, all pairs are taken")
    return int(value)
