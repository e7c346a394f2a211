"""What can happen to the process: signals, a laptop that sleeps, closed streams, odd terminals, tight limits."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, run_rows, server
from processes import Watch, command, environment, finish, start, typed
from warm_python import server_address

from syphus.pipeline.deadlines import MAX_GAP, AwakeClock
from syphus.runs.reader import read_status
from syphus.types import State

OK, PENDING = State.OK, State.PENDING
ROWS = 40


def states(folder: Path) -> dict[State, int]:
    counts = read_status(folder / "output" / "Rows.rows" / "v1").counts
    return {state: count for state, count in counts.states.items() if count}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_waits_for_the_calls_in_flight_and_keeps_their_answers(
    tmp_path: Path, number: signal.Signals
) -> None:
    with server(latency=0.05) as simulated:
        watch = Watch(simulated)
        arguments = command(tmp_path, simulated.url, ROWS)
        with start(arguments, tmp_path) as process:
            watch.at("request", 12, lambda: process.send_signal(number))
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert watch.ok == watch.requests  # nobody hung up
        assert states(tmp_path) == {OK: watch.ok, PENDING: ROWS - watch.ok}
        assert 12 <= watch.ok <= 12 + 8
        told = err.splitlines()
        assert any(re.match(r"Stopping: waiting up to 30 s for \d requests in flight", line) for line in told)
        assert f"Stopped by {'Ctrl-C' if number is signal.SIGINT else number.name}." in told
        assert f"Resume with the same command: {typed(*arguments[1:])}" in told
        asked = watch.requests
        ran = run_rows(tmp_path, simulated.url, ROWS)
        assert watch.requests == ROWS
        assert any(line == f"Resuming: {asked} of {ROWS} answers reusable, {ROWS - asked} to go." for line in ran.lines)


def test_the_second_signal_quits_at_once_and_keeps_the_answers_so_far(tmp_path: Path) -> None:
    with server(script=["ok"] * 5 + ["hang"] * 100) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, ROWS), tmp_path) as process:
            assert process.stderr is not None
            watch.at("request", 13, lambda: process.send_signal(signal.SIGINT))
            for line in process.stderr:
                if line.startswith("Stopping: waiting up to 30 s for 8 requests in flight"):
                    break
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=15)  # the calls would hang for ten minutes, and the drain for half of one
        assert process.returncode == 130
        assert states(tmp_path) == {OK: 5, PENDING: 35}
        spending = read_status(tmp_path / "output" / "Rows.rows" / "v1").spending
        assert (spending.requests, spending.causes["interrupted"], spending.maybe_billed) == (13, 8, 8)
        simulated.configure(script="")
        assert run_rows(tmp_path, simulated.url, ROWS).states == {OK: ROWS}
        assert watch.dup_after_ok == 0


def test_the_wait_for_calls_in_flight_ends(tmp_path: Path) -> None:
    with server(script=["ok"] * 5 + ["hang"] * 100) as simulated:
        watch = Watch(simulated)
        with start(command(tmp_path, simulated.url, ROWS, "--drain", "0.2"), tmp_path) as process:
            watch.at("request", 13, lambda: process.send_signal(signal.SIGTERM))
            process.communicate(timeout=15)
        assert process.returncode == 130
    assert states(tmp_path) == {OK: 5, PENDING: 35}


def test_a_run_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    with server(latency=0.01) as simulated:
        watch = Watch(simulated)
        arguments = command(tmp_path, simulated.url, ROWS)
        with start(arguments, tmp_path, inherited={"ignored": [signal.SIGHUP]}) as process:
            watch.at("request", 12, lambda: process.send_signal(signal.SIGHUP))
            process.communicate(timeout=60)
    assert (process.returncode, states(tmp_path)) == (0, {OK: ROWS})


#: Before the loop, which listens for itself.
EARLY = {
    "import": ("import", "syphus.main_job", 1),
    "input": ("open", "rows.jsonl", 1),
    "ledger": ("sqlite3.connect", "run.sqlite", 1),
}


@pytest.mark.parametrize(
    ("moment", "number"),
    list(zip(EARLY.values(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP), strict=True)),
    ids=EARLY,
)
def test_a_signal_before_the_first_request_is_one_line_that_says_how_to_go_on(
    tmp_path: Path, moment: tuple[str, str, int], number: signal.Signals
) -> None:
    with server() as simulated:
        arguments = command(tmp_path, simulated.url, 4, killed_at=moment, by=number)
        ended = finish(arguments, tmp_path)
        plain = command(tmp_path, simulated.url, 4)
        assert (ended.returncode, simulated.stats.requests) == (130, 0)
        assert ended.stderr == f"Stopped. Resume with the same command: {typed(*plain[1:])}\n"
        assert finish(plain, tmp_path).returncode == 0


@pytest.mark.parametrize(
    "subcommand", [["cold-start"], ["describe"], ["compare", "--prompt", "a.yaml", "--prompt", "b.yaml"]]
)
def test_each_command_that_goes_on_after_a_signal_says_how(tmp_path: Path, subcommand: list[str]) -> None:
    arguments = command(tmp_path, "http://127.0.0.1:9", 4, killed_at=("import", "syphus.runs", 1), by=signal.SIGINT)
    at = arguments.index("--name")
    arguments[at:at] = subcommand
    ended = finish(arguments, tmp_path)
    assert ended.returncode == 130
    assert ended.stderr.startswith("Stopped. Resume with the same command: ")
    assert f"main.py {subcommand[0]} " in ended.stderr


def test_ctrl_c_while_the_first_modules_are_imported_is_one_line(tmp_path: Path) -> None:
    arguments = command(tmp_path, "", 4, killed_at=("import", "typer", 1), by=signal.SIGINT)
    ended = finish(arguments, tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "Stopped.\n")


def test_ctrl_c_stops_other_commands_in_one_line(tmp_path: Path) -> None:
    arguments = command(tmp_path, "http://127.0.0.1:9", 4, killed_at=("open", "rows.jsonl", 1), by=signal.SIGINT)
    arguments.insert(arguments.index("--name"), "preview")
    ended = finish(arguments, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Stopped.\n")


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, int]]:
    """The two ends of a terminal: what a person sees can be read from the first, a process writes to the second."""
    ours, theirs = os.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def screen(ours: int, until: bytes = b"\0 never") -> bytes:
    """What was written to the terminal, up to and with `until`, or until nobody has its other end open any more."""
    seen = b""
    while until not in seen:
        try:
            seen += os.read(ours, 65536)
        except OSError:
            break
    return seen


def test_a_signal_in_the_middle_of_a_long_pause_is_heard_at_once(tmp_path: Path) -> None:
    with server(script=["ok"] * 3 + ["rate_limit"] * 100, retry_after=600.0) as simulated, terminal(240) as ends:
        arguments = command(tmp_path, simulated.url, ROWS, config={"max_wait": 900.0})
        with start(arguments, tmp_path, stderr=ends[1], env=environment(TERM="xterm")) as process:
            os.close(ends[1])
            assert b"waiting until" in screen(ends[0], until=b"waiting until")
            process.send_signal(signal.SIGINT)
            screen(ends[0])
            process.wait(timeout=15)
    assert (process.returncode, states(tmp_path)) == (130, {OK: 3, PENDING: ROWS - 3})


def test_a_sleeping_laptop_times_no_call_out(tmp_path: Path) -> None:
    with server(latency=0.5) as simulated:
        watch = Watch(simulated)
        arguments = command(tmp_path, simulated.url, 24, config={"timeout": 3.0})
        with start(arguments, tmp_path) as process:
            wake = threading.Timer(MAX_GAP + 0.3, lambda: process.send_signal(signal.SIGCONT))

            def sleep() -> None:
                process.send_signal(signal.SIGSTOP)
                wake.start()

            watch.at("request", 12, sleep)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, watch.requests) == (0, 24), err


def test_the_clock_leaves_out_what_was_slept() -> None:
    time = [100.0]
    clock = AwakeClock(lambda: time[0])
    begin = clock()
    for _ in range(10):
        time[0] += 1.0
        clock()
    assert clock() - begin == 10.0
    time[0] += 26 * 3600.0
    assert clock() - begin == 11.0  # one second of it may have been work
    time[0] += MAX_GAP
    assert clock() - begin == 11.0 + MAX_GAP


def test_the_clock_never_goes_back() -> None:
    time = [0.0]
    clock = AwakeClock(lambda: time[0])
    seen = []
    for gap in (0.5, 3.9, 4.0, 4.1, 1000.0, 0.0, 5.0, 4.0001):
        time[0] += gap
        seen.append(clock())
    assert seen == sorted(seen)


@contextmanager
def nobody_reads() -> Iterator[int]:
    """The end of a pipe whose reader has gone."""
    theirs, ours = os.pipe()
    os.close(theirs)
    try:
        yield ours
    finally:
        os.close(ours)


@pytest.mark.parametrize("stream", ["stdout", "stderr", "both"])
def test_a_reader_that_has_gone_does_not_stop_a_run(tmp_path: Path, stream: str) -> None:
    with server() as simulated, nobody_reads() as pipe:
        gone: dict[str, Any] = {name: pipe for name in ("stdout", "stderr") if stream in (name, "both")}
        ended = finish(command(tmp_path, simulated.url, 4, "--json"), tmp_path, **gone)
    assert (ended.returncode, states(tmp_path)) == (0, {OK: 4})
    assert "Traceback" not in ended.stderr
    if stream == "stderr":
        assert json.loads(ended.stdout)["states"]["ok"] == 4


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2), (0, 1, 2)])
def test_closed_streams_do_not_stop_a_run_or_damage_its_files(tmp_path: Path, closed: tuple[int, ...]) -> None:
    with server() as simulated:
        arguments = command(tmp_path, simulated.url, 4, "--json")
        ended = finish(arguments, tmp_path, cold=len(closed) == 3, inherited={"closed": closed})
    assert ended.returncode == 0
    assert states(tmp_path) == {OK: 4}
    lines = (tmp_path / "output" / "Rows.rows" / "v1" / "pairs.jsonl").read_text("utf-8").splitlines()
    assert len([json.loads(line) for line in lines]) == 8


def test_a_stdout_that_can_not_be_written_is_reported(tmp_path: Path) -> None:
    with server() as simulated, Path("/dev/full").open("wb") as full:
        ended = finish(command(tmp_path, simulated.url, 4, "--json"), tmp_path, stdout=full)
    assert (ended.returncode, states(tmp_path)) == (5, {OK: 4})
    assert ended.stderr.splitlines()[-1] == "stdout can't be written: No space left on device."


@pytest.mark.parametrize("words", [["--help"], ["datasets"], ["preview"]], ids=" ".join)
def test_no_command_minds_what_stdout_is(tmp_path: Path, words: list[str]) -> None:
    """Read by nobody, closed, or a disk that is full."""
    given = command(tmp_path, "http://127.0.0.1:9", 4)
    options = given[2:] if words == ["preview"] else []
    arguments = [*given[:2], *words, *options]
    with nobody_reads() as pipe:
        gone = finish(arguments, tmp_path, stdout=pipe)
    closed = finish(arguments, tmp_path, inherited={"closed": [1]})
    assert [(ended.returncode, ended.stderr) for ended in (gone, closed)] == [(0, "")] * 2
    with Path("/dev/full").open("wb") as full:
        told = finish(arguments, tmp_path, stdout=full)
    assert (told.returncode, told.stderr) == (5, "stdout can't be written: No space left on device.\n")


LOUD = """
import os, subprocess
os.system("echo from the import")

