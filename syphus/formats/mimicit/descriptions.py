"""Task descriptions in data yamls: a run's own go into those that name its pairs."""

from __future__ import annotations

from pathlib import Path

import orjson
import yaml

from syphus.errors import ConfigError
from syphus.io.durable import replace_file
from syphus.io.yaml_files import read_yaml

DESCRIPTION_FILE = "task_description.json"  #: beside the pairs: {"short": ..., "long": ..., "simulated": ...}
_KEY = "task_description"


def write_description(folder: Path, short: str, long: str, simulated: bool) -> Path:
    """Writes the file; gives its path. `simulated` says that no model has written the texts.

    Raises `StorageError` where the disk fails.
    """
    path = folder / DESCRIPTION_FILE
    told = {"short": short, "long": long, "simulated": simulated}
    with replace_file(path) as file:
        file.write(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def read_description(instructions: Path) -> list[str]:
    """The description of a file of pairs, as the data yaml has it: a list of texts, of which the loader draws one.

    Nothing where there is none. Raises `ConfigError` where the file is something else.
    """
    path = instructions.parent / DESCRIPTION_FILE
    if not path.is_file():
        return []
    try:
        read = orjson.loads(path.read_bytes())
        return [str(read["short"]), str(read["long"])]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f'{path}: an object with "short" and "long" is expected') from error


def add_description(path: Path, folder: Path) -> int:
    """Puts the description of the run in `folder` into a data yaml, for each dataset whose pairs are that run's.

    Gives how many there are. The file is written anew: comments in it do not stay. Raises `ConfigError` where the file
    is no data yaml, or names no pairs of that run.
    """
    groups = read_yaml(path)
    if not isinstance(groups, dict):
        raise ConfigError(f"{path}: groups are expected at the top")
    datasets = [each for body in groups.values() if isinstance(body, dict) for each in body.values()]
    ours = [each for each in datasets if isinstance(each, dict) and _is_of(each.get("mimicit_path"), folder)]
    if not ours:
        raise ConfigError(f"{path} names no pairs of {folder}: none of its mimicit_path is in there.")
    for each in ours:
        each[_KEY] = read_description(folder / DESCRIPTION_FILE)
    with replace_file(path) as file:
        file.write(yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=1_000).encode())
    return len(ours)


def _is_of(instructions: object, folder: Path) -> bool:
    return isinstance(instructions, str) and Path(instructions).resolve().parent == folder.resolve()
