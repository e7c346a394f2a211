"""The export of a run of a million pairs: seconds, peak memory, and how much longer it takes than bare orjson.

python benchmarks/export.py [1000000]

The run is made first, by a plugin that brings its pairs along. Bare orjson writes the entries of the MIMIC-IT file,
which are in memory already, to a file: no ledger, no check, no sync.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import orjson
from common import ROOT, measured, table

FORMATS = ("mimicit", "llava", "chat", "alpaca", "parquet")
PER_QUERY = 8

PLUGIN = '''
from syphus import AbstractDataset, Pair


class MadeUp(AbstractDataset):
    """Made-up pairs."""

    short_name = "MU"
    brings_pairs = True

    def _load_query_inputs(self, path):
        for query in range({queries}):
            yield {{
                "id": f"{{query:07}}",
                "sentences": "a second motorcycle is beside the ticket booth",
                "image_ids": [f"MU_IMG_{{query:07}}_1", f"MU_IMG_{{query:07}}_2"],
                "pairs": [
                    Pair(
                        f"Which of the {{number}} vehicles appears only in the second image, and where is it?",
                        f"A second motorcycle, number {{query}}, is only in the second image, beside the ticket booth.",
                    )
                    for number in range({per_query})
                ],
            }}
'''


def make_run(folder: Path, queries: int) -> Path:
    """A finished run of so many queries; returns its folder."""
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "made_up.py").write_text(PLUGIN.format(queries=queries, per_query=PER_QUERY), "utf-8")
    (plugins / "made_up.json").write_text(json.dumps({"system_message": "Nobody is asked."}), "utf-8")
    options = ["--name", "MadeUp.made_up", "--datasets-dir", str(plugins), "--output-dir", str(folder), "-in", "none"]
    prompt = ["--prompt-path", str(plugins / "made_up.json")]
    done = measured([sys.executable, str(ROOT / "main.py"), *options, *prompt])
    assert done.exit_code == 0, done.said
    return folder / "MadeUp.made_up" / "v1"


def bare(source: Path, target: Path) -> float:
    """Seconds in which orjson alone writes what the MIMIC-IT file holds."""
    entries = orjson.loads(source.read_bytes())["data"]
    began = time.monotonic()
    with target.open("wb") as file:
        for name, entry in entries.items():
            file.write(orjson.dumps(name) + b":" + orjson.dumps(entry) + b",\n")
    return time.monotonic() - began


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    with tempfile.TemporaryDirectory() as temporary:
        run = make_run(Path(temporary), count // PER_QUERY)
        done = {}
        for name in FORMATS:
            command = [sys.executable, str(ROOT / "main.py"), "export", str(run), "--format", name]
            done[name] = measured([*command, "--datasets-dir", str(Path(temporary) / "plugins")])
            assert done[name].exit_code == 0, done[name].said
        alone = bare(run / "export" / "mimicit" / "MU_instructions.json", Path(temporary) / "bare.json")
        rows: list[tuple[str, ...]] = [("format", "pairs", "seconds", "of bare orjson", "peak memory", "size")]
        for name, one in done.items():
            size = sum(file.stat().st_size for file in (run / "export" / name).iterdir())
            told = (
                f"{one.seconds:.1f}",
                f"{one.seconds / alone:.1f}",
                f"{one.peak_mb:.0f} MB",
                f"{size / 1e6:,.0f} MB",
            )
            rows.append((name, f"{count:,}", *told))
        rows.append(("bare orjson", f"{count:,}", f"{alone:.1f}", "1.0", "", ""))
    table(rows)


if __name__ == "__main__":
    main()
