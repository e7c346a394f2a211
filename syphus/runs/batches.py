"""Show, cancel and give up the batches of a run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

from syphus.batch.gather import FOLDER, shard_path
from syphus.batch.open_batches import batches_by_state, state_of
from syphus.batch.routes import BatchApi, RouteError
from syphus.errors import ConfigError, ProviderError, machine_faults
from syphus.ledger.records import Records
from syphus.ledger.sessions import RequestCounts, RequestKind
from syphus.ledger.shards import LineState, Shard, ShardState, change_shard, line_counts, read_shards, release_lines
from syphus.ledger.store import Store, open_for_reading
from syphus.pipeline.observer import Observer
from syphus.runs.prepare import RunContext, prepare_endpoint
from syphus.runs.run_settings import resumed_options
from syphus.runs.session import open_run_folder
from syphus.text import align_columns, format_dollars, format_duration, pluralize

GIVEN_UP_CAUSE = "given up in a batch"


class BatchActions(TypedDict, total=False):
    """What is done with the batches of a run; `config` is a YAML file with the endpoint, by default that of the run."""

    cancel: bool
    give_up: bool
    config: str | Path | None
    observer: Observer | None


@machine_faults()
def batches(folder: str | Path, **actions: Unpack[BatchActions]) -> list[Shard]:
    """Return the batches of a run, oldest first; `cancel` the open ones, or `give_up` those that are lost.

    Raises `UsageError`, and `ProviderError` if a batch can't be cancelled.
    """
    folder = Path(folder)
    if actions.get("cancel") and actions.get("give_up"):
        raise ConfigError("--cancel and --give-up: use one of them.")
    if actions.get("cancel"):
        config = actions.get("config")
        observer = actions.get("observer") or Observer()
        return cancel_batches(folder, os.environ, observer, None if config is None else Path(config))
    return give_up_batches(folder) if actions.get("give_up") else list_batches(folder)


def list_batches(folder: Path) -> list[Shard]:
    """Return the batches of a run, oldest first. Raises `RunError` if the folder holds no run."""
    store = open_for_reading(folder)
    try:
        return read_shards(store)
    finally:
        store.close()


def cancel_batches(folder: Path, environ: Mapping[str, str], observer: Observer, config: Path | None) -> list[Shard]:
    """Cancel the open batches of a run, and return them all.

    What is done by then is billed, and the run's command takes it in. Rows whose batch was not created yet, or whose
    requests are in a file, are free at once. Raises `UsageError`, and `ProviderError` if a server does not obey.
    """
    with open_run_folder(folder) as store:
        created = []
        for shard in read_shards(store, only_open=True):
            if shard.state is ShardState.CREATED:
                created.append(shard)
            elif shard.state is ShardState.UPLOADED and shard.sent_at is not None:
                observer.say(f"Shard {shard.id} may have a batch: run the command of the run again to find out.")
            elif shard.state is not ShardState.ENDED:
                _free(store, shard, "cancelled before it was created", ShardState.SETTLED)
        if created:
            _, options = resumed_options(folder, {} if config is None else {"config": config})
            context = prepare_endpoint(options, environ)
            if options.offline:
                raise ConfigError(
                    f"{folder}: its batches are simulated and end within seconds. The run's command collects them."
                )
            asyncio.run(_cancel(store, created, context))
        store.commit()
        return read_shards(store)


async def _cancel(store: Store, shards: list[Shard], context: RunContext) -> None:
    from syphus.endpoints.remote_endpoint import RemoteEndpoint  # loads the SDK, which takes a while

    endpoint = RemoteEndpoint(context.config.endpoints[0], 2, context.redactor)
    routes, problems = BatchApi(endpoint), list[str]()
    try:
        for shard in shards:
            try:
                batch = await routes.cancel(shard.batch_id)
            except RouteError as error:
                problems.append(f"{shard.batch_id}: {error}")
            else:
                change_shard(store, shard.id, status=batch.status)
    finally:
        await endpoint.close()
    if problems:
        raise ProviderError(f"{pluralize(len(problems), 'batch', 'batches')} can't be cancelled: {'; '.join(problems)}")


def give_up_batches(folder: Path) -> list[Shard]:
    """Free the rows of batches that can't be found or read, and return all batches of the run.

    What they may have cost counts as perhaps billed. Raises `UsageError`.
    """
    with open_run_folder(folder) as store:
        lost = [
            shard
            for shard in read_shards(store, only_open=True)
            if shard.problem or (shard.state is ShardState.UPLOADED and shard.sent_at is not None)
        ]
        if not lost:
            raise ConfigError(f"{folder}: no batch is lost. --cancel cancels those that are open.")
        for shard in lost:
            bounds = store.read_value(
                "SELECT total(bound) FROM shard_line WHERE shard = ? AND state = 0", shard.id
            )  # what was answered has its cost
            counts = RequestCounts()
            counts.add(GIVEN_UP_CAUSE, True, 0.0, shard.endpoint, RequestKind.FAILED)
            counts.unknown_cost[GIVEN_UP_CAUSE] = float(bounds or 0.0)
            session = int(store.read_value("SELECT session FROM shard WHERE id = ?", shard.id))
            Records(store, shard.stage, session).write_request_counts(counts)
            _free(store, shard, shard.problem or "given up", ShardState.GIVEN_UP)
        store.commit()
        return read_shards(store)


def _free(store: Store, shard: Shard, problem: str, state: ShardState) -> None:
    missing = release_lines(store, shard.id, LineState.MISSING)
    answered = line_counts(store, shard.id).get(LineState.ANSWERED, 0)
    values = {"settled_at": time.time(), "problem": problem, "missing": missing, "answered": answered}
    change_shard(store, shard.id, state=state, **values)
    shard_path(store.folder / FOLDER, shard.fingerprint).unlink(missing_ok=True)


def batch_lines(shards: list[Shard], now: float) -> list[str]:
    """Return a table of batches for people, and what is to be done about those that wait."""
    head = ("shard", "state", "age", "requests", "answered", "errors", "free again", "reserved", "batch")
    rows = [
        (
            *(f"{shard.id}", state_of(shard), format_duration(max(0.0, (shard.settled_at or now) - shard.reserved_at))),
            *(f"{shard.lines:,}", f"{shard.answered:,}", f"{shard.failed:,}", f"{shard.missing:,}"),
            *(format_dollars(shard.reserved) if shard.is_open else "-", shard.batch_id or "-"),
        )
        for shard in shards
    ]
    lines = align_columns([head, *rows], 2)
    lines += [f"Shard {shard.id}: {shard.problem}" for shard in shards if shard.problem]
    waiting = [shard for shard in shards if shard.is_open]
    if waiting:
        requests = pluralize(sum(shard.lines for shard in waiting), "request")
        lines.append(f"Still open: {requests}. The run's command, or `syphus resume`, collects the answers.")
    return lines


def waiting_lines(folder: Path) -> list[str]:
    """Return which batches of a run are open, for its status; nothing without any."""
    waiting = [shard for shard in list_batches(folder) if shard.is_open]
    if not waiting:
        return []
    requests, reserved = sum(shard.lines for shard in waiting), sum(shard.reserved for shard in waiting)
    most = f", which may cost up to {format_dollars(reserved)}" if reserved else ""
    return [f"{batches_by_state(waiting, time.time())}: {pluralize(requests, 'request')}{most}"]


def as_json(shard: Shard) -> dict[str, object]:
    """Return a batch as JSON values."""
    return {**shard._asdict(), "state": shard.state.value}
