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
    read_description,
    read_groups,
    write_groups,
)
from syphus.formats.mimicit.discovery import dataset_name, file_language, find_groups
from syphus.formats.mimicit.entries import INSTRUCTIONS, ImageUse, image_use, is_parquet, read_entries
from syphus.formats.mimicit.images import loader_problem
from syphus.formats.mimicit.verify import OnFinding, VerifySummary, verify
from syphus.formats.mimicit.writer import write_entry
from syphus.io.durable import replace_file
from syphus.io.text_files import missing

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

    A dataset without name and group takes the name `XX` from `XX_instructions.json`, its train file from the same
    folder, its images from where `find_stores` finds them, and its group from what its images are. A folder means
    all instruction files in it that are not translations. The loader reads JSON alone, so the pairs of a Parquet table
    are written beside the data yaml.

    Raises `ConfigError`, before it writes anything, for bad syntax, a missing file, or pairs that name images without a
    store that the loader opens.
    """
    groups: dict[str, dict[str, dict[str, object]]] = {}
    notes: list[str] = []
    for text in datasets:
        for group, name, settings in _datasets(text, notes):
            if name in groups.setdefault(group, {}):
                raise ConfigError(f"{text}: {group} has a {name} already; give it another name: NAME={group}:FILE")
            groups[group][name] = settings
    for datasets_of_group in groups.values():
        for name, settings in datasets_of_group.items():
            if is_parquet(table := Path(str(settings["mimicit_path"]))):
                pairs = path.with_name(f"{path.stem}.{name}{INSTRUCTIONS}.json")
                _write_pairs(table, pairs)
                settings["mimicit_path"] = str(pairs.absolute())
                notes.append(f"{pairs}: written from {table}, since the loader reads JSON alone")
    write_groups(path, groups)
    mixture, findings = read_groups(path)
    summary = verify(mixture, findings, on_finding, allow_unused=True)
    return Mixture(shares(summary), summary._replace(notes=(*notes, *summary.notes)))


def shares(summary: VerifySummary) -> list[MixtureShare]:
    """Return the share of each dataset. Its pairs are the keys of its train file if it has one."""
    rows = []
    for group, part, pairs, trained in summary.parts:
        available = pairs if trained is None else trained
        rows.append((group.kind, part.name, available, part.samples or available))
    total = sum(samples for *_, samples in rows)
    return [MixtureShare(*row, row[-1] / total if total else 0.0) for row in rows]


def _write_pairs(table: Path, path: Path) -> None:
    with replace_file(path) as file:
        file.write(b'{"meta":{},"data":{')
        for number, (name, entry) in enumerate(read_entries(table)):
            write_entry(file, name, {"image_ids": [], "rel_ins_ids": [], **dict(entry)}, first=not number)
        file.write(b"\n}}\n")


def _datasets(text: str, notes: list[str]) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Parse one argument; yield group, name, and settings as in the yaml."""
    source, *options = text.split(",")
    if Path(source).suffix in ENDINGS:
        raise ConfigError(f"{text}: this is a data yaml; name the datasets in it instead")
    if Path(source).exists():
        yield from _found_datasets(text, Path(source), options, notes)
    else:
        yield _described_dataset(text, source, options)


def _found_datasets(
    text: str, source: Path, options: Sequence[str], notes: list[str]
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield the datasets of a folder or an instruction file, with their train file and images."""
    parts = [part for group in find_groups([source])[0] for part in group.parts]
    if source.is_dir():
        parts = [part for part in parts if not file_language(part.instructions)]
    if options and len(parts) > 1:
        raise ConfigError(f"{text}: {source} holds {len(parts)} instruction files; name each with its own settings")
    if not parts:
        raise ConfigError(f"{text}: {source} holds only translations; name one of its files")
    names = [part.name for part in parts]
    for part in parts:
        use = image_use(part.instructions)
        settings = _settings_beside(text, part) | _parse_options(text, options)
        if use.first and "images_path" not in settings:
            pairs = settings.pop("mimicit_path")
            settings = {"mimicit_path": pairs, "images_path": _store(text, part, use), **settings}
            notes += part.notes
        is_plain = names.count(part.name) == 1 and not file_language(part.instructions)
        yield use.group, part.name if is_plain else dataset_name(part.instructions), settings


def _store(text: str, part: MixturePart, use: ImageUse) -> str:
    """Return the absolute path of the store of a dataset. Raises `ConfigError` if the loader would not get its images.

    Otter's loader gives a black image to a pair of TEXT_ONLY, and says nothing.
    """
    pairs = f"{text}: the pairs of {part.instructions.name} name images such as {use.first}"
    if not part.images:
        raise ConfigError(
            f"{pairs}, and there is no image store with them; name it with images=FILE, make one with convert, "
            f"or load the texts alone: {part.name}={TEXT_ONLY}:{part.instructions}"
        )
    target = part.images[0].with_name(f"{part.name}_images.parquet")
    if len(part.images) > 1:
        raise ConfigError(
            f"{pairs}, which are in several stores: {', '.join(map(str, part.images))}. The loader opens one for each "
            "dataset: put them into one folder, and run: syphus convert --from FOLDER --output FILE.parquet"
        )
    if problem := loader_problem(part.images[0]):
        raise ConfigError(
            f"{pairs}; the loader can't open {part.images[0]}: {problem}. Make a store that it opens: "
            f"syphus convert --from {part.images[0]} --output {target}"
        )
    return str(part.images[0].absolute())


def _described_dataset(text: str, source: str, options: Sequence[str]) -> tuple[str, str, dict[str, object]]:
    """Parse a dataset that is given as NAME=GROUP:INSTRUCTIONS.json."""
    name, equals, rest = source.partition("=")
    group, colon, file = rest.partition(":")
    if not equals:
        raise ConfigError(f"{missing(text)}; the syntax of a dataset is {DATASET_SYNTAX}")
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
    settings: dict[str, object] = {"mimicit_path": str(part.instructions.absolute())}
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


def _absolute(text: str, path: str) -> str:
    """Return the absolute path of a file, because the loader may start in any folder. It can't open folders."""
    if not path:
        raise ConfigError(f"{text}: a value is empty: name a file")
    if not Path(path).exists():
        raise ConfigError(f"{text}: {missing(path, 'file')}")
    if Path(path).is_dir():
        raise ConfigError(f"{text}: {path} is a folder; the loader opens only files")
    return str(Path(path).absolute())


def _samples(text: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not int(value):
        raise ConfigError(f"{text}: num_samples must be a whole number above 0; without it, all pairs are drawn")
    return int(value)
