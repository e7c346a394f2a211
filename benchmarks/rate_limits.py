"""How much of a stated limit is used, and how many calls are wasted on finding out.

    python benchmarks/rate_limits.py http://127.0.0.1:8900

The server enforces 6,000 requests a minute each second, then 1,200,000 tokens a minute with answers far below
max_tokens; latency is lognormal with a median of a second. The steady state is the middle half of the run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Server, report, run, table, write_annotations

LATENCY = {"median_ms": 1000, "sigma": 0.5}
MAX_TOKENS = 3200


def steady(stats: dict[str, Any], field: str) -> float:
    """Events a second in the middle half of the run."""
    series: list[int] = stats[field]
    middle = series[len(series) // 4 : -len(series) // 4]
    return sum(middle) / len(middle)


def play(server: Server, folder: Path, name: str, count: int, allowed: float, **limits: float) -> tuple[str, ...]:
    """One run under a limit that allows `allowed` queries a second."""
    server.configure(**LATENCY, **limits)
    output = folder / f"of-{count}"
    done = run(write_annotations(folder / f"{count}.json", count), output, server, "--num_threads", "256")
    stats, states = server.stats(series=True), report(output)["states"]
    assert states["ok"] == count, done.said
    requests, refused = stats["requests"], stats["r429"]
    rate = steady(stats, "series_req")
    return (
        name,
        f"{count:,}",
        f"{rate:.1f}/s",
        f"{100 * rate / allowed:.1f}%",
        f"{refused} ({100 * refused / requests:.2f}%)",
        str(requests - count),
    )


def main() -> None:
    server = Server(sys.argv[1])
    rows: list[tuple[str, ...]] = [("limit", "queries", "steady state", "of the limit", "429s", "wasted calls")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows.append(play(server, folder, "6,000 requests/min, each second", 6000, 100.0, rpm=6000, burst_s=1))
        allowed = 1_200_000 / 60 / charge(server, folder)
        rows.append(play(server, folder, "1,200,000 tokens/min", 1500, allowed, tpm=1_200_000))
    table(rows)


def charge(server: Server, folder: Path) -> float:
    """Tokens that the server takes for one of these requests: its prompt, and max_tokens."""
    server.configure()
    run(write_annotations(folder / "one.json", 1), folder / "one", server)
    return float(report(folder / "one")["tokens"]["prompt"]) + MAX_TOKENS


if __name__ == "__main__":
    main()
