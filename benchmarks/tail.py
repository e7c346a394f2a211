"""The end of a run: 1% of the calls are thirty times as slow as the others.

    python benchmarks/tail.py [rows, 2000 by default] [seconds of a usual call, 0.2 by default] [runs, 5 by default]

The run should end within one and a half times the 95th percentile of the latencies after the last row was first sent,
and at most 1% more should be spent. The server answers in this process, and keeps the times.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from aiohttp import web
from common import Run, Server, report, run, table, write_annotations

SLOW_SHARE, SLOWER = 0.01, 30.0
_ANSWER = "Question: What has moved?\nAnswer: The blue car.\n\nQuestion: Where to?\nAnswer: To the gate.\n"


@dataclass
class SlowServer:
    """Answers after `latency` seconds, and some requests `SLOWER` times later. Times are by this process's clock."""

    latency: float
    first_sent: dict[bytes, float] = field(default_factory=dict)  #: by body, when it first came
    answered: dict[bytes, float] = field(default_factory=dict)  #: by body, when it was first answered
    latencies: list[float] = field(default_factory=list)
    seed: int = 0
    requests: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one chat request."""
        body = await request.read()
        self.requests += 1
        came = time.monotonic()
        self.first_sent.setdefault(body, came)
        seconds = self.latency * (SLOWER if self._rng.random() < SLOW_SHARE else self._rng.uniform(0.9, 1.1))
        await asyncio.sleep(seconds)
        self.answered.setdefault(body, time.monotonic())
        self.latencies.append(time.monotonic() - came)
        choice = {"index": 0, "message": {"role": "assistant", "content": _ANSWER}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 40}
        return web.json_response({"id": "c", "model": "gpt-4o-mini", "choices": [choice], "usage": usage})

    def tail(self) -> tuple[float, float]:
        """Return the seconds from the first request for the last row to the last answer, and the 95th percentile."""
        usual = sorted(self.latencies)[int(0.95 * (len(self.latencies) - 1))]
        return max(self.answered.values()) - max(self.first_sent.values()), usual


@contextmanager
def serving(latency: float, seed: int) -> Iterator[SlowServer]:
    """Run such a server in a thread, on a free port."""
    server, loop = SlowServer(latency, seed=seed), asyncio.new_event_loop()

    async def start() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", server.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    loop.run_until_complete(start())
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def measure(
    folder: Path, rows: int, latency: float, seed: int, *options: str
) -> tuple[SlowServer, Run, dict[str, int]]:
    """Run so many rows against a new server."""
    annotations = write_annotations(folder / "annotations.json", rows)
    with serving(latency, seed) as server:
        done = run(annotations, folder / "output", Server(server.url), "--num_threads", "64", *options)
    return server, done, report(folder / "output")["states"]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    latency = float(sys.argv[2]) if len(sys.argv) > 2 else 0.2
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    lines = [("", "ok", "seconds", "requests", "seconds after the last start", "in 95th percentiles")]
    for seed in range(runs + 1):
        name, options = ("asked twice", ()) if seed else ("not", ("--no-hedging",))
        with tempfile.TemporaryDirectory() as temporary:
            server, done, states = measure(Path(temporary), rows, latency, seed, *options)
        seconds, usual = server.tail()
        numbers = (f"{states['ok']:,}", f"{done.seconds:.1f}", f"{server.requests:,}")
        lines.append((name, *numbers, f"{seconds:.2f}", f"{seconds / usual:.2f}"))
    table(lines)


if __name__ == "__main__":
    main()
