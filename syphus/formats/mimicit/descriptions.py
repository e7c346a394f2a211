"""Task descriptions: the file beside a run's pairs, and the setting `task_description` of a data yaml."""

from __future__ import annotations

from pathlib import Path

import orjson

from syphus.errors import ConfigError
from syphus.formats.mimicit.data_yaml import write_groups
from syphus.io.durable import replace_file
from syphus.io.yaml_files import read_yaml

DESCRIPTION_FILE = "task_description.json"  #: beside the pairs: {"short": ..., "long": ..., "simulated": ...}
_KEY = "task_description"


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
        each[_KEY] = read_description(folder / DESCRIPTION_FILE)
    write_groups(path, groups)
    return len(matching)


def _is_in(instructions: object, folder: Path) -> bool:
    return isinstance(instructions, str) and Path(instructions).resolve().parent == folder.resolve()
