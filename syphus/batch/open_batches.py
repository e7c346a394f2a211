"""What people read about open batches, while a stage works and when it ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from syphus.errors import ProviderError, SyphusError, WaitingError
from syphus.ledger.shards import Shard, ShardState
from syphus.text import format_duration, pluralize


def state_of(shard: Shard) -> str:
    """Return the state of a shard as people read it: as the server names it, once there is a batch."""
    if shard.state in (ShardState.CREATED, ShardState.SETTLED) and shard.status:
        return shard.status.replace("_", " ")
    return shard.state.value


def batches_by_state(shards: Sequence[Shard], now: float) -> str:
    """Return open shards by state, with the age of the oldest of each: `batches: 2 in progress (14 min)`."""
    by_state: dict[str, list[Shard]] = {}
    for shard in shards:
        by_state.setdefault(state_of(shard), []).append(shard)
    parts = [
        f"{len(some)} {name} ({format_duration(max(0.0, now - min(each.reserved_at for each in some)))})"
        for name, some in by_state.items()
    ]
    return f"batches: {', '.join(parts)}" if parts else ""


def what_is_left(
    waiting: Sequence[Shard], gone: Collection[int], file: Path | None, unasked: int
) -> SyphusError | None:
    """Return what ends a session whose rows are not all done; None if nothing waits.

    `gone` are the shards that the server does not know, `file` was written by hand, and `unasked` rows need another
    answer that nobody was asked for.
    """
    requests = pluralize(sum(shard.lines for shard in waiting), "request")
    lost = [shard for shard in waiting if shard.id in gone]
    if lost:
        rows = pluralize(sum(shard.lines for shard in lost), "row")
        return ProviderError(
            f"{pluralize(len(lost), 'batch', 'batches')} of {rows} can't be found at {lost[0].endpoint}, or only "
            "without results. See `syphus batches FOLDER`."
        )
    if waiting and file is not None:
        return WaitingError(
            f"{requests} for {waiting[0].model} are in {file}. Once they are answered, give the results with "
            "--batch-results FILE."
        )
    if waiting:
        where = "in a file" if all(shard.state is ShardState.BY_HAND for shard in waiting) else "in batches"
        return WaitingError(
            f"Still {where}: {requests}. The same command collects the answers, on any day; `syphus batches FOLDER` "
            "shows the state."
        )
    if unasked:
        rows = pluralize(unasked, "row")
        return WaitingError(f"{rows} need another answer: --batch-file FILE writes the requests.")
    return None
