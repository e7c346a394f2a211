"""Everything that can go wrong at an endpoint, by name: `FAULTS`."""

from syphus.simulator.faults import answers, limits, outages, refusals
from syphus.simulator.faults import answers as embeddings
from syphus.simulator.faults import refusals as images
from syphus.simulator.faults.table import FAULTS, Cost, Fault

__all__ = ["FAULTS", "Cost", "Fault", "answers", "embeddings", "images", "limits", "outages", "refusals"]
