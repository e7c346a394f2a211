"""Everything that can go wrong at an endpoint, by name: `FAULTS`.

answers.py   200s that are not what was asked for
limits.py    rate limits that pass, quotas that do not, and the hints at when to come back, sensible and otherwise
outages.py   servers, gateways and connections that fail, and answers that get broken on their way
refusals.py  requests that are turned away for what they are
table.py     the table of faults
"""

from syphus.simulator.faults import answers, limits, outages, refusals
from syphus.simulator.faults import answers as embeddings
from syphus.simulator.faults import refusals as images
from syphus.simulator.faults.table import FAULTS, Cost, Fault

__all__ = ["FAULTS", "Cost", "Fault", "answers", "embeddings", "images", "limits", "outages", "refusals"]
