"""Everything that can go wrong at an endpoint, by name: `FAULTS`."""

from syphus.endpoints.simulated.faults import answers, images, limits, outages, refusals  # noqa: F401 - each puts its faults into the table
from syphus.endpoints.simulated.faults.table import FAULTS, Cost, Fault

__all__ = ["FAULTS", "Cost", "Fault"]
