"""What is told to those who are not watching: run.log, --notify, and endpoints that fail or come back."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import KEY, Listener, run_rows, server

from syphus.pipeline.observer import Observer
from syphus.runs.run_log import Ending, RunLog, notify_end

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ ")


def log_lines(folder: Path) -> list[str]:
    """The lines of run.log without their times, which each must have."""
    lines = (folder / "run.log").read_text("utf-8").splitlines()
    assert all(STAMP.match(line) for line in lines)
    return [STAMP.sub("", line) for line in lines]


def test_the_log_has_start_settings_phases_and_end_of_each_session(tmp_path: Path) -> None:
    with server() as simulated:
        assert run_rows(tmp_path, simulated.url, 12, num_threads=1, max_requests=5).exit_code == 4
        ran = run_rows(tmp_path, simulated.url, 12)
    lines = log_lines(ran.folder)
    starts = [line for line in lines if line.startswith("main job: starts; Syphus ")]
    assert len(starts) == 2
    assert "chat at 127.0.0.1:" in starts[0]
    assert starts[0].endswith("1 in flight, max requests 5")
    assert [line for line in lines if line.startswith("settings: temperature 0.7")] != []
    assert [line for line in lines if line.startswith("queries: begins")] == [
        "queries: begins, 12 to go",
        "queries: begins, 7 to go",
    ]
    first, last = [line for line in lines if line.startswith("ends; ")]
    assert first.endswith("The budget of 5 requests is spent.")
    assert "done; 12 ok" in last
    assert KEY not in (ran.folder / "run.log").read_text("utf-8")


def test_a_run_with_nothing_to_do_logs_nothing(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 3)
        before = (ran.folder / "run.log").read_bytes()
        run_rows(tmp_path, simulated.url, 3)
    assert (ran.folder / "run.log").read_bytes() == before


def test_the_log_is_bounded_and_has_no_secrets(tmp_path: Path) -> None:
    log = RunLog(tmp_path, Observer(), lambda text: text.replace(KEY, "***"), most=2_000)
    log._open()
    for number in range(500):
        log.event(f"line {number} {KEY}\x1b[2J\nforged")
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["run.log", "run.log.old"]
    assert all((tmp_path / name).stat().st_size <= 2_000 for name in files)
    text = (tmp_path / "run.log").read_text("utf-8")
    assert KEY not in text
    assert "\x1b" not in text
    assert text.splitlines()[-1].endswith("line 499 *** [2J forged")


# Endpoints that fail, or come back


class EventListener(Listener):
    """Keeps events apart from other lines."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def event(self, line: str) -> None:
        self.events.append(line)


def test_an_endpoint_that_is_left_out_is_reported_at_once(tmp_path: Path) -> None:
    listener = EventListener()
    with server(key="another") as wrong, server() as good:
        servers = {"us": wrong, "eu": good}
        endpoints = [{"name": name, "base_url": each.url, "api_key": KEY} for name, each in servers.items()]
        ran = run_rows(tmp_path, "", 30, {"endpoints": endpoints}, observer=listener)
    assert ran.exit_code == 0
    (event,) = listener.events
    assert event.startswith("us is left out: ")
    assert event.endswith(" eu continues.")
    assert event in log_lines(ran.folder)


def test_an_endpoint_that_goes_down_and_comes_back_is_reported(tmp_path: Path) -> None:
    listener = EventListener()
    script = ["ok"] * 5 + ["server_error"] * 7
    with server(script=script) as simulated:
        ran = run_rows(tmp_path, simulated.url, 40, {"max_attempts": 9}, observer=listener)
    assert ran.exit_code == 0
    assert len(listener.events) == 2
    assert "is down: server error 500. It is tried again at intervals." in listener.events[0]
    assert "answers again, after " in listener.events[1]


# --notify


def write_script(folder: Path, body: str) -> str:
    """A command that runs this Python code."""
    script = folder / "notified.py"
    script.write_text(body, "utf-8")
    return shlex.join([sys.executable, str(script)])


def test_a_command_hears_of_the_end_by_arguments_environment_and_stdin(tmp_path: Path) -> None:
    heard = tmp_path / "heard.json"
    command = write_script(
        tmp_path,
        "import json, os, sys\n"
        f"json.dump([sys.argv[1:], dict(os.environ), json.load(sys.stdin)], open({str(heard)!r}, 'w'))\n",
    )
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 4, notify=f"{command} {{state}} '{{message}}; $(rm -rf x)'")
    arguments, environ, values = json.loads(heard.read_text("utf-8"))
    assert ran.exit_code == 0
    assert arguments[0] == "done"
    assert arguments[1].endswith("; $(rm -rf x)")
    assert "4 ok" in arguments[1]
    assert (environ["SYPHUS_STATE"], environ["SYPHUS_OK"], environ["SYPHUS_COST"]) == ("done", "4", "0.0")
    assert (values["folder"], values["exit_code"], values["ok"]) == (str(ran.folder), 0, 4)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import sys; sys.exit('no such channel')", "ended with code 1: no such channel."),
        ("import time; time.sleep(60)", "did not end within 0.5 s, and was given up."),
    ],
)
def test_a_command_that_fails_or_hangs_is_one_line(tmp_path: Path, body: str, said: str) -> None:
    listener = Listener()
    notify_end(write_script(tmp_path, body), Ending(tmp_path, None, None, 0), listener, seconds=0.5)
    (line,) = listener.lines
    assert line.startswith("--notify: ")
    assert line.endswith(said)


@pytest.mark.parametrize("command", ["no-such-program {state}", "'open"])
def test_a_command_that_cannot_be_found_is_said_at_once_and_changes_nothing(tmp_path: Path, command: str) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, notify=command)
    assert ran.exit_code == 0
    assert ran.lines[0].endswith("no notification will be sent.")


def test_a_stop_is_notified_with_its_reason(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    command = write_script(tmp_path, f"import sys; open({str(heard)!r}, 'w').write(sys.argv[1])")
    given: dict[str, Any] = {"notify": f"{command} '{{state}}: {{reason}}'", "num_threads": 1}
    with server() as simulated:
        run_rows(tmp_path, simulated.url, 4, max_requests=2, **given)
    assert heard.read_text("utf-8") == "stopped: The budget of 2 requests is spent."


def test_what_a_server_has_said_never_becomes_code(tmp_path: Path) -> None:
    hint = '--notify: nothing is replaced in code. Use "$SYPHUS_MESSAGE" instead of {message}, and so on.'
    heard = tmp_path / "heard"
    command = f'sh -c \'echo "{{message}}" "$SYPHUS_STATE" > {heard}\''
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, notify=command)
    assert hint in ran.lines
    assert heard.read_text("utf-8") == "{message} done\n"
