"""Finds the files to load together, from the folders, files and data yamls that the user names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from syphus.errors import InputError
from syphus.formats.mimicit.data_yaml import ENDINGS, Finding, MixtureGroup, MixturePart, read_groups
from syphus.ledger.store import FILE as LEDGER

INSTRUCTIONS = "_instructions"  #: in file names, between `XX` and the language


def find_groups(paths: Iterable[Path], images: Sequence[Path] = ()) -> tuple[list[MixtureGroup], list[Finding]]:
    """Return the groups of files that the paths name, and the faults of the data yamls among them.

    A folder stands for its instruction files. Each instruction file is a group of its own, with `XX_train.json` and the
    image store (`XX.parquet` or `XX.json`) beside it. Adds the image stores `images` to every dataset. Raises
    `InputError` if a path holds no pairs, `ConfigError` if a yaml can't be read.
    """
    groups: list[MixtureGroup] = []
    findings: list[Finding] = []
    for path in paths:
        if path.suffix in ENDINGS:
            yaml_groups, yaml_findings = read_groups(path)
            groups += yaml_groups
            findings += yaml_findings
        else:
            groups += [_single_group(file) for file in _instruction_files(path)]
    return [_add_images(group, images) for group in groups], findings


def file_language(path: Path) -> str:
    """Return `zh` for `SD_instructions_zh.json`; "" if the name has no language."""
    return path.name.partition(".")[0].partition(INSTRUCTIONS)[2].lstrip("_")


def file_prefix(path: Path) -> str:
    """Return `SD` for `SD_instructions_zh.json`."""
    return path.name.partition(".")[0].partition(INSTRUCTIONS)[0]


def untranslated_files(folder: Path) -> list[Path]:
    """Return the instruction files of a folder that are no translations."""
    return [path for path in sorted(folder.glob(f"*{INSTRUCTIONS}*.json")) if not file_language(path)]


def _instruction_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    found = sorted(path.glob(f"*{INSTRUCTIONS}*.json"))
    if not found and (path / LEDGER).is_file():
        raise InputError(
            f"{path} is a run that has no XX{INSTRUCTIONS}.json yet; export --format mimicit writes the pairs so far"
        )
    if not found:
        raise InputError(f"{path} holds no XX{INSTRUCTIONS}.json")
    return found


def _single_group(path: Path) -> MixtureGroup:
    """Return the group of one instruction file and the files beside it. A translation prefers its own train file."""
    name, code = file_prefix(path), file_language(path)
    translated_train = path.with_name(f"{name}_train_{code}.json")
    train = translated_train if code and translated_train.is_file() else path.with_name(f"{name}_train.json")
    stores = [path.with_name(f"{name}{ending}") for ending in (".parquet", ".json")]
    images = tuple(store for store in stores if store.exists() and store != path)
    part = MixturePart(name, path, train if train.is_file() else None, images)
    return MixtureGroup(str(path), "", (part,))


def _add_images(group: MixtureGroup, images: Sequence[Path]) -> MixtureGroup:
    return group._replace(parts=tuple(part._replace(images=(*images, *part.images)) for part in group.parts))
