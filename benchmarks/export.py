"""The export of a run of a million pairs: seconds, peak memory, and how much longer it takes than bare orjson.

python benchmarks/export.py [1000000]

The run is made first, by a plugin that brings its pairs along. Bare orjson is measured twice, in this process:
"in memory" writes the entries of the MIMIC-IT file, which it has already, and nothing else; "from the ledger" reads the
same rows as the export, builds the same entries of them and writes them. Both write one file, to a disk that may keep
them in its cache: they know no train file, look at no id, and do not wait until it is safe.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
from common import ROOT, measured, table

from syphus.formats import FORMAT_NAMES

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


ROWS = """SELECT image_ids, result.pairs FROM query JOIN annotation USING (n) JOIN result USING (n)
    WHERE state = 'ok' ORDER BY position"""


def entries(run: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """The entries of the MIMIC-IT file, by the shortest way from the ledger."""
    with closing(sqlite3.connect(run / "run.sqlite")) as db:
        for image_ids, text in db.execute(ROWS):
            images, pairs = orjson.loads(image_ids), orjson.loads(text)
            for name, instruction, answer, related in pairs:
                context = [pairs[number - 1][0] for number in related]
                entry = {"instruction": instruction, "answer": answer, "image_ids": images, "rel_ins_ids": context}
                yield name, entry


def bare(items: Iterable[tuple[str, dict[str, object]]], target: Path) -> float:
    """Seconds in which orjson alone writes them."""
    began = time.monotonic()
    with target.open("wb") as file:
        for name, entry in items:
            file.write(orjson.dumps(name) + b":" + orjson.dumps(entry) + b",\n")
    return time.monotonic() - began


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    with tempfile.TemporaryDirectory() as temporary:
        run = make_run(Path(temporary), count // PER_QUERY)
        done = {}
        for name in FORMAT_NAMES:
            command = [sys.executable, str(ROOT / "main.py"), "export", str(run), "--format", name]
            done[name] = measured([*command, "--datasets-dir", str(Path(temporary) / "plugins")])
            assert done[name].exit_code == 0, done[name].said
        target, written = Path(temporary) / "bare.json", run / "export" / "mimicit" / "MU_instructions.json"
        ledger = bare(entries(run), target)
        memory = bare(orjson.loads(written.read_bytes())["data"].items(), target)
        heads = ("format", "pairs", "seconds", "of bare orjson: in memory", "from the ledger", "peak memory", "size")
        rows: list[tuple[str, ...]] = [heads]
        for name, one in done.items():
            size = sum(file.stat().st_size for file in (run / "export" / name).iterdir())
            ratios = (f"{one.seconds / memory:.1f}", f"{one.seconds / ledger:.1f}")
            told = (f"{one.seconds:.1f}", *ratios, f"{one.peak_mb:.0f} MB", f"{size / 1e6:,.0f} MB")
            rows.append((name, f"{count:,}", *told))
        for name, alone in (("in memory", memory), ("from the ledger", ledger)):
            ratios = (f"{alone / memory:.1f}", f"{alone / ledger:.1f}")
            rows.append((f"bare orjson, {name}", f"{count:,}", f"{alone:.1f}", *ratios, "", ""))
    table(rows)


if __name__ == "__main__":
    main()
