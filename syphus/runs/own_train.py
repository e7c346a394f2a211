"""A train file of the user's own: which pairs are trained on, and if it says so with which context.

{"SD_INS_00058_67c0ba_1": ["SD_INS_00058_67c0ba_2"], ...}   or only the ids: ["SD_INS_00058_67c0ba_1", ...]
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syphus.errors import InputError
from syphus.ledger.relations import Entries
from syphus.reading.records import beginning, kind_of, read_json, read_json_items


def read_train(path: Path) -> Entries:
    """The entries of a user's file. Raises `InputError` for one that is none, or where an id comes twice."""
    entries = list(_entries(path))
    seen: set[str] = set()
    for name, _ in entries:
        if name in seen:
            raise InputError(f"{path}: {name} comes twice")
        seen.add(name)
    if not entries:
        raise InputError(f"{path}: names no pairs")
    return entries


def _entries(path: Path) -> Iterator[tuple[str, list[str] | None]]:
    if beginning(path).startswith("["):
        for name in read_json(path):
            if not isinstance(name, str):
                raise InputError(f"{path}: a list of ids is expected; this is {kind_of(name)}: {name!r:.60}")
            yield name, None
        return
    for name, context in read_json_items(path):
        if not isinstance(context, list) or not all(isinstance(each, str) for each in context):
            raise InputError(f"{path}: {name}: the context must be a list of ids; this is {kind_of(context)}")
        yield name, context
