"""Measure structured answers: valid rows, requests, and tokens of an accepted pair beside the text form, in one run.

    python benchmarks/structured.py [ROWS]

Every server profile of the simulated endpoint is asked, and every habit that servers have with a schema. Targets: 99.5%
of the rows valid where the schema is enforced, 97% where it is ignored or broken.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import table

import syphus
from syphus.simulator import Simulation, serve_in_thread
from syphus.simulator.answer_forms import SCHEMA_HABITS
from syphus.simulator.profiles import PROFILES

NAME = "SpotTheDifference.change"
SERVERS = [
    *((f"profile {name}", Simulation(profile=name)) for name in PROFILES if name),
    *((f"schema {habit}", Simulation(schema=habit)) for habit in SCHEMA_HABITS),
    ("refuses response_format", Simulation(refuse_parameters=("response_format",))),
]


def measure(simulation: Simulation, folder: Path, rows: int) -> dict[str, object]:
    """Ask `rows` rows as text and as many as JSON; return the numbers of the report."""
    records = [
        {"img_id": str(n), "sentences": [f"the {colour} car {n} has left", "a man walks by"]}
        for n in range(2 * rows)
        for colour in (("red", "blue", "white", "black")[n % 4],)
    ]
    (folder / "rows.json").write_text(json.dumps(records))
    with serve_in_thread(simulation) as server:
        (folder / "config.yaml").write_text(f"endpoint: {{base_url: {server.url}, api_key: k}}\nmodel: m\n")
        options: Any = {  # of several types
            "query_inputs_path": folder / "rows.json",
            "output_dir": folder,
            "config": folder / "config.yaml",
            "cold_start": "never",
            "num_threads": 32,
            "slice_start": 0,
        }
        text = syphus.run(NAME, slice_end=rows, structured="never", **options)
        both = syphus.run(NAME, slice_end=2 * rows, structured="always", accept_changes=True, **options)
    valid = (both.counts["ok"] - text.counts["ok"]) / rows
    return {"valid": valid, "requests": both.requests - text.requests, "forms": both.report()["forms"]}


def main() -> None:
    """Print a line for each server."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    lines: list[tuple[str, ...]] = [("server", "valid", f"requests for {rows} rows", "tokens an accepted pair")]
    for name, simulation in SERVERS:
        with TemporaryDirectory() as folder:
            found = measure(simulation, Path(folder), rows)
        forms = found["forms"]
        assert isinstance(forms, dict)
        tokens = ", ".join(f"{each['tokens_per_pair'] or 'no pair'} as {form}" for form, each in forms.items())
        lines.append((name, f"{found['valid']:.1%}", str(found["requests"]), tokens))
    table(lines)


if __name__ == "__main__":
    main()
