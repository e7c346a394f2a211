"""Rows that always fail while all others are answered: who is held up, and how many requests the bad rows get.

    python benchmarks/bad_rows.py [WORD of a name of a reply] [--rows 240]

A run of 240 rows, 1 to 8 of which are bad, at the beginning, in the middle and at the end, and five runs after it with
the same command. The others must all be ok after the first run, at full speed; the bad ones must have failed with at
most six requests each, and the runs after it send nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from dressed_server import BAD_ROWS, DressedServer, dressed
from harness import run_rows

from syphus.types import State

RESUMES = 5
CONFIG = {"max_attempts": 6, "max_outage": 60.0, "timeout": 30.0, "first_wait": 0.05, "max_wait": 300.0}


def texts(rows: int, bad: int, place: str) -> dict[str, str]:
    """So many rows, with the bad ones together in one place."""
    first = {"start": 0, "middle": rows // 2, "end": rows - bad}[place]
    return {f"r{n}": f"row {n} is {'bad' if first <= n < first + bad else 'fine'}" for n in range(rows)}


def measure(name: str, rows: int, bad: int, place: str) -> tuple[str, ...]:
    """Run and resume; return what came of it as a line of the table."""
    server = DressedServer({"is bad": BAD_ROWS[name]} if name else {}, latency=0.01)
    with dressed(server), tempfile.TemporaryDirectory() as folder:
        given = texts(rows, bad, place)
        began = time.monotonic()
        ran = run_rows(Path(folder), server.url, given, num_threads=16, config=CONFIG)
        seconds = time.monotonic() - began
        most = max((count for text, count in server.asked.items() if "is bad" in text), default=0)
        further = sum(server.asked.values()) - sum(count for text, count in server.asked.items() if "is bad" in text)
        before, states = sum(server.asked.values()), ran.states
        for _ in range(RESUMES):
            again = run_rows(Path(folder), server.url, given, num_threads=16, config=CONFIG)
        sent = sum(server.asked.values()) - before
        failed = {state: count for state, count in again.states.items() if state is not State.OK}
        why = "; ".join(ran.reasons)[:60] or str(ran.error or "")[:100]
    ok = states.get(State.OK, 0)
    as_it_should = ok == rows - bad and most <= 6 and not sent and not ran.error and further <= rows - bad + 4
    shown = " ".join(f"{count} {state}" for state, count in failed.items())
    return (
        name or "none", f"{bad} {place}", f"{ok}", shown, str(most), str(further - (rows - bad)), str(sent),
        f"{seconds:.1f}", why, "" if as_it_should else "MISSED",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--bad", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--places", nargs="*", default=["start", "middle", "end"])
    given = parser.parse_args()
    head = ("reply", "bad", "ok", "others", "most", "more", "resumes", "s", "why", "")
    lines = [head, measure("", given.rows, 0, "end")]
    for name in (each for each in BAD_ROWS if given.word in each):
        for bad in given.bad:
            for place in given.places:
                lines.append(measure(name, given.rows, bad, place))
                print(*lines[-1], sep=" | ", file=sys.stderr)
    table(lines)


if __name__ == "__main__":
    main()
