"""Every connection takes a file descriptor, and a process has only so many: often 1,024, on macOS 256.

Running out of them looks like a broken network in the middle of a run, so it is settled before the first request.
"""

from __future__ import annotations

import contextlib
import os

from syphus.text import many

SPARE = 20  #: for files that are opened later: pairs.jsonl, exports, lookups of hosts, what a plugin reads


def fitting_threads(threads: int, each: int) -> tuple[int, str]:
    """How many of `threads` calls may be in flight, each taking `each` descriptors; if not all, a line for a person.

    Raises the limit of this process first, as far as the system allows. Windows has no such limit.
    """
    try:
        import resource  # POSIX only
    except ImportError:
        return threads, ""
    taken = _open_now() + SPARE
    needed = taken + threads * each
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return threads, ""
    fewer = max(1, (soft - taken) // each)
    return (
        fewer,
        f"Only {soft:,} files may be open at once (ulimit -n): {many(fewer, 'call')} in flight, not {threads:,}.",
    )


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - only how many
    except OSError:
        return 3
