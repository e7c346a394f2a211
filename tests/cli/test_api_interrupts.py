"""Ctrl-C in a script that uses the Python API, at a known moment: real processes, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, server, write_config, write_rows
from processes import MAIN, Watch, command, environment, finish, start, typed

from syphus.ledger.summary import Spending
from syphus.pipeline.observer import Observer, call
from syphus.runs.reader import read_status
from syphus.types import State

ROWS = 40

#: Interrupts itself at an audit event, if one is given, and prints how the run ended.
SCRIPT = """
import asyncio, json, os, signal, sys

def interrupt_at(event, text):
    moments = [event]
    def listen(name, args):
        if name in moments and any(text in str(arg) for arg in args):
            moments.clear()
            os.kill(os.getpid(), signal.SIGINT)
    sys.addaudithook(listen)

how, options, *moment = sys.argv[1:]
options = json.loads(options)
import syphus
if moment:
    interrupt_at(*moment)

def show(run):
    print(type(run.stopped_by).__name__, run.exit_code, run.counts["ok"], run.counts["pending"])

async def in_loop():
    show(syphus.run("Rows.rows", **options))
    await asyncio.sleep(0)
    print("the loop goes on")

async def in_task():
    show(await syphus.run_async("Rows.rows", **options))

if how == "plain":
    show(syphus.run("Rows.rows", **options))
else:
    asyncio.run(globals()[how]())
