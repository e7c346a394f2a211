"""Running the main job in a test: the real thing, against a real server on loopback, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syphus.config.options import Options
from syphus.errors import SyphusError
from syphus.formats.report import Report
from syphus.main_job import run
from syphus.pipeline.observer import Observer
from syphus.runs.reader import RunReader, RunStatus, read_status
from syphus.simulator import SimulatedServer, Simulation, serve_in_thread
from syphus.types import State

HERE = Path(__file__).parent
KEY = "sk-canary-0123456789abcdef"

_TEXTS = ("the blue car has moved", "a person appeared near the pole", "two people left the bench", "the door is open")


class Listener(Observer):
    """Keeps what a person would have read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Ran:
    """How a run ended. `error` is what stopped it, whether it was raised or returned."""

    exit_code: int
    error: SyphusError | None
    folder: Path
    lines: list[str] = field(default_factory=list)

    @property
    def report(self) -> Report:
        return read_status(self.folder)

    @property
    def status(self) -> RunStatus:
        with RunReader(self.folder) as run:
            return run.status()

    @property
    def states(self) -> dict[State, int]:
        """The states that occur, from the ledger alone; checks that they add up."""
        counts = self.report.counts
        assert sum(counts.states.values()) == counts.total
        return {state: count for state, count in counts.states.items() if count}

    @property
    def reasons(self) -> list[str]:
        return [reason for counter in self.report.counts.reasons.values() for reason in counter]

    @property
    def data(self) -> dict[str, Any]:
        """The entries of the MIMIC-IT file."""
        entries: dict[str, Any] = json.loads((self.folder / "RW_instructions.json").read_text("utf-8"))["data"]
        return entries


def write_rows(path: Path, texts: int | Iterable[str] | Mapping[str, str]) -> Path:
    """An input of so many rows, or of these texts, or of these ids and texts."""
    if isinstance(texts, int):
        texts = {f"r{i:03d}": f"{_TEXTS[i % len(_TEXTS)]}, row {i}" for i in range(texts)}
    elif not isinstance(texts, Mapping):
        texts = {f"r{i:03d}": text for i, text in enumerate(texts)}
    lines = [json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n" for name, text in texts.items()]
    path.write_text("".join(lines), "utf-8")
    return path


def write_config(path: Path, url: str, **settings: Any) -> Path:
    """A config for one endpoint at `url`, impatient and with short waits."""
    base = {"model": "chat", "first_wait": 0.01, "timeout": 5.0, "max_attempts": 3, "max_outage": 2.0, "max_wait": 30.0}
    where = {} if "endpoints" in settings else {"endpoint": {"base_url": url, "api_key": KEY}}
    path.write_text(json.dumps({**where, **base, **settings}), "utf-8")
    return path


def run_rows(
    folder: Path,
    url: str,
    texts: int | Iterable[str] | Mapping[str, str] = 4,
    config: Mapping[str, Any] | None = None,
    observer: Listener | None = None,
    **options: Any,
) -> Ran:
    """The main job over rows, at the server at `url` with these settings; what it writes is in `folder`."""
    rows = write_rows(folder / "rows.jsonl", texts)
    if "config" not in options and not options.get("offline"):
        options["config"] = write_config(folder / "config.json", url, **(config or {}))
    given = {"name": "Rows.rows", "query_inputs_path": str(rows), "datasets_dir": (HERE / "plugins",), **options}
    chosen = Options(**{"output_dir": folder / "output", "num_threads": 4, **given})
    listener = observer or Listener()
    try:
        finished = run(chosen, {}, listener)
        ran = Ran(finished.exit_code, finished.stopped_by, chosen.folder, listener.lines)
    except SyphusError as error:
        ran = Ran(error.exit_code, error, chosen.folder, listener.lines)
    return ran


@contextmanager
def server(**settings: Any) -> Iterator[SimulatedServer]:
    """A simulated endpoint, in a thread, that obeys the form and asks for short waits unless told otherwise."""
    with serve_in_thread(Simulation(**{"sloppiness": 0, "retry_after": 0.02, **settings})) as running:
        yield running
