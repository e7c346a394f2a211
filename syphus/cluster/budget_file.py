"""The file in which a gate keeps what each run may have spent, so that a shared budget survives a crash."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import orjson

from syphus.cluster.shared_budget import RunAccount, SharedBudget
from syphus.errors import ConfigError
from syphus.io.durable import replace_file

FILE = "spent.json"


def write_budget(folder: Path, budget: SharedBudget) -> None:
    """Make a budget durable. Raises `StorageError` if the disk fails."""
    with replace_file(folder / FILE) as file:
        file.write(orjson.dumps(asdict(budget), option=orjson.OPT_INDENT_2))


def read_budget(folder: Path) -> SharedBudget | None:
    """Return the budget that was kept, or None. Raises `ConfigError` if the file is not one."""
    path = folder / FILE
    try:
        values = orjson.loads(path.read_bytes())
        accounts = {name: RunAccount(**each) for name, each in values["accounts"].items()}
        return SharedBudget(**{**values, "accounts": accounts})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} is damaged. It holds what runs have spent: restore it, or delete it to begin at zero."
        ) from error
