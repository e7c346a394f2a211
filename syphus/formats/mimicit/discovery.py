"""From what a person names, a folder, a file or a data yaml, to the files that are loaded together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from syphus.errors import InputError
from syphus.formats.mimicit.data_yaml import ENDINGS, Finding, MixtureGroup, MixturePart, read_groups
from syphus.ledger.store import FILE as LEDGER

_MARK = "_instructions"


def find_groups(paths: Iterable[Path], images: Sequence[Path] = ()) -> tuple[list[MixtureGroup], list[Finding]]:
    """The groups behind the paths, and what is wrong with the data yamls among them.

    A folder stands for the instruction files in it. Each of these is a group of its own, with `XX_train.json` and the
    image store (`XX.parquet` or `XX.json`) beside it. The image stores `images` are added to every dataset. Raises
    `InputError` where there is nothing, `ConfigError` where a yaml is broken.
    """
    groups: list[MixtureGroup] = []
    findings: list[Finding] = []
    for path in paths:
        if path.suffix in ENDINGS:
            found, wrong = read_groups(path)
            groups += found
            findings += wrong
        else:
            groups += [_alone(file) for file in _instructions(path)]
    return [_with(group, images) for group in groups], findings


def file_language(path: Path) -> str:
    """`zh` of `SD_instructions_zh.json`; "" where the name says none."""
    return path.name.partition(".")[0].partition(_MARK)[2].lstrip("_")


def file_prefix(path: Path) -> str:
    """`SD` of `SD_instructions_zh.json`."""
    return path.name.partition(".")[0].partition(_MARK)[0]


def untranslated_files(folder: Path) -> list[Path]:
    """The instruction files of a folder that are in the language they were made in."""
    return [path for path in sorted(folder.glob(f"*{_MARK}*.json")) if not file_language(path)]


def _instructions(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    found = sorted(path.glob(f"*{_MARK}*.json"))
    if not found and (path / LEDGER).is_file():
        raise InputError(
            f"{path} is a run without its XX{_MARK}.json yet; export --format mimicit writes it as it stands"
        )
    if not found:
        raise InputError(f"{path} holds no XX{_MARK}.json")
    return found


def _alone(path: Path) -> MixtureGroup:
    short, code = file_prefix(path), file_language(path)
    own = path.with_name(f"{short}_train_{code}.json")
    train = own if code and own.is_file() else path.with_name(f"{short}_train.json")
    beside = [path.with_name(f"{short}{ending}") for ending in (".parquet", ".json")]
    stores = tuple(store for store in beside if store.exists() and store != path)
    part = MixturePart(short, path, train if train.is_file() else None, stores)
    return MixtureGroup(str(path), "", (part,))


def _with(group: MixtureGroup, images: Sequence[Path]) -> MixtureGroup:
    return group._replace(parts=tuple(part._replace(images=(*images, *part.images)) for part in group.parts))
