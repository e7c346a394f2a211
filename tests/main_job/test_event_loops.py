"""Several runs in one process: one after the other, at once from threads, inside a running loop, and with nothing left.

All programs here run in one process with all warnings on: a session, connection, task or process that is left open is
told on stderr when it is collected.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, run_rows, server

TESTS = HERE
PROGRAM = """
import asyncio, gc, hashlib, itertools, json, sys, threading
from pathlib import Path
from harness import HERE, run_rows, server
from wire import in_thread, reply, serving

folder = Path(sys.argv[1])

numbers = itertools.count()

def ran(url, **config):
    own = folder / f"run {next(numbers)}"
    own.mkdir()
    return run_rows(own, url, 12, config=config, num_threads=6)

def told(run):
    file = run.folder / "RW_instructions.json"
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
    return [run.exit_code, {state.value: count for state, count in run.states.items()}, digest]

for how, program in json.loads(sys.argv[2]).items():
    names = {**globals()}
    exec(program, names)
    results = names.pop("results")
    del names
    gc.collect()
    print(json.dumps([how, results]), flush=True)
    print(how, file=sys.stderr)
"""

PROGRAMS = {
    "one after the other": """
with server() as one, server() as two:
    results = [told(ran(one.url)), told(ran(one.url)), told(ran(two.url))]
""",
    "at once from two threads": """
results = []
with server() as one, server() as two:
    both = [threading.Thread(target=lambda at=at: results.append(told(ran(at.url)))) for at in (one, two)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
""",
    "inside a running loop, also of a thread": """
results = []
async def main():
    with server() as one:
        results.extend([told(ran(one.url)), told(ran(one.url))])
asyncio.run(main())
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
""",
    "two endpoints in one run": """
with server() as one, server() as two:
    both = [{"base_url": url, "api_key": "sk-0123456789abcdef"} for url in (one.url, two.url)]
    results = [told(ran("", endpoints=both))]
    assert one.stats.requests and two.stats.requests, "both are used"
""",
}

STOPPED = """
endpoint = {"kind": "azure", "deployment": "d", "token_command": [sys.executable, "-c", ""]}
with in_thread(lambda: serving(lambda _: reply(status="401 Unauthorized"))) as wire:
    refused = told(ran(wire.url))
    unsigned = told(ran("", endpoints=[{**endpoint, "base_url": wire.url}]))
nobody = told(ran("http://127.0.0.1:9/v1"))
with server(faults={"reset": 0.4, "cut_body": 0.3, "hang": 0.3}) as one:
    broken = told(ran(one.url, timeout=0.2, max_outage=0.5))
results = [refused, unsigned, nobody, broken]
"""


STOPS = "stops of all kinds"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The process with all programs, in which every warning is an error."""
    programs = json.dumps({**PROGRAMS, STOPS: STOPPED})
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path_factory.mktemp("loops")), programs],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PATH": ""},
    )


def results_of(ended: subprocess.CompletedProcess[str], how: str) -> Any:
    """The results of a program; checks that up to its end nothing was said on stderr."""
    said = ended.stderr[: ended.stderr.index(f"{how}\n")].splitlines()
    assert [line for line in said if line not in PROGRAMS] == []
    return dict(map(json.loads, ended.stdout.splitlines()))[how]


@pytest.mark.parametrize("how", PROGRAMS)
def test_every_run_is_the_same_and_leaves_nothing_open(
    ended: subprocess.CompletedProcess[str], tmp_path: Path, how: str
) -> None:
    with server() as simulated:
        expected = run_rows(tmp_path, simulated.url, 12)
    digest = hashlib.sha256((expected.folder / "RW_instructions.json").read_bytes()).hexdigest()
    results = results_of(ended, how)
    assert results
    assert results == [[0, {"ok": 12}, digest]] * len(results)


def test_a_run_that_is_stopped_leaves_nothing_open(ended: subprocess.CompletedProcess[str]) -> None:
    results = results_of(ended, STOPS)
    assert [code for code, *_ in results] == [3, 3, 3, 3]
    assert all(states == {"pending": 12} for _, states, _ in results)


def test_the_process_ends_without_a_word(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.stderr.splitlines() == [*PROGRAMS, STOPS]
    assert ended.returncode == 0
