"""How many processes share the tests."""

from __future__ import annotations

import os

import pytest


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores, as many tests wait for a timeout or another process more than they compute."""
    return (os.cpu_count() or 1) + 1
