"""A data yaml from datasets, and how often the loader will draw from each.

Datasets of a group are put together after each was cut down or repeated to its `num_samples`, and drawn from with
replacement; groups are drawn from by their size. So a dataset's share is its samples over all samples. Source: Otter's
loader, `pipeline/mimicit_utils/mimicit_dataset.py` and `data.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from syphus.corpus.described import description_beside
from syphus.corpus.groups import GROUPS, TEXT_ONLY, read_groups
from syphus.corpus.verify import Summary, Tell, verify
from syphus.errors import ConfigError
from syphus.formats.files import replacing

FORM = "NAME=GROUP:INSTRUCTIONS.json[,images=FILE][,train=FILE][,num_samples=N]"

_SETTINGS = {"images": "images_path", "train": "train_config_path", "num_samples": "num_samples"}


class Share(NamedTuple):
    """One dataset of a mixture: what can be drawn, what it was made to be, and its share of all that is drawn."""

    group: str
    name: str
    pairs: int
    samples: int
    ratio: float


class Mixture(NamedTuple):
    """What a data yaml makes of its datasets, and what is wrong with them."""

    shares: list[Share]
    summary: Summary


def mix(path: Path, datasets: Sequence[str], tell: Tell) -> Mixture:
    """Writes a data yaml of the datasets, each told as in `FORM`, with absolute paths, and checks all that it names.

    Raises `ConfigError`, before anything is written, for a dataset that is not told so, or a file that is not there.
    """
    groups: dict[str, dict[str, dict[str, object]]] = {}
    for text in datasets:
        group, name, settings = _dataset(text)
        if name in groups.setdefault(group, {}):
            raise ConfigError(f"{text}: {group} has a {name} already")
        groups[group][name] = settings
    with replacing(path) as file:
        file.write(yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=1_000).encode())
    read, found = read_groups(path)
    summary = verify(read, found, tell, allow_unused=True)
    return Mixture(shares(summary), summary)


def shares(summary: Summary) -> list[Share]:
    """How often each dataset will be drawn from; pairs are the keys of the train file, where there is one."""
    rows = []
    for group, part, pairs, trained in summary.parts:
        available = pairs if trained is None else trained
        rows.append((group.kind, part.name, available, part.samples or available))
    total = sum(samples for *_, samples in rows)
    return [Share(*row, row[-1] / total if total else 0.0) for row in rows]


def _dataset(text: str) -> tuple[str, str, dict[str, object]]:
    """Group, name, and settings as the yaml has them."""
    name, equals, rest = text.partition("=")
    group, colon, told = rest.partition(":")
    file, *more = told.split(",")
    if not (name and equals and colon and file):
        raise ConfigError(f"{text}: a dataset is told as {FORM}")
    if group not in GROUPS:
        raise ConfigError(f"{text}: unknown group {group}; there is {', '.join(GROUPS)}")
    settings: dict[str, object] = {"mimicit_path": _absolute(text, file)}
    for setting in more:
        key, _, value = setting.partition("=")
        if key not in _SETTINGS:
            raise ConfigError(f"{text}: unknown setting {key!r}; there is {', '.join(_SETTINGS)}")
        settings[_SETTINGS[key]] = _samples(text, value) if key == "num_samples" else _absolute(text, value)
    if described := description_beside(Path(file)):
        settings["task_description"] = described
    if group != TEXT_ONLY and "images_path" not in settings:
        raise ConfigError(f"{text}: {group} needs images=FILE")
    return group, name, settings


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
