"""How many processes share the tests, and what they share."""

from __future__ import annotations

import gc
import os
import shutil

import pytest
from warm_python import share_server

_MEMORY = "/dev/shm"
_ROOM = 4 << 30  # bytes; the files of a whole run take less than one gigabyte


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two more than there are cores: many tests wait for a timeout or another process more than they compute."""
    return (os.cpu_count() or 1) + 2


def pytest_configure(config: pytest.Config) -> None:
    """Keep the files of tests in memory where there is room: they make hundreds of ledgers, which sync each commit."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)
    if config.getoption("numprocesses", 0):
        share_server()


def pytest_collection_finish() -> None:
    """Spare the collector of garbage all that was loaded: it lives to the end, and is a million objects."""
    gc.freeze()
