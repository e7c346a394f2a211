"""Bring the input of a run into its ledger, before anything is sent."""

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
from syphus.io.text_files import BadRecords, ReadingShare, reading_share
from syphus.ledger.inputs import InputCheck, accept_input, register, reject_input
from syphus.ledger.relations import invalidate_nearest
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.plugins.contract import (
    AbstractDataset,
    input_files,
    queries,
    resolve_path,
    skip_failing_records,
    with_bad_rows_hint,
)
from syphus.plugins.input_sources import fetched_shards, local_shard
from syphus.runs.outputs import invalidate_exports, invalidate_pairs
from syphus.runs.prepare import PreparedRun
from syphus.storage.addresses import as_url
from syphus.storage.local_copies import remote_state
from syphus.types import PromptImage, Query

T = TypeVar("T")

_META = "input"  # meta: the fingerprint of the input that the ledger holds


def sync_input(
    store: Store,
    stage: str,
    prepared: PreparedRun,
    tick: Callable[[int, float | None], None],
    attachments: ImageAttachments | None = None,
) -> InputCheck | None:
    """Register the input if it may have changed; return None if it is known to be the same.

    `attachments` reads the images of the queries; `tick` gets the number of rows read, and the share of the files.
    Raises `InputError` for a bad row, and `RunError` if rows that have an outcome have changed or are gone without
    `--accept-changes`. The ledger is then unchanged.
    """
    options = prepared.options
    fingerprint = input_fingerprint(prepared)
    if fingerprint and fingerprint == get_meta(store, f"{stage} {_META}") and not options.check_input:
        return None
    try:
        progress = ReadingShare()
        reading_share.set(progress)
        check = _register(store, stage, prepared, lambda rows: tick(rows, progress.share), attachments)
        require_rows(check.read, prepared.dataset, options)
        if attachments is not None:
            _check_images(attachments)
        _check_changes(check, options)
    except BaseException:
        reject_input(store)
        raise
    finally:
        reading_share.set(None)
    if attachments is not None and attachments.readable:
        attachments.sync()
    set_meta(store, f"{stage} {_META}", fingerprint)
    if check.changed or check.removed:
        invalidate_pairs(store)
    invalidate_exports(store)  # rows may have moved or come back
    if check.changed or check.removed or check.moved:
        invalidate_nearest(store)
    accept_input(store, stage)
    return check


def require_rows(count: int, dataset: AbstractDataset, options: Options) -> None:
    """Raise `InputError` if an input of `count` rows leaves none to ask about."""
    if not count:
        raise InputError(f"{_input_path(dataset, options) or options.name} holds no queries. Nothing was sent.")
    end = _slice_end(options)
    if options.slice_start >= (count if end is None else min(end, count)):
        raise InputError(
            f"--slice-start {options.slice_start} and --slice-end {options.slice_end} leave none of the "
            f"{count:,} rows. Nothing was sent."
        )


def input_fingerprint(prepared: PreparedRun) -> str:
    """Return what the registered input is made from; "" if it is not a file, so that a change can't be seen quickly."""
    dataset, options = prepared.dataset, prepared.options
    try:
        states = [each for shard in fetched_shards(_input_path(dataset, options)) for each in _states(dataset, shard)]
    except UsageError:  # reading the input gives the better message
        return ""
    if not all(states):
        return ""
    files = "|".join(states)
    selection = (
        options.slice_start, options.slice_end, options.random_sample, options.seed, options.allow_bad_rows,
    )  # fmt: skip
    images = ""
    if options.images or options.with_images or options.max_images:
        if not (state := _images_state(options)):
            return ""
        images = f"|{state}"
    return f"{files}|{prepared.plugin.digest()}|{selection}{images}"


def _states(dataset: AbstractDataset, shard: str) -> list[str]:
    """Return what is known of each file that a plugin reads for a part of the input; "" for what can't be known."""
    if not as_url(shard):
        return list(map(_file_state, input_files(dataset, shard))) if Path(shard).is_file() else [""]
    copy = local_shard(shard, lambda path: input_files(dataset, path)[1:])
    return [remote_state(as_url(shard)), *map(_file_state, input_files(dataset, copy)[1:])]


def _file_state(path: Path) -> str:
    """Return path, size and modification time of a file; "-" for both if it is missing."""
    name = os.fsencode(path.resolve()).decode("utf-8", "backslashreplace")  # the same in any locale
    if not path.exists():
        return f"{name}|-"
    stat = path.stat()
    return f"{name}|{stat.st_size}|{stat.st_mtime_ns}"


