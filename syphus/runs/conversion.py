"""What is to be converted, and how; and whether that can be meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syphus.errors import ConfigError, InputError
from syphus.images.look import Look
from syphus.images.parts import LAYOUTS

_MOST_PART = 1_900  # MB: no part is over 2 GB, with the image that fills it


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What is to be converted, and how. `source` is a store whose images go over as they are, instead of a dataset."""

    output: Path
    name: str = ""
    image_path: str = ""
    image_roots: tuple[Path, ...] = ()
    annotations: str = ""
    source: Path | None = None
    look: Look = Look()  # noqa: RUF009 - it is frozen
    layout: str = "base64"
    part_mb: int = 256
    processes: int = 0
    max_bad: float = 1.0
    seconds: float = 60.0
    restart: bool = False
    datasets_dir: tuple[Path, ...] = ()

    @property
    def kind(self) -> str:
        """.parquet, .json, or "" for a folder of parts."""
        return self.output.suffix if self.output.suffix in (".parquet", ".json") else ""

    @property
    def work(self) -> Path:
        """The folder of what is not finished."""
        return self.output.with_name(f".{self.output.name}.convert")

    @property
    def skipped(self) -> Path:
        """The list of what could not be taken."""
        return self.output.with_name(f"{self.output.name.removesuffix(self.kind)}.skipped.jsonl")


def check(wish: Conversion) -> None:
    """Raises `UsageError` for what can't be meant."""
    if bool(wish.source) == bool(wish.name):
        raise ConfigError("Which images? Add --name and --image_path for those of a dataset, or --from for a store.")
    if wish.name and not wish.image_path:
        raise ConfigError("Where are the images? Add --image_path.")
    if wish.source and (wish.annotations or wish.image_path or wish.image_roots):
        raise ConfigError("--from takes a whole store as it is: --image_path, --image_root and -in are for a dataset.")
    if wish.name and not Path(wish.image_path).exists():
        raise InputError(f"{wish.image_path}: no such file or folder; name the images with --image_path")
    if wish.source and wish.source.absolute() == wish.output.absolute():
        raise ConfigError("--from and --output are the same.")
    if not wish.output.name or not 1 <= wish.part_mb <= _MOST_PART:
        raise ConfigError(f"--output needs a name, and --part_mb a number from 1 to {_MOST_PART:,}.")
    if wish.layout not in LAYOUTS or (wish.kind == ".json" and wish.layout != "base64"):
        raise ConfigError(f"--layout {wish.layout}: there is {', '.join(LAYOUTS)}; JSON holds base64.")
    if not 0 <= wish.max_bad <= 1 or wish.seconds <= 0 or wish.processes < 0:
        raise ConfigError("--max_bad is a share from 0 to 1, --timeout more than 0 seconds, --num_threads 0 or more.")
