"""What `--ray` asks for: the workers of a cluster, after a look at each of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syphus.cluster.ray_connection import connect
from syphus.config.options import NEVER, Options
from syphus.errors import ConfigError
from syphus.storage.addresses import as_url

if TYPE_CHECKING:
    from syphus.cluster.ray_fleet import RayFleet


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
