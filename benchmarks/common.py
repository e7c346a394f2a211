"""What the benchmarks share: made-up annotations, a run of the main job as a user would start it, and the server.

The server is any that speaks the chat route and has `/config`, `/reset` and `/stats` beside it, as
`python main.py simulate` has; for figures of speed it must be a fast one, such as benchmarks/fast_server.py. It runs on
one core, the client on the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
ROWS_FILE = "SYPHUS_BENCHMARK_ROWS"
DATASET = "SpotTheDifference.change"
_SENTENCES = (
    "the blue car has moved closer to the gate",
    "a person with a red bag appeared near the pole",
    "the two people who were on the sidewalk are not in the second picture",
)


class Server:
    """The server under load, by its URL without a path."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def configure(self, **settings: float) -> None:
        """Back to the defaults, with these settings; answers are pairs of question and answer."""
        query = urllib.parse.urlencode({"all": 1, "qa": 1, **settings})
        self._get(f"/config?{query}")
        self._get("/reset")

    def reset(self, keep: bool = False) -> None:
        """Zeroes the counters; `keep` remembers which messages were answered."""
        self._get("/reset?keep_hash=1" if keep else "/reset")

    def stats(self, series: bool = False) -> dict[str, Any]:
        """What the server saw."""
        stats: dict[str, Any] = json.loads(self._get("/stats?series" if series else "/stats"))
        return stats

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path) as reply:
            content: bytes = reply.read()
            return content


class Run(NamedTuple):
    """One start of a command: exit code, seconds in all, CPU seconds, peak memory in MB, and what it printed."""

    exit_code: int
    seconds: float
    cpu: float
    peak_mb: float
    said: str


def write_annotations(path: Path, count: int, first: int = 0) -> Path:
    """Annotations in the shape of Spot-the-Diff, every text another; one JSON array, written piece by piece."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for i in range(first, first + count):
            sentences = [f"#id={i} {_SENTENCES[i % 3]}", *_SENTENCES[: i % 3]]
            file.write(("," if i > first else "") + json.dumps({"img_id": str(i), "sentences": sentences}) + "\n")
        file.write("]")
    return path


def command(annotations: Path, output: Path, *options: str) -> list[str]:
    """The main job on the first core, as a user would type it."""
    pin = ["taskset", "-c", "0"] if os.cpu_count() and Path("/usr/bin/taskset").exists() else []
    given = ["--name", DATASET, "-in", str(annotations), "--output_dir", str(output), "--model", "gpt-6-luna"]
    return [*pin, sys.executable, str(ROOT / "main.py"), *given, *options]


def environment(server: Server) -> dict[str, str]:
    """A configured endpoint, and nothing else of the user's."""
    others = ("OPENAI", "AZURE", "PYTHONDONTWRITEBYTECODE")  # the last would compile everything in each run
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**kept, "OPENAI_API_KEY": "sk-benchmark-0123456789", "OPENAI_BASE_URL": f"{server.url}/v1"}


def run(annotations: Path, output: Path, server: Server, *options: str) -> Run:
    """Runs the main job to its end."""
    return measured(command(annotations, output, *options), environment(server))


def measured(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> Run:
    """Runs a command to its end."""
    began = time.monotonic()
    process = subprocess.Popen(arguments, env=environ, text=True, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as stderr:
        said = stderr.read()
    _, status, used = os.wait4(process.pid, 0)  # what this child has used, and no other
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    return Run(process.returncode, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said)


def report(output: Path) -> dict[str, Any]:
    """The report of the run below `output`."""
    found: dict[str, Any] = json.loads((output / DATASET / "v1" / "report.json").read_text("utf-8"))
    return found


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints rows in columns, and writes them as JSON into the file that `ROWS_FILE` names, for benchmarks/bench.py."""
    if path := os.environ.get(ROWS_FILE):
        Path(path).write_text(json.dumps(rows), "utf-8")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
