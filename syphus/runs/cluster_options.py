"""What `--share` and `--ray` make of a stage: limits and a budget shared with other runs, and nodes that send."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from syphus.cluster.ray_connection import connect
from syphus.config.options import NEVER, Options
from syphus.config.settings import Config
from syphus.errors import ConfigError
from syphus.ledger.sessions import run_id
from syphus.pipeline.stage_run import StageRun
from syphus.storage.addresses import as_url

if TYPE_CHECKING:
    from syphus.cluster.messages import GateConnection
    from syphus.cluster.ray_fleet import RayFleet

_ADDRESS = re.compile(r"[^/\\]+:\d+/?")


def check_sharing(options: Options) -> None:
    """Raise `ConfigError` for options of sharing that don't go together, and for a target that can't be used."""
    for name in ("shared_max_cost", "shared_max_requests"):
        if getattr(options, name) is not None and not options.share:
            raise ConfigError(f"--{name.replace('_', '-')} needs --share.")
    if options.share and (options.batch != NEVER or options.batch_file is not None or options.batch_results):
        raise ConfigError("--share and --batch: use one of them, since batches have limits of their own.")
    if options.share:
        _gate(options)


def with_sharing(stage_run: StageRun, options: Options, config: Config) -> StageRun:
    """Return a stage that takes part in what its run shares, if it does. `check_sharing` has checked the options."""
    if not options.share:
        return stage_run
    from syphus.cluster.run_sharing import RunSharing, SharedTerms  # loaded only for --share

    terms = SharedTerms(config.model, run_id(stage_run.store), options.shared_max_cost, options.shared_max_requests)
    return replace(stage_run, sharing=RunSharing(_gate(options), terms, config.endpoints, stage_run.budget))


def _gate(options: Options) -> GateConnection:
    """Return the way to the gate: a folder, or an http address. Raises `ConfigError` for a target that is neither."""
    target = options.share
    if target.startswith(("http://", "https://")):
        from syphus.cluster.gate_client import HttpGate  # loads aiohttp
        from syphus.cluster.messages import SECRET

        secret = os.environ.get(SECRET, "").strip()
        if not secret:
            raise ConfigError(f"--share {target}: set {SECRET} to the secret that `syphus gate` has shown.")
        return HttpGate(target.rstrip("/"), secret)
    if _ADDRESS.fullmatch(target):
        raise ConfigError(f"--share {target}: write http://{target} for a gate, or the path of a folder.")
    if "://" in target:
        raise ConfigError(f"--share {target}: must be http:// or https:// for a gate, or the path of a folder.")
    from syphus.cluster.gate_folder import FolderGate

    return FolderGate(Path(target))


def open_fleet(options: Options) -> RayFleet | None:
    """Return the nodes of `--ray`, which send the requests of a run; None without it. Blocks while it looks at them.

    Raises `ConfigError` for options that contradict each other, and for a cluster that can't be used.
    """
    if not (options.ray or options.ray_local):
        return None
    if not options.ray:
        raise ConfigError("--ray-local needs --ray ADDRESS or --ray auto.")
    if options.batch != NEVER:
        raise ConfigError("--ray and --batch: batches are sent by one machine. Leave one of them out.")
    images = [options.images] if options.with_images and options.images else []
    seen = [path for path in images if not as_url(path)]  # this machine reads those of a URL
    workers = connect(options.ray, seen, ["pillow"] if images else [])
    if options.offline:
        workers.require_one_machine("--offline")
    from syphus.cluster.ray_fleet import RayFleet  # needs Ray

    return RayFleet(workers, options.ray_local)
