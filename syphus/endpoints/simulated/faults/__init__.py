"""Everything that can go wrong at an endpoint, by name: `FAULTS`."""

from syphus.endpoints.simulated.faults import (  # noqa: F401 - each puts its faults into the table
    answers,
    embeddings,
    images,
    limits,
    outages,
    refusals,
)
from syphus.endpoints.simulated.faults.table import FAULTS, Cost, Fault

__all__ = ["FAULTS", "Cost", "Fault"]
