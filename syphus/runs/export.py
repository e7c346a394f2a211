"""Export a run from its ledger into other formats, in the order of the input, each with a dataset card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from syphus.errors import ConfigError, RunError
from syphus.formats import FORMAT_NAMES
from syphus.formats.card import CARD_FILE, write_card
from syphus.formats.mimicit.writer import dataset_meta
from syphus.formats.registry import FORMATS
from syphus.formats.related_pairs import pairs_with_context, read_train_file
from syphus.formats.report import make_report
from syphus.formats.source import ExportSource
from syphus.io.durable import storage_faults
from syphus.io.parquet import require_pyarrow
from syphus.ledger.relations import stored_choice
from syphus.ledger.results import max_images_per_query
from syphus.ledger.store import Store, open_for_reading
from syphus.plugins.discovery import find_plugin
from syphus.plugins.legacy import short_name_of_run
from syphus.runs.generate import GenerateStage
from syphus.runs.run_settings import stored_prices
from syphus.text import short_path

EXPORT_FOLDER = "export"  #: in the run's folder, if no output folder is given


def export_run(
    folder: Path, formats: Sequence[str], output: Path | None, datasets_dir: Iterable[Path]
) -> tuple[str, ...]:
    """Write the pairs of the run in `folder` to `output`/FORMAT/ for each format; return the paths.

    An unfinished run is exported as it is. Raises `ConfigError` for an unknown format, `RunError` if the folder is no
    run or has no pairs, `PluginError` if its plugin is not found, `StorageError` if the disk fails.
    """
    _check(formats)
    store = open_for_reading(folder)
    try:
        with store.snapshot():  # so that all files show the same moment
            return _export(store, formats, output or folder / EXPORT_FOLDER, datasets_dir)
    finally:
        store.close()


def _check(formats: Sequence[str]) -> None:
    for name in formats:
        if name not in FORMAT_NAMES:
            raise ConfigError(f"--format {name}: must be one of {', '.join(FORMAT_NAMES)}.")
    if not formats:
        raise ConfigError(f"Add --format: {', '.join(FORMAT_NAMES)}.")
    for name in formats:
        if FORMATS[name].needs_pyarrow:
            require_pyarrow(f"--format {name}")


def _export(store: Store, formats: Sequence[str], output: Path, datasets_dir: Iterable[Path]) -> tuple[str, ...]:
    report = make_report(store, GenerateStage.name, stored_prices(store))
    if not report.counts.pairs:
        raise RunError(f"{store.folder} holds no pairs yet.")
    plugin = find_plugin(str(report.settings[-1]["dataset"]), datasets_dir).cls
    source = ExportSource(
        choice.short_name if (choice := stored_choice(store)) else short_name_of_run(plugin, report.settings[-1]),
        lambda: pairs_with_context(store, GenerateStage.name),
        lambda: max_images_per_query(store, GenerateStage.name),
        dataset_meta(report),
        lambda: read_train_file(store, GenerateStage.name),
    )
    written = []
    for name in dict.fromkeys(formats):
        target = output / name
        with storage_faults(target):
            target.mkdir(parents=True, exist_ok=True)
        files = FORMATS[name].write(target, source)
        write_card(target, plugin, report, FORMATS[name], files)
        written += [short_path(target / file) for file in (*files, CARD_FILE)]
    return tuple(written)
