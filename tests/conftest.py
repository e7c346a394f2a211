"""How many processes share the tests, and where their files are."""

from __future__ import annotations

import os
import shutil

import pytest

_MEMORY = "/dev/shm"
_ROOM = 4 << 30  # bytes; the files of a whole run take less than one gigabyte


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores, as many tests wait for a timeout or another process more than they compute."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Keep the files of tests in memory where there is room: they make hundreds of ledgers, which sync each commit."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)
