"""Syphus turns visual annotations into instruction-response pairs for vision-language models."""

from importlib import import_module
from typing import TYPE_CHECKING

from syphus.answers.cleaning.rules import Check, Reject, Repair
from syphus.answers.parsing.pairs import Parsed
from syphus.declarations import Frame, Still, Train, Video
from syphus.errors import SyphusError
from syphus.io.media import image_files, video_files
from syphus.io.records import field, read_json, read_json_items, read_json_lists, read_jsonl, texts
from syphus.plugins.contract import AbstractDataset
from syphus.types import Pair, Query
from syphus.version import __version__

if TYPE_CHECKING:
    from syphus.api import (
        CompletedRun,
        CompletedTranslation,
        Verification,
        convert,
        export,
        open_run,
        quote,
        run,
        run_async,
        translate,
        verify,
    )

__all__ = [
    "AbstractDataset",
    "Check",
    "CompletedRun",
    "CompletedTranslation",
    "Frame",
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
    "convert",
    "export",
    "field",
    "image_files",
    "open_run",
    "quote",
    "read_json",
    "read_json_items",
    "read_json_lists",
    "read_jsonl",
    "run",
    "run_async",
    "texts",
    "translate",
    "verify",
    "video_files",
]

_API = {"CompletedRun", "CompletedTranslation", "Verification", "convert", "export", "open_run", "quote", "run",
        "run_async", "translate", "verify"}  # fmt: skip


def __getattr__(name: str) -> object:
    """Import the Python API on first use: a plugin that imports this package does not wait for it."""
    if name in _API:
        return getattr(import_module("syphus.api"), name)
    raise AttributeError(f"module 'syphus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
