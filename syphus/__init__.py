"""Syphus turns visual annotations into instruction-response pairs for vision-language models."""

from syphus.cleaning.rules import Check, Reject, Repair
from syphus.plugins.contract import AbstractDataset
from syphus.reading.records import field, read_json, read_json_items, read_json_lists, read_jsonl, texts
from syphus.types import Pair, Parsed, Query, Train
from syphus.version import __version__

__all__ = [
    "AbstractDataset",
    "Check",
    "Pair",
    "Parsed",
    "Query",
    "Reject",
    "Repair",
    "Train",
    "__version__",
    "field",
    "read_json",
    "read_json_items",
    "read_json_lists",
    "read_jsonl",
    "texts",
]
