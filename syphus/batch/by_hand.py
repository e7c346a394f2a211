"""Batches by hand: the requests as a file for a server that takes files, such as `vllm run-batch`, and its results."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from syphus.batch.gather import FOLDER, shard_path
from syphus.batch.ingest import ResultIngester
from syphus.batch.shard_lifecycle import ShardLifecycle
from syphus.errors import ConfigError, InputError
from syphus.io.durable import replace_file
from syphus.io.text_files import missing
from syphus.ledger.shards import Shard, ShardState, read_shards
from syphus.ledger.store import Store
from syphus.pipeline.endpoint_state import EndpointState
from syphus.text import pluralize


def check_by_hand(file: Path | None, results: Sequence[Path]) -> None:
    """Raise `ConfigError` for files that can't be written or read."""
    if file is not None and not file.absolute().parent.is_dir():
        raise ConfigError(f"--batch-file {file}: its folder does not exist.")
    for path in results:
        if not path.is_file():
            raise ConfigError(f"--batch-results {missing(path, 'file')}.")


def open_by_hand(store: Store, stage: str) -> list[Shard]:
    """Return the shards whose requests were written into a file, and whose results have not come."""
    return [shard for shard in read_shards(store, stage, only_open=True) if shard.state is ShardState.BY_HAND]


def write_by_hand(store: Store, stage: str, target: Path) -> int:
    """Write all requests that wait for results by hand into one file; return their number.

    Raises what `replace_file` raises.
    """
    shards = open_by_hand(store, stage)
    if not shards:
        return 0
    with replace_file(target) as whole:
        for shard in shards:
            with shard_path(store.folder / FOLDER, shard.fingerprint).open("rb") as file:
                shutil.copyfileobj(file, whole, 1 << 20)
    return sum(shard.lines for shard in shards)


async def ingest_by_hand(
    store: Store,
    stage: str,
    files: Sequence[Path],
    ingester: ResultIngester,
    state: EndpointState,
    lifecycle: ShardLifecycle,
) -> None:
    """Take in results of requests that were written into a file, and settle the shards that they belong to.

    Raises `InputError` for a file of another run, before anything is written.
    """
    shards = open_by_hand(store, stage)
    usual = sum(shard.bytes for shard in shards) // max(1, sum(shard.lines for shard in shards))
    found = await ingester.read([shard.id for shard in shards], files, state, usual)
    strange = found.pop(0)
    if not any(tally.known for tally in found.values()):
        names = ", ".join(map(str, files))
        if strange.unknown or strange.unreadable:
            raise InputError(
                f"{names}: none of its {pluralize(strange.unknown + strange.unreadable, 'line')} belongs to a request "
                "that this run waits for. Is it the result of another run's file?"
            )
        raise InputError(f"{names}: this run has all its results already.")
    for shard in shards:
        if found[shard.id].known:
            await lifecycle.settle_by_hand(shard, found[shard.id], strange)
            strange = strange._replace(unknown=0, unreadable=0)
