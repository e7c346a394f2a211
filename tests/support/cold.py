"""A cold start in a test: made-up rows, a prompt without in-context examples, and a server that learns from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from harness import HERE, Listener, server, write_config, write_rows

from syphus.cli.summary import cold_start_summary
from syphus.cold_start.command import cold_start
from syphus.cold_start.plan import SearchPlan, SearchResult
from syphus.cold_start.review import Reviewer
from syphus.config.options import Options
from syphus.errors import SyphusError
from syphus.simulator import SimulatedServer

SYSTEM = """\
You are told what a photo shows. Write one to five pairs of a question and an answer:

Question: ...
Answer: ..."""
SMALL: dict[str, Any] = {"sample": 16, "held_out": 24}

_LOOKS = "tall young old cheerful tired bearded barefoot smiling masked sleepy elegant muddy blonde limping curious"
_WHO = "man woman girl boy waiter cyclist nurse coach clown soldier farmer dancer painter tourist sailor baker"
_DOES = "carrying repairing painting pushing lifting washing throwing examining unpacking decorating measuring"
_WHAT = "ladder tent piano suitcase wall boat melon kite door stove cake table oven cart drum bench chair saddle"
_WHERE = ("near the fountain", "behind the garage", "in the courtyard", "under the bridge", "at the <bakery>")


def texts(count: int, seed: int = 0) -> dict[str, str]:
    """Rows of two or three sentences that have little in common."""
    random = Random(seed)

    def sentence() -> str:
        looks, who, does, what = (random.choice(words.split()) for words in (_LOOKS, _WHO, _DOES, _WHAT))
        where = random.choice(_WHERE)
        return f"the {looks} {who} is {does} a {what} {where}"

    return {f"r{row:03}": "\n".join(sentence() for _ in range(random.choice((2, 3)))) for row in range(count)}


@dataclass
class Cold:
    """How a cold start ended; `error` is what stopped it, whether it was raised or returned."""

    exit_code: int
    error: SyphusError | None
    folder: Path
    lines: list[str]
    found: SearchResult = field(default_factory=SearchResult)
    told: list[str] = field(default_factory=list)


@contextmanager
def teachable(**settings: Any) -> Iterator[SimulatedServer]:
    """A server whose obedience depends on the in-context examples."""
    with server(**{"obedience": "examples", **settings}) as running:
        yield running


def bare_prompt(folder: Path, system: str = SYSTEM) -> str:
    """A prompt file without in-context examples."""
    path = folder / "bare.yaml"
    path.write_text("system_message: |-\n" + "".join(f"  {line}\n" for line in system.splitlines()), "utf-8")
    return str(path)


def options(folder: Path, endpoint: SimulatedServer, rows: int = 80, **more: Any) -> Options:
    """Those of a run over so many rows, at this server."""
    given: dict[str, Any] = {
        "name": "Rows.rows",
        "query_inputs_path": str(write_rows(folder / "rows.jsonl", texts(rows))),
        "datasets_dir": (HERE / "plugins",),
        "prompt_path": bare_prompt(folder),
        "config": write_config(folder / "config.json", endpoint.url),
        "output_dir": folder / "output",
        "num_threads": 8,
        **more,
    }
    return Options(**given)


def search(
    given: Options,
    plan: dict[str, Any] | None = None,
    pinned: str = "",
    reviewer: Reviewer | None = None,
    write: bool = False,
) -> Cold:
    """The command `cold-start`, in this process."""
    listener = Listener()
    values = {**SMALL, "seed": given.seed, "pinned": pinned, "write_prompt": write, **(plan or {})}
    try:
        ended = cold_start(given, SearchPlan(**values), {}, listener, reviewer)
    except SyphusError as error:
        return Cold(error.exit_code, error, given.folder, listener.lines)
    return Cold(
        ended.exit_code, ended.stopped_by, given.folder, listener.lines, ended.found, cold_start_summary(ended, "")
    )


def said(cold: Cold, text: str) -> bool:
    """Whether a person would have read that."""
    return any(text in line for line in cold.lines)


def stages(folder: Path, beginning: str = "cold start") -> Sequence[str]:
    """The stages in a run's ledger."""
    connection = sqlite3.connect(folder / "run.sqlite")
    names = [row[0] for row in connection.execute("SELECT stage FROM query GROUP BY stage ORDER BY min(n)")]
    connection.close()
    return [name for name in names if name.startswith(beginning)]