def shout():
    subprocess.run(["echo", "from the hook"])
"""


def test_output_of_a_plugins_subprocesses_is_no_result(tmp_path: Path) -> None:
    plugin = tmp_path / "datasets" / "rows.py"
    plugin.parent.mkdir()
    source = (HERE / "plugins" / "rows.py").read_text("utf-8").replace("from syphus", f"{LOUD}\n\nfrom syphus", 1)
    plugin.write_text(
        f"{source}\n    def check_pairs(self, query, pairs):\n        shout()\n        return []\n", "utf-8"
    )
    with server() as simulated:
        arguments = command(tmp_path, simulated.url, 2, "--prompt-path", str(HERE / "prompts" / "rows.yaml"), "--json")
        arguments[arguments.index("--datasets-dir") + 1] = str(plugin.parent)
        ended = finish(arguments, tmp_path)
    assert json.loads(ended.stdout)["states"]["ok"] == 2
    assert {"from the import", "from the hook"} <= set(ended.stderr.splitlines())


FOREIGN = {
    "zh": "一只猫坐在垫子上",
    "ar": "القط على الحصيرة",
    "emoji": "the 🐈 sits on the 🧘 mat",
    "é": "un château fort",
}
ASCII = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_an_environment_that_knows_only_ascii_gets_readable_files(tmp_path: Path) -> None:
    folder = tmp_path / "ausgabe für 猫"
    folder.mkdir()
    with server(key="sk-canary-0123456789abcdef") as simulated:
        ended = finish(command(folder, simulated.url, FOREIGN), folder, env=environment(**ASCII))
        there = folder / "output" / "Rows.rows" / "v1"
        files = {name: (there / name).read_bytes() for name in ("pairs.jsonl", "RW_instructions.json")}
        plain = run_rows(folder, simulated.url, FOREIGN, dataset_version="plain")
    assert (ended.returncode, ended.stderr.isascii()) == (0, True), ended.stderr
    assert files == {name: (plain.folder / name).read_bytes() for name in files}
    for text in ("垫子", "الحصيرة", "🧘", "château"):
        assert text in files["pairs.jsonl"].decode("utf-8")


@pytest.mark.parametrize(("term", "columns", "escapes"), [("dumb", 80, False), ("xterm", 20, True), ("xterm", 1, True)])
def test_a_run_works_on_any_terminal(tmp_path: Path, term: str, columns: int, escapes: bool) -> None:
    with server() as simulated, terminal(columns) as ends:
        arguments = command(tmp_path, simulated.url, ROWS)
        with start(arguments, tmp_path, stdout=ends[1], stderr=ends[1], env=environment(TERM=term)) as process:
            os.close(ends[1])
            seen = screen(ends[0])
            process.wait(timeout=60)
    assert (process.returncode, states(tmp_path)) == (0, {OK: ROWS})
    assert (b"\x1b[" in seen) is escapes
    assert b"Traceback" not in seen


def limited(what: int, amount: int, hard: int | None = None) -> dict[str, Any]:
    return {"limits": [(what, amount, hard or amount)]}


def test_few_file_descriptors_mean_fewer_calls_in_flight_and_one_line(tmp_path: Path) -> None:
    with server(latency=0.5, rpm=1e6) as simulated:  # long enough for all that may be in flight to be sent
        arguments = [*command(tmp_path, simulated.url, 150), "--num_threads", "64"]
        ended = finish(arguments, tmp_path, inherited=limited(resource.RLIMIT_NOFILE, 64))
        assert 20 < simulated.stats.peak_in_flight < 50
        assert simulated.stats.requests == 150
    assert (ended.returncode, states(tmp_path)) == (0, {OK: 150}), ended.stderr
    told = [line for line in ended.stderr.splitlines() if "files may be open at once" in line]
    assert len(told) == 1
    assert re.fullmatch(r"Only 64 files may be open at once \(ulimit -n\): \d\d requests in flight, not 64\.", told[0])
    session = read_status(tmp_path / "output" / "Rows.rows" / "v1").sessions[0]
    assert f": {session.threads} requests in flight" in told[0]  # and no more than that can be lost to a crash


def test_a_limit_that_may_be_raised_is_raised_silently(tmp_path: Path) -> None:
    with server() as simulated:
        arguments = [*command(tmp_path, simulated.url, 150), "--num_threads", "64"]
        ended = finish(arguments, tmp_path, inherited=limited(resource.RLIMIT_NOFILE, 64, hard=256))
    assert (ended.returncode, "may be open" in ended.stderr) == (0, False)
    assert read_status(tmp_path / "output" / "Rows.rows" / "v1").sessions[0].threads == 64


def test_a_finite_address_space_is_enough(tmp_path: Path) -> None:
    with server() as simulated:
        arguments = command(tmp_path, simulated.url, 150)
        ended = finish(arguments, tmp_path, cold=True, inherited=limited(resource.RLIMIT_AS, 1 << 30))
    assert (ended.returncode, states(tmp_path)) == (0, {OK: 150}), ended.stderr


def test_a_pipe_to_head_takes_its_line_and_the_run_goes_on(tmp_path: Path) -> None:
    with server() as simulated:
        arguments = command(tmp_path, simulated.url, 4, "--json")
        shell = 'set -o pipefail; "$@" 2>&1 | head -n 1'
        warm = [sys.executable, str(HERE / "warm_python.py"), "call", server_address(), *arguments[1:]]
        piped = subprocess.run(
            ["bash", "-c", shell, "-", *warm], cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
    assert (piped.returncode, len(piped.stdout.splitlines()), piped.stderr) == (0, 1, "")
    assert states(tmp_path) == {OK: 4}
