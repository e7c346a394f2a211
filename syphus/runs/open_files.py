"""How many requests can be in flight with the files that a process may have open."""

from __future__ import annotations

import contextlib
import os

from syphus.text import pluralize

SPARE_DESCRIPTORS = 20  #: for files that are opened later: pairs.jsonl, exports, host lookups, a plugin's files


def limit_threads(threads: int, per_call: int) -> tuple[int, str]:
    """Return how many of `threads` calls may be in flight, each with `per_call` file descriptors, and a warning or "".

    The descriptors of a process are limited, often to 1,024, on macOS to 256. Running out of them looks like a broken
    network in the middle of a run, so this is settled before the first request. It raises the limit of this process as
    far as the system allows. Windows has no such limit.
    """
    try:
        import resource  # POSIX only
    except ImportError:
        return threads, ""
    used = _count_open_descriptors() + SPARE_DESCRIPTORS
    needed = used + threads * per_call
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        higher = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (higher, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return threads, ""
    fewer = max(1, (soft - used) // per_call)
    requests = pluralize(fewer, "request")
    return fewer, f"Only {soft:,} files may be open at once (ulimit -n): {requests} in flight, not {threads:,}."


def _count_open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - only their number matters
    except OSError:
        return 3