"""


def script(folder: Path, url: str, how: str, *moment: str) -> list[str]:
    options = {
        "query_inputs_path": str(write_rows(folder / "rows.jsonl", ROWS)),
        "config": str(write_config(folder / "config.json", url)),
        "datasets_dir": str(HERE / "plugins"),
        "output_dir": str(folder / "output"),
        "num_threads": 8,
        "quiet": True,
    }
    return [sys.executable, "-c", SCRIPT, how, json.dumps(options), *moment]


ENVIRONMENT = environment(PYTHONPATH=str(MAIN.parent))


def interrupt_at_request(folder: Path, how: str, number: int) -> tuple[int, str, str, Watch]:
    """Run the script, and interrupt it as its `number`th request comes in."""
    with server(latency=0.05) as simulated:
        watch = Watch(simulated)
        with start(script(folder, simulated.url, how), folder, env=ENVIRONMENT) as process:
            watch.at("request", number, lambda: process.send_signal(signal.SIGINT))
            out, err = process.communicate(timeout=60)
        return process.returncode or 0, out, err, watch


def states(folder: Path) -> dict[State, int]:
    counts = read_status(folder / "output" / "Rows.rows" / "v1").counts
    return {state: count for state, count in counts.states.items() if count}


def spending(folder: Path) -> Spending:
    return read_status(folder / "output" / "Rows.rows" / "v1").spending


#: After the session has begun: asyncio.run has its handler, and the loop does not have its own yet.
LOADING = ("import", "syphus.endpoints.remote_endpoint")
BEFORE = {"import": ("import", "syphus.main_job"), "input": ("open", "rows.jsonl"), "ledger": ("sqlite3.connect", "")}


def test_ctrl_c_before_the_first_request_returns_normally(tmp_path: Path) -> None:
    with server() as simulated:
        done = finish(script(tmp_path, simulated.url, "plain", *LOADING), tmp_path, cold=True, env=ENVIRONMENT)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"InterruptError 130 0 {ROWS}\n", "")
        assert simulated.stats.requests == spending(tmp_path).requests == 0
        resumed = finish(script(tmp_path, simulated.url, "plain"), tmp_path, env=ENVIRONMENT)
        assert (resumed.returncode, resumed.stdout) == (0, f"NoneType 0 {ROWS} 0\n")


@pytest.mark.parametrize("moment", BEFORE.values(), ids=BEFORE)
def test_ctrl_c_before_there_is_a_run_is_one_plain_keyboard_interrupt(tmp_path: Path, moment: tuple[str, str]) -> None:
    with server() as simulated:
        loads = moment[0] == "import"  # a fork has loaded everything
        done = finish(script(tmp_path, simulated.url, "plain", *moment), tmp_path, cold=loads, env=ENVIRONMENT)
        assert (done.returncode, done.stdout, simulated.stats.requests) == (-signal.SIGINT, "", 0)
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert done.stderr.endswith("\nKeyboardInterrupt\n")
    assert len([line for line in done.stderr.splitlines() if line.startswith("  File")]) <= 4, done.stderr


def test_ctrl_c_at_the_first_request_returns_normally(tmp_path: Path) -> None:
    code, out, err, watch = interrupt_at_request(tmp_path, "plain", 1)
    assert (code, out, err) == (0, f"InterruptError 130 {watch.ok} {ROWS - watch.ok}\n", "")
    assert watch.ok == watch.requests < ROWS


def test_ctrl_c_stops_a_run_in_a_running_event_loop(tmp_path: Path) -> None:
    code, out, err, watch = interrupt_at_request(tmp_path, "in_loop", 12)
    assert (code, err) == (0, "")
    assert out == f"InterruptError 130 {watch.ok} {ROWS - watch.ok}\nthe loop goes on\n"
    assert 12 <= watch.ok == watch.requests <= 12 + 8


def test_ctrl_c_in_a_running_event_loop_before_the_first_request_sends_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        done = finish(script(tmp_path, simulated.url, "in_loop", *LOADING), tmp_path, cold=True, env=ENVIRONMENT)
        assert (done.returncode, done.stderr, simulated.stats.requests) == (0, "", 0)
    assert done.stdout == f"InterruptError 130 0 {ROWS}\nthe loop goes on\n"


def test_ctrl_c_saves_an_awaited_run_and_asyncio_run_raises(tmp_path: Path) -> None:
    code, out, err, watch = interrupt_at_request(tmp_path, "in_task", 12)
    assert (code, out, err.splitlines()[-1]) == (-signal.SIGINT, "", "KeyboardInterrupt")
    assert states(tmp_path) == {State.OK: watch.ok, State.PENDING: ROWS - watch.ok}
    assert 12 <= watch.ok == watch.requests <= 12 + 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_says_how_to_resume_there(tmp_path: Path, number: signal.Signals) -> None:
    with server() as simulated:
        arguments = command(tmp_path, simulated.url, 4, killed_at=(*LOADING, 1), by=number)
        ended = finish(arguments, tmp_path, env=environment(PYTHONUNBUFFERED="1"))  # a new Python
        assert (ended.returncode, simulated.stats.requests) == (130, 0)
    plain = command(tmp_path, simulated.url, 4)
    lines = ended.stderr.splitlines()
    assert "Stopped." in lines
    assert lines[-1] == f"Resume with the same command: {typed(*plain[1:])}"
    assert "Traceback" not in ended.stderr


def test_the_handler_of_the_caller_is_back_after_a_run_in_its_loop() -> None:
    async def main() -> tuple[Any, Any, Any]:
        before = signal.getsignal(signal.SIGINT)
        during = call(lambda _: signal.getsignal(signal.SIGINT), Observer())
        return before, during, signal.getsignal(signal.SIGINT)

    before, during, after = asyncio.run(main())
    assert before == after != during


def test_ctrl_c_stays_ignored_in_a_running_event_loop() -> None:
    async def main() -> Any:
        return call(lambda _: signal.getsignal(signal.SIGINT), Observer())

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert asyncio.run(main()) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("report", [lambda to: to.reading(1), lambda to: to.converting("1 image")])
def test_ctrl_c_in_a_running_event_loop_ends_work_at_its_next_report(report: Callable[[Observer], None]) -> None:
    def work(observer: Observer) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # to the main thread, which waits
        while True:
            report(observer)

    async def main() -> None:
        with pytest.raises(KeyboardInterrupt) as raised:
            call(work, Observer())
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__

    asyncio.run(main())
