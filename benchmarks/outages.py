"""Outages in many dresses: a run of 400 rows through seconds in which everybody gets the same useless reply.

    python benchmarks/outages.py [WORD of a name of a reply] [--seconds 4 12]

After 60 answers the server says the same to everybody for so many seconds, and then works again: no row may be lost.
With 0 seconds it never works again: the run must stop with one line and every other row pending, as it must at once
where the key, the access or the model is refused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from dressed_server import OUTAGES, DressedServer, dressed
from harness import run_rows

from syphus.types import State

FOREVER = 3600.0


def measure(name: str, seconds: float, rows: int, max_outage: float) -> tuple[str, ...]:
    """Run through one outage; return what came of it as a line of the table."""
    server = DressedServer(outage=OUTAGES[name], seconds=seconds or FOREVER, latency=0.01)
    config = {"max_attempts": 6, "max_outage": max_outage, "timeout": 30.0, "first_wait": 0.05, "max_wait": 300.0}
    with dressed(server), tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        given = {f"r{n}": f"a fine row {n}" for n in range(rows)}
        ran = run_rows(Path(folder), server.url, given, num_threads=16, config=config)
        took = time.monotonic() - began
        states, said = ran.states, str(ran.error or "; ".join(ran.reasons))
    others = {state: count for state, count in states.items() if state is not State.OK}
    requests = sum(server.asked.values())
    lost = sum(count for state, count in others.items() if state is not State.PENDING)
    if seconds and not name.startswith(("200 error 401", "401", "403", "404")):
        as_it_should = states.get(State.OK) == rows
    else:  # a key, an access or a model that is gone stops the run at once
        stopped = ran.error is not None and len(str(ran.error).splitlines()) == 1
        as_it_should = not lost and (stopped or states.get(State.OK) == rows)
    return (
        name, f"{seconds:g}" if seconds else "for good", str(states.get(State.OK, 0)),
        " ".join(f"{count} {state}" for state, count in others.items()), str(requests - server.answered),
        f"{took:.1f}", said[:120], "" if as_it_should else "MISSED",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("word", nargs="?", default="")
    parser.add_argument("--seconds", type=float, nargs="*", default=[4.0, 12.0, 0.0])
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--max-outage", type=float, default=30.0)
    given = parser.parse_args()
    lines: list[tuple[str, ...]] = [("reply", "seconds", "ok", "others", "in vain", "s", "said", "")]
    for name in (each for each in OUTAGES if given.word in each):
        for seconds in given.seconds:
            lines.append(measure(name, seconds, given.rows, given.max_outage if seconds else 5.0))
            print(*lines[-1], sep=" | ", file=sys.stderr)
    table(lines)


if __name__ == "__main__":
    main()
