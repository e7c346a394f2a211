"""What a format gets to write: the accepted pairs of a run, and their train file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from syphus.formats.train import TrainFile
from syphus.ledger.results import QueryResult


class ExportSource(NamedTuple):
    """A run to export. `name` is the plugin's `short_name`, the prefix of all file names.

    `results()` yields the accepted pairs, query by query, in input order, and can be called again. `max_images()` is
    the largest number of images of a pair. `meta` is the header of a MIMIC-IT file, `train()` its train file.
    """

    name: str
    results: Callable[[], Iterator[QueryResult]]
    max_images: Callable[[], int]
    meta: dict[str, object]
    train: Callable[[], TrainFile]
