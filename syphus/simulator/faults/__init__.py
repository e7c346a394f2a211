"""Everything that can go wrong at an endpoint, by name: `FAULTS`.

answers.py   200s with a bad answer
limits.py    rate limits that pass, quotas that do not, and retry hints, valid and invalid
outages.py   servers, gateways and connections that fail, and answers that break in transit
refusals.py  requests that are refused for their key, model, size, content, images or parameters
table.py     the table of faults
"""

from syphus.simulator.faults import answers, limits, outages, refusals  # each adds its faults to the table
from syphus.simulator.faults.table import FAULTS, OK, Cost, Fault, draw_fault, scripted

__all__ = ["FAULTS", "OK", "Cost", "Fault", "answers", "draw_fault", "limits", "outages", "refusals", "scripted"]
