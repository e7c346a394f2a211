"""Runs the benchmarks and writes docs/figures.md and the figures of the README: `make bench`.

    python benchmarks/bench.py [--quick] [--server URL] [--only NAME ...] [--dry]

Every figure is of this commit and this machine, and speed is a ratio to what was measured in the same minutes. What is
not measured here is not on the page. `--quick` takes about four minutes instead of fifteen, with fewer rows, and
writes nothing, like `--dry`. Without a URL the server is benchmarks/fast_server.py. Scripts that need limits run only
against another one, which must have `/config` with those settings.

A benchmark is added by a line in `BENCHMARKS`: the script, its arguments, and a function from the rows of the table
that it prints to figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from common import ROOT, ROWS_FILE

Rows = list[list[str]]


class Figure(NamedTuple):
    """One line of the page; `prominent` ones are in the README, too."""

    what: str
    reached: str
    prominent: bool = False


@dataclass(frozen=True)
class Benchmark:
    """A script with its arguments, and how its table becomes figures."""

    script: str
    figures: Callable[[Rows], list[Figure]]
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    needs_server: bool = False
    needs_limits: bool = False  #: of the server, which then must be given
    seconds: float = 400.0  #: until it is given up


def throughput(rows: Rows) -> list[Figure]:
    """Compare the pipeline with the bare loop of the same minutes, by CPU time."""
    found: list[Figure] = []
    cells = {(latency, threads, what): (rate, float(cpu)) for latency, threads, what, rate, cpu in rows[1:]}
    for latency, threads in dict.fromkeys((row[0], row[1]) for row in rows[1:]):
        rate, cpu = cells[latency, threads, "the whole pipeline"]
        bare_rate, bare = cells[latency, threads, "bare aiohttp"]
        _, sdk = cells[latency, threads, "SDK client.post"]
        _, ours = cells[latency, threads, "our endpoint"]
        when = "no latency" if latency == "0 ms" else f"{latency} latency"
        parts = f"{cpu / bare:.1f} times a bare aiohttp loop, {cpu / sdk:.1f} times the SDK's `client.post`"
        found.append(Figure(f"CPU of a query, {when}, {threads} threads", parts, threads == "64"))
        found.append(
            Figure(f"CPU of the endpoint alone, {when}, {threads} threads", f"{ours / bare:.2f} times a bare loop")
        )
        share = float(rate.replace(",", "")) / float(bare_rate.replace(",", ""))
        speed = f"{rate} a second: {share:.0%} of a bare loop ({bare_rate})"
        found.append(Figure(f"queries a second, {when}, {threads} threads", speed, latency != "0 ms"))
    return found


def memory(rows: Rows) -> list[Figure]:
    """Join the peaks."""
    counts, peaks = " and ".join(row[0] for row in rows[1:]), " and ".join(row[1] for row in rows[1:])
    return [Figure(f"peak memory at {counts} queries", peaks, prominent=True)]


def seconds(rows: Rows) -> list[Figure]:
    """Take a table of names and seconds."""
    return [Figure(f"time: {name}", f"{value} s", name == "first request of a new run") for name, value in rows[1:]]


def named(topic: str, prominent: Sequence[str] = ()) -> Callable[[Rows], list[Figure]]:
    """Return a reader of tables with a name and a value in each row."""
    return lambda rows: [Figure(f"{topic}: {what}", value, what in prominent) for what, value in rows]


def columns(topic: str, prominent: Sequence[str] = ()) -> Callable[[Rows], list[Figure]]:
    """Return a reader of tables with a header: each row is a figure, its cells with their columns' names."""

    def read(rows: Rows) -> list[Figure]:
        header = rows[0]
        return [
            Figure(
                f"{topic}: {row[0]}" if row[0] else topic,
                "; ".join(f"{name} {cell}" for name, cell in zip(header[1:], row[1:], strict=True) if cell),
                row[0] in prominent,
            )
            for row in rows[1:]
        ]

    return read


