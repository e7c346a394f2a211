"""Syphus turns visual annotations into instruction-response pairs for vision-language models."""

from syphus.dataset import AbstractDataset
from syphus.records import read_json, read_json_items, read_jsonl
from syphus.types import Pair, Parsed, Query
from syphus.version import VERSION as __version__

__all__ = ["AbstractDataset", "Pair", "Parsed", "Query", "__version__", "read_json", "read_json_items", "read_jsonl"]
