"""Syphus turns visual annotations into instruction-response pairs for vision-language models."""

from syphus.answers.cleaning.rules import Check, Reject, Repair
from syphus.io.media import image_files, video_files
from syphus.io.records import field, read_json, read_json_items, read_json_lists, read_jsonl, texts
from syphus.plugins.contract import AbstractDataset
from syphus.types import Frame, Pair, Parsed, Query, Still, Train, Video
from syphus.version import __version__

__all__ = [
    "AbstractDataset",
    "Check",
    "Frame",
    "Pair",
    "Parsed",
    "Query",
    "Reject",
    "Repair",
    "Still",
    "Train",
    "Video",
    "__version__",
    "field",
    "image_files",
    "read_json",
    "read_json_items",
    "read_json_lists",
    "read_jsonl",
    "texts",
    "video_files",
]
