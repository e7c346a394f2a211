"""Whether the input is in the ledger as it is now, and if not, bringing it there before anything is sent."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from syphus.config.options import Options
from syphus.errors import InputError, RunError, UsageError
from syphus.images.prompt.attachments import ImageAttachments
from syphus.io.text_files import Tolerance
from syphus.ledger.inputs import InputCheck, accept_input, register, reject_input
from syphus.ledger.relations import invalidate_nearest
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.plugins.contract import AbstractDataset, beside, files_read, leave_out, queries
from syphus.runs.outputs import invalidate_exports, invalidate_pairs
from syphus.types import PromptImage, Query

T = TypeVar("T")

_META = "input"  # meta: the fingerprint of the input that the ledger holds


def sync_input(
    store: Store,
    stage: str,
    dataset: AbstractDataset,
    options: Options,
    plugin: str,
    tick: Callable[[int], None],
    attachments: ImageAttachments | None = None,
) -> InputCheck | None:
    """Registers the input where it may have changed; None where it is known to be the same.

    `plugin` is a digest of the plugin's source; the `album` looks at images. Raises `InputError` for a bad row, and
    `RunError` where rows that have an outcome have changed or gone and `--accept-changes` is not given; the ledger is
    then as it was.
    """
    now = fingerprint(dataset, options, plugin)
    if now and now == get_meta(store, f"{stage} {_META}") and not options.check_input:
        return None
    try:
        check = _register(store, stage, dataset, options, tick, attachments)
        require_rows(check.read, dataset, options)
        if attachments is not None:
            _check_images(attachments)
        _check_changes(check, options)
    except BaseException:
        reject_input(store)
        raise
    if attachments is not None and attachments.seen:
        attachments.sync()
    set_meta(store, f"{stage} {_META}", now)
    if check.changed or check.removed:
        invalidate_pairs(store)
    invalidate_exports(store)  # rows may have moved, or come back
    if check.changed or check.removed or check.moved:
        invalidate_nearest(store)
    accept_input(store, stage)
    return check


def require_rows(read: int, dataset: AbstractDataset, options: Options) -> None:
    """Raises `InputError` where an input of so many rows leaves nothing to ask about."""
    if not read:
        raise InputError(f"{_input_path(dataset, options) or options.name} holds no queries. Nothing was sent.")
    end = _slice_end(options)
    if options.slice_start >= (read if end is None else min(end, read)):
        raise InputError(
            f"--slice-start {options.slice_start} and --slice-end {options.slice_end} leave none of the "
            f"{read:,} rows. Nothing was sent."
        )


def fingerprint(dataset: AbstractDataset, options: Options, plugin: str) -> str:
    """What the registered input was made from; "" where that is no file, and nobody can say quickly."""
    source = _input_path(dataset, options)
    if not Path(source).is_file():
        return ""
    try:
        files = "|".join(map(_file_state, files_read(dataset, source)))
    except UsageError:  # whoever reads the input says so better
        return ""
    selection = (
        options.slice_start, options.slice_end, options.random_sample, options.seed, options.allow_bad_rows,
    )  # fmt: skip
    images = f"|{_images_state(options)}" if options.images or options.with_images or options.max_images else ""
    return f"{files}|{plugin}|{selection}{images}"


def _file_state(path: Path) -> str:
    """A file as it is now, or that it is not there."""
    name = os.fsencode(path.resolve()).decode("utf-8", "backslashreplace")  # in any locale the same
    if not path.exists():
        return f"{name}|-"
    stat = path.stat()
    return f"{name}|{stat.st_size}|{stat.st_mtime_ns}"


def _images_state(options: Options) -> str:
    """What can be said of the images at a glance: not whether a file among others has changed."""
    asked = (options.with_images, options.max_images)
    return str(asked) if options.images is None else f"{_file_state(options.images)}|{asked}"


def _check_images(attachments: ImageAttachments) -> None:
    """Where no image at all can be read, it is not the images."""
    if attachments.problem and not attachments.seen:
        raise InputError(f"No image can be read, the first is {attachments.problem}. See --images. Nothing was sent.")


def _check_changes(check: InputCheck, options: Options) -> None:
    if (check.changed or check.removed) and not options.accept_changes:
        found = [f"{check.changed:,} changed"] * bool(check.changed) + [f"{check.removed:,} gone"] * bool(check.removed)
        raise RunError(
            f"Rows that are already done are not in the input as they were: {', '.join(found)} "
            f"({', '.join(check.examples)}). Use --dataset_version for a new run, or --accept-changes to ask the "
            "changed ones again and leave out those that are gone."
        )


def _input_path(dataset: AbstractDataset, options: Options) -> str:
    return options.query_inputs_path or beside(dataset, dataset.query_inputs_path)


def _register(
    store: Store,
    stage: str,
    dataset: AbstractDataset,
    options: Options,
    tick: Callable[[int], None],
    attachments: ImageAttachments | None,
) -> InputCheck:
    """Registers, and once more without the records that the plugin fails on, where bad rows are allowed."""
    tolerance = Tolerance() if options.allow_bad_rows else None
    given = (dataset, options, tolerance)
    look = attachments.look if attachments is not None else None
    try:
        return register(store, stage, input_queries(*given), row_selector(*given), tick, look)
    except UsageError as fault:
        if tolerance is None:
            raise
        reject_input(store)
        leave_out(dataset, options.query_inputs_path, tolerance, fault)
        return register(store, stage, input_queries(*given), row_selector(*given), tick, look)


def input_queries(dataset: AbstractDataset, options: Options, tolerance: Tolerance | None) -> Iterator[Query]:
    """All rows of the input as queries, with a `tolerance` bad ones too. Raises `UsageError`."""
    found = queries(dataset, options.query_inputs_path, tolerance)
    return map(partial(add_images, options=options), found) if options.with_images or options.max_images else found


def add_images(query: Query, options: Options) -> Query:
    """The query with the images that its ids name, if they are wanted and it has none; not more than are wanted."""
    images = query.images
    if options.with_images and not images:
        images = tuple(PromptImage(id=name) for name in query.image_ids)
    if options.max_images and len(images) > options.max_images:
        images = tuple(evenly_spaced(images, options.max_images))
    return replace(query, images=images)


def evenly_spaced(items: Sequence[T], count: int) -> list[T]:
    """So many of the items, at even distances, the first of them first."""
    return [items[place * len(items) // count] for place in range(count)]


def row_selector(dataset: AbstractDataset, options: Options, tolerance: Tolerance | None) -> Callable[[int], bool]:
    """Says of a position whether it is in the slice; with `random_sample` the slice of the rows in a random order,
    which is the same for a seed.
    """
    start, end = options.slice_start, _slice_end(options)
    if not options.random_sample or (start == 0 and end is None):
        return lambda position: position >= start and (end is None or position < end)
    rows = enumerate(input_queries(dataset, options, tolerance))
    ranked = ((_random_rank(query.id, options.seed), position) for position, query in rows)
    chosen = sorted(ranked) if end is None else heapq.nsmallest(end, ranked)
    positions = {position for _, position in chosen[start:]}
    return positions.__contains__


def _slice_end(options: Options) -> int | None:
    return options.slice_end if options.slice_end >= 0 else None


def _random_rank(name: str, seed: int) -> bytes:
    """A place in a random order that stays when other rows come and go."""
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
