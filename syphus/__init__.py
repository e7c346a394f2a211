"""Syphus turns visual annotations into instruction-response pairs for vision-language models."""

from importlib import import_module
from typing import TYPE_CHECKING

from syphus.former_paths import install
from syphus.version import __version__

if TYPE_CHECKING:
    from syphus.answers.cleaning.rules import Check, Reject, Repair
    from syphus.answers.parsing.pairs import Parsed
    from syphus.api import (
        CompletedRun,
        CompletedTranslation,
        control,
        convert,
        list_runs,
        open_run,
        preview,
        quote,
        resume,
        run,
        run_async,
        translate,
        try_rows,
        view,
    )
    from syphus.api_exports import balance, export, push, verify
    from syphus.declarations import Frame, Still, Train, Video
    from syphus.errors import SyphusError
    from syphus.formats.mimicit.verify import Verification
    from syphus.io.csv_tables import read_csv
    from syphus.io.media import image_files, video_files
    from syphus.io.records import field, read_json, read_json_items, read_json_lists, read_jsonl, texts
    from syphus.io.tables import grouped, read_hf, read_parquet
    from syphus.io.webdataset import read_webdataset
    from syphus.plugins.contract import AbstractDataset
    from syphus.plugins.new_dataset import NewDataset, new_dataset
    from syphus.runs.batches import batches
    from syphus.types import Pair, Query

__all__ = [
    "AbstractDataset",
    "Check",
    "CompletedRun",
    "CompletedTranslation",
    "Frame",
    "NewDataset",
    "Pair",
    "Parsed",
    "Query",
    "Reject",
    "Repair",
    "Still",
    "SyphusError",
    "Train",
    "Verification",
    "Video",
    "__version__",
    "balance",
    "batches",
    "control",
    "convert",
    "export",
    "field",
    "grouped",
    "image_files",
    "list_runs",
    "new_dataset",
    "open_run",
    "preview",
    "push",
    "quote",
    "read_csv",
    "read_hf",
    "read_json",
    "read_json_items",
    "read_json_lists",
    "read_jsonl",
    "read_parquet",
    "read_webdataset",
    "resume",
    "run",
    "run_async",
    "texts",
    "translate",
    "try_rows",
    "verify",
    "video_files",
    "view",
]

_NAMES = {
    "syphus.answers.cleaning.rules": ("Check", "Reject", "Repair"),
    "syphus.answers.parsing.pairs": ("Parsed",),
    "syphus.declarations": ("Frame", "Still", "Train", "Video"),
    "syphus.errors": ("SyphusError",),
    "syphus.formats.mimicit.verify": ("Verification",),
    "syphus.io.csv_tables": ("read_csv",),
    "syphus.io.media": ("image_files", "video_files"),
    "syphus.io.records": ("field", "read_json", "read_json_items", "read_json_lists", "read_jsonl", "texts"),
    "syphus.io.tables": ("grouped", "read_hf", "read_parquet"),
    "syphus.io.webdataset": ("read_webdataset",),
    "syphus.plugins.contract": ("AbstractDataset",),
    "syphus.plugins.new_dataset": ("NewDataset", "new_dataset"),
    "syphus.runs.batches": ("batches",),
    "syphus.types": ("Pair", "Query"),
    "syphus.api": (
        "CompletedRun",
        "CompletedTranslation",
        "control",
        "convert",
        "list_runs",
        "open_run",
        "preview",
        "quote",
        "resume",
        "run",
        "run_async",
        "translate",
        "try_rows",
        "view",
    ),
    "syphus.api_exports": ("balance", "export", "push", "verify"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

install()


def __getattr__(name: str) -> object:
    """Import what is asked for on first use: `--help` needs nothing of it, and importing all takes 0.1 s."""
    if name not in _MODULES:
        raise AttributeError(f"module 'syphus' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