def _images_state(options: Options) -> str:
    """Return what is known of the images without reading them; "" if a change could not be seen.

    A changed file in a local folder of images is not seen.
    """
    requested = (options.with_images, options.max_images)
    if options.images is None:
        return str(requested)
    url = as_url(options.images)
    state = remote_state(url) if url else _file_state(options.images)
    return f"{state}|{requested}" if state else ""


def _check_images(attachments: ImageAttachments) -> None:
    """Raise `InputError` if no image at all can be read: then the path is wrong, not the images."""
    if attachments.first_problem and not attachments.readable:
        raise InputError(
            f"No image can be read, the first is {attachments.first_problem}. See --images. Nothing was sent."
        )


def _check_changes(check: InputCheck, options: Options) -> None:
    if (check.changed or check.removed) and not options.accept_changes:
        changes = [f"{check.changed:,} changed"] * bool(check.changed) + [f"{check.removed:,} removed"] * bool(
            check.removed
        )
        raise RunError(
            f"Finished rows differ from those in the input: {', '.join(changes)} "
            f"({', '.join(check.examples)}). Use --dataset_version for a new run, or --accept-changes to send the "
            "changed rows again and drop the removed ones."
        )


def _input_path(dataset: AbstractDataset, options: Options) -> str:
    return options.query_inputs_path or resolve_path(dataset, dataset.query_inputs_path)


def _register(
    store: Store,
    stage: str,
    prepared: PreparedRun,
    tick: Callable[[int], None],
    attachments: ImageAttachments | None,
) -> InputCheck:
    """Register all rows. If bad rows are allowed and the plugin fails on some, register again without those."""
    dataset, options = prepared.dataset, prepared.options
    tolerance = BadRecords() if options.allow_bad_rows else None
    source = (dataset, options, tolerance)
    look = attachments.inspect if attachments is not None else None
    try:
        return register(store, stage, input_queries(*source), row_selector(*source), tick, look)
    except UsageError as fault:
        if tolerance is None:
            raise with_bad_rows_hint(fault) from fault.__cause__
        reject_input(store)
        skip_failing_records(dataset, options.query_inputs_path, tolerance, fault)
        return register(store, stage, input_queries(*source), row_selector(*source), tick, look)


def input_queries(dataset: AbstractDataset, options: Options, tolerance: BadRecords | None) -> Iterator[Query]:
    """Return all rows of the input as queries; with a `tolerance`, bad ones too. Raises `UsageError`."""
    rows = queries(dataset, options.query_inputs_path, tolerance)
    return map(partial(add_images, options=options), rows) if options.with_images or options.max_images else rows


def add_images(query: Query, options: Options) -> Query:
    """Return the query with the images that its ids name, if `--with-images` asks for them and it has none.

    `--max-images` limits their number.
    """
    images = query.images
    if options.with_images and not images:
        images = tuple(PromptImage(id=name) for name in query.image_ids)
    if options.max_images and len(images) > options.max_images:
        images = tuple(evenly_spaced(images, options.max_images))
    return replace(query, images=images)


def evenly_spaced(items: Sequence[T], count: int) -> list[T]:
    """Return `count` of the items at even distances, beginning with the first."""
    return [items[index * len(items) // count] for index in range(count)]


def row_selector(dataset: AbstractDataset, options: Options, tolerance: BadRecords | None) -> Callable[[int], bool]:
    """Return a function that says whether the row at a position, from 0, is selected.

    `random_sample` takes the slice of the rows in a random order, which is the same for the same seed.
    """
    start, end = options.slice_start, _slice_end(options)
    if not options.random_sample or (start == 0 and end is None):
        return lambda position: position >= start and (end is None or position < end)
    rows = enumerate(input_queries(dataset, options, tolerance))
    ranked = ((random_rank(query.id, options.seed), position) for position, query in rows)
    chosen = sorted(ranked) if end is None else heapq.nsmallest(end, ranked)
    positions = {position for _, position in chosen[start:]}
    return positions.__contains__


def _slice_end(options: Options) -> int | None:
    return options.slice_end if options.slice_end >= 0 else None


def random_rank(query_id: str, seed: int) -> bytes:
    """Return the rank of a query in a random order that does not depend on the other rows."""
    return hashlib.blake2b(f"{seed}\0{query_id}".encode(), digest_size=8).digest()
