"""What a format is written from: the accepted pairs of a run, as often as they are wanted, and their train file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from syphus.formats.train import TrainFile
from syphus.ledger.results import QueryResult


class ExportSource(NamedTuple):
    """A run on its way out. `name` is the plugin's `short_name`, with which the names of files begin.

    `results` gives the accepted pairs, query by query, in input order, `train` the entries of the train file,
    `most_images` the largest number of images that any pair has. `meta` is the header of a MIMIC-IT file.
    """

    name: str
    results: Callable[[], Iterator[QueryResult]]
    max_images: Callable[[], int]
    meta: dict[str, object]
    train: Callable[[], TrainFile]
