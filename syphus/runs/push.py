"""A run, or what was exported of it, to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from syphus.errors import ConfigError, RunError
from syphus.formats.card import FILE as CARD
from syphus.formats.card import PAIRS, SIMULATED, front_matter
from syphus.hub import Pushed, push_files, require_hub
from syphus.ledger.store import FILE as LEDGER
from syphus.runs.export import FOLDER, export_run

FORMAT = "parquet"  #: of a run, where none is named


class Target(NamedTuple):
    """Where to: the repository as USER/NAME, whether it must be private, and a branch (None: the usual one)."""

    repo: str
    private: bool = False
    revision: str | None = None


def push(
    folder: Path, form: str, target: Target, allow_simulated: bool, datasets_dir: Iterable[Path], progress: bool
) -> Pushed:
    """Sends a folder that `export` has written; a run's folder is exported first, in the format `form`.

    Raises `RunError` for data that was made up, unless that is allowed, `ConfigError` for a folder without a card, and
    what `export_run` and `push_files` raise.
    """
    require_hub()
    if (folder / LEDGER).is_file():
        export_run(folder, [form or FORMAT], None, datasets_dir)
        folder = folder / FOLDER / (form or FORMAT)
    elif form:
        raise ConfigError(f"{folder} is no run; --format {form} is for the folders of runs.")
    card = front_matter(folder / CARD)
    if PAIRS not in card:  # all that is in the folder goes out: it must be one that was made for that
        raise ConfigError(f"{folder} holds no {CARD} of pairs: push takes a run, or a folder that export has written.")
    tags = card.get("tags")
    if isinstance(tags, list) and SIMULATED in tags and not allow_simulated:
        raise RunError(f"{folder} was made up by the simulated endpoint; --allow-simulated sends it all the same.")
    return push_files(_files(folder), target.repo, target.private, target.revision, progress)


def _files(folder: Path) -> dict[str, Path]:
    """What is in the folder and below, by the names that they will have; nothing that is hidden."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path for name, path in found.items() if not any(part.startswith(".") for part in name.parts)
    }