BENCHMARKS = (
    Benchmark("throughput", throughput, ("20000",), ("5000",), needs_server=True),
    Benchmark("startup", seconds, ("50000",), ("2000",), needs_server=True),
    Benchmark("memory", memory, ("10000", "100000"), ("10000",), needs_server=True),
    Benchmark("bill", named("budgets and bills"), ("10000", "1000"), ("300", "100")),
    Benchmark("prompt_cache", columns("prompt cache")),
    Benchmark("tail", columns("1% of the calls 30 times as slow, 0.2 s"), ("2000", "0.2", "2"), ("500", "0.2", "1")),
    Benchmark("quote", columns("quote after a pilot of 30"), ("--runs", "40"), ("--runs", "5")),
    Benchmark("faults", columns("faults"), needs_server=True),
    Benchmark("refusals", columns("requests refused for a parameter"), ("1000",), ("100",)),
    Benchmark("structured", columns("structured answers"), ("200",), ("50",)),
    Benchmark("rate_limits", columns("limits"), needs_server=True, needs_limits=True),
)


@contextmanager
def serving(url: str) -> Iterator[str]:
    """Yield the URL of the server: the given one, or that of one that runs meanwhile."""
    if url:
        yield url
        return
    script = str(ROOT / "benchmarks" / "fast_server.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def measure(benchmark: Benchmark, url: str, quick: bool) -> list[Figure]:
    """Run a script, and return its figures. Raises `RuntimeError` if it fails."""
    arguments = benchmark.quick if quick else benchmark.full
    server = [url] if benchmark.needs_server else []
    script = str(ROOT / "benchmarks" / f"{benchmark.script}.py")
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        try:
            done = subprocess.run(
                [sys.executable, script, *server, *arguments],
                env={**os.environ, ROWS_FILE: str(rows)},
                timeout=benchmark.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not done after {benchmark.seconds:.0f} s") from None
        if done.returncode or not rows.exists():
            raise RuntimeError(f"exit code {done.returncode}")
        return benchmark.figures(json.loads(rows.read_text("utf-8")))


def machine() -> str:
    """Return what the figures depend on: cores, Python, system."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} ({platform.machine()})"


def write_pages(figures: Sequence[Figure], scripts: Sequence[str]) -> None:
    """Replace the figures on both pages. Raises `RuntimeError` if the code has uncommitted changes."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    if git("status", "--porcelain", "--untracked-files=no", "--", "syphus", "benchmarks", "datasets"):
        raise RuntimeError(
            "the code has uncommitted changes, so nothing was written: the figures would be of no commit"
        )
    where = f"Measured at commit {git('rev-parse', '--short', 'HEAD')} with `make bench`: {machine()}."
    head = ["| what | reached |", "|---|---|"]
    lines = {figure: f"| {figure.what} | {figure.reached} |" for figure in figures}
    links = ", ".join(f"[{name}](../benchmarks/{name}.py)" for name in scripts)
    page = [where, "", *head, *lines.values(), "", f"Scripts: {links}."]
    readme = [where, "", *head, *(line for figure, line in lines.items() if figure.prominent)]
    for path, content in ((ROOT / "docs" / "figures.md", page), (ROOT / "README.md", readme)):
        text = path.read_text("utf-8")
        block = "\n".join(["<!-- figures: begin -->", *content, "<!-- figures: end -->"])
        pattern = re.compile("<!-- figures: begin -->.*<!-- figures: end -->", re.DOTALL)
        before, after = pattern.split(text)
        path.write_text(f"{before}{block}{after}", "utf-8")


def main() -> int:
    """Run what was asked for; return 1 if something failed, 2 if there is no such benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows, and write nothing")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--server", default="", metavar="URL", help="measure against this server")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="run these scripts, and write nothing")
    given: Any = parser.parse_args()
    names = [each.script for each in BENCHMARKS]
    if unknown := [name for name in given.only if name not in names]:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(names)}.", file=sys.stderr)
        return 2
    chosen = [each for each in BENCHMARKS if not given.only or each.script in given.only]
    figures: list[Figure] = []
    failed: list[str] = []
    with serving(given.server) as url:
        for benchmark in chosen:
            if benchmark.needs_limits and not given.server:
                print(f"--- {benchmark.script}: left out, since it needs --server", flush=True)
                continue
            began = time.monotonic()
            print(f"--- {benchmark.script}", flush=True)
            try:
                figures += measure(benchmark, url, given.quick)
            except RuntimeError as error:
                failed.append(f"{benchmark.script}: {error}")
            print(f"    {time.monotonic() - began:.0f} s", flush=True)
    for figure in figures:
        print(f"{figure.what}: {figure.reached}")
    for failure in failed:
        print(f"FAILED {failure}")
    if not failed and not (given.quick or given.dry or given.only):
        write_pages(figures, [each.script for each in chosen if given.server or not each.needs_limits])
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
