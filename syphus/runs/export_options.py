"""What goes into an export: the options of `export`, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syphus.config.option_types import ExportArguments
from syphus.errors import ConfigError
from syphus.formats.reviewed_pairs import Reviewed
from syphus.formats.source import DataSplit, Translations, parse_splits
from syphus.io.text_files import local_file
from syphus.ledger.store import Store
from syphus.text import alternatives


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What goes into an export. `images` are stores or folders of image files, `videos` a folder of the sources."""

    images: tuple[Path, ...] = ()
    videos: Path | None = None
    allow_missing_images: bool = False
    max_images: int | None = None  #: evenly spaced ones of each query
    splits: tuple[DataSplit, ...] = ()
    system: str = ""
    names_images: bool = True  #: in forms of text alone
    translations: Callable[[Store], Translations] | None = None  #: opens the translations to export, too
    reviewed: Reviewed | None = None  #: only what reviewers let through, with their edits
    on_note: Callable[[str], None] | None = None  #: gets what the user should know, one line at a time


def make_export_options(
    arguments: ExportArguments, translations: Callable[[Store], Translations] | None = None
) -> ExportOptions:
    """Return the options; `translations` opens those of `languages`. Raises `ConfigError` for a bad `split`.

    Images by URL are fetched; raises `InputError` if that fails.
    """
    reviewed = arguments.get("reviewed", "")
    if reviewed and reviewed not in list(Reviewed):
        raise ConfigError(f"--reviewed {reviewed}: must be {alternatives(Reviewed)}.")
    if reviewed == Reviewed.EDITED and translations:
        raise ConfigError("--reviewed edited takes no --languages: a translation is of the text before the edit.")
    videos, images = arguments.get("videos"), arguments.get("images", ())
    return ExportOptions(
        images=tuple(Path(local_file(path)) for path in ([images] if isinstance(images, str | Path) else images)),
        videos=None if videos is None else Path(videos),
        allow_missing_images=arguments.get("allow_missing_images", False),
        max_images=arguments.get("max_images"),
        splits=parse_splits(arguments.get("split", "")),
        system=arguments.get("system", ""),
        names_images=not arguments.get("no_image_names", False),
        translations=translations,
        reviewed=Reviewed(reviewed) if reviewed else None,
        on_note=arguments.get("on_note"),
    )
