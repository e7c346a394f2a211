"""The cold start around the main job, as a command in a process, killed and reviewed by a person at a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cold import bare_prompt, options, teachable, texts
from harness import HERE, Listener, write_rows
from processes import Watch, command, environment, finish, start, syphus

from syphus.cold_start.before_run import MIN_QUERIES_UNASKED
from syphus.cold_start.review import edit_text
from syphus.config.options import Options
from syphus.errors import ConfigError, SyphusError, UnsatisfactoryError
from syphus.formats.report import RunResult
from syphus.main_job import run, try_rows
from syphus.plugins.prompts import read_prompt, to_prompt_template
from syphus.runs.reader import RunReader, read_status
from syphus.types import State

ROWS = MIN_QUERIES_UNASKED + 10


def generate(given: Options) -> tuple[RunResult | SyphusError, list[str]]:
    """The main job, in this process."""
    listener = Listener()
    try:
        return run(given, {}, listener), listener.lines
    except SyphusError as error:
        return error, listener.lines


def finished(given: Options) -> RunResult:
    done, lines = generate(given)
    assert isinstance(done, RunResult), lines
    return done


def test_the_main_job_searches_for_examples_first_and_a_finished_run_sends_nothing(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint, rows=ROWS)
        done, lines = generate(given)
        assert isinstance(done, RunResult)
        assert done.exit_code == 0
        assert any("no in-context examples: searching for some first" in line for line in lines)
        assert any(f"{ROWS} queries, 3 in-context examples" in line for line in lines)
        (settings,) = done.report.settings
        prompt = to_prompt_template(read_prompt(given.folder / "prompt.yaml"), "p")
        text: Any = settings["prompt_text"]
        assert text["in_context"] == list(prompt.in_context)
        asked = endpoint.stats.requests
        again, lines = generate(given)
        assert isinstance(again, RunResult)
        assert (again.exit_code, endpoint.stats.requests) == (0, asked)
        assert lines[-1] == "Nothing to do: no request was sent."
        assert endpoint.stats.dup_after_ok <= 1  # a rejected answer is asked for once more


def test_few_queries_are_asked_without_and_never_is_never(tmp_path: Path) -> None:
    with teachable(obedience="form") as endpoint:
        _, lines = generate(options(tmp_path, endpoint, rows=12))
        assert any(
            "With only 12 different queries, the search is skipped (--cold-start always forces it)." in line
            for line in lines
        )
        assert endpoint.stats.requests == 12
        given = options(tmp_path, endpoint, rows=ROWS, cold_start="never", dataset_version="v2")
        assert finished(given).report.counts.total == ROWS
        assert not (given.folder / "prompt.yaml").exists()


def test_rows_that_are_all_the_same_are_asked_without(tmp_path: Path) -> None:
    with teachable(obedience="form") as endpoint:
        given = options(tmp_path, endpoint)
        write_rows(tmp_path / "rows.jsonl", {f"r{row}": "a cat sleeps on a sofa" for row in range(ROWS)})
        done, lines = generate(given)
    assert isinstance(done, RunResult), lines
    assert done.report.counts.total == ROWS
    assert any("With only 1 different query, the search is skipped." in line for line in lines)


def test_always_searches_for_few_queries_and_for_a_prompt_with_examples(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint, rows=60, cold_start="always", prompt_path="")
        assert finished(given).exit_code == 0
        assert len(to_prompt_template(read_prompt(given.folder / "prompt.yaml"), "p").in_context) == 6


def test_a_run_that_began_without_examples_continues_without_them(tmp_path: Path) -> None:
    with teachable(obedience="form") as endpoint:
        finished(options(tmp_path, endpoint, rows=8))
        done = finished(options(tmp_path, endpoint, rows=ROWS))
        assert done.report.counts.total == ROWS
        assert endpoint.stats.requests == ROWS


def test_nothing_is_generated_without_a_satisfactory_set_until_a_person_edits_the_prompt(tmp_path: Path) -> None:
    with teachable(obedience="never") as endpoint:
        given = options(tmp_path, endpoint, rows=ROWS)
        done, lines = generate(given)
        assert isinstance(done, RunResult)
        assert isinstance(done.stopped_by, UnsatisfactoryError)
        assert done.exit_code == 1
        assert done.report.counts.states["pending"] == ROWS  # type: ignore[index]  # a State is its text
        assert any(line.startswith("  missing: valid share") for line in lines)
        asked = endpoint.stats.requests
        assert finished(given).exit_code == 1
        assert endpoint.stats.requests == asked
        path = given.folder / "prompt.yaml"
        path.write_text(path.read_text("utf-8").replace("photo", "picture"), "utf-8")
        done, lines = generate(given)
        assert isinstance(done, RunResult)
        assert any("edited by hand" in line for line in lines)
        assert done.report.counts.states["ok"] > ROWS / 4  # type: ignore[index]
        text: Any = done.report.settings[0]["prompt_text"]
        assert "picture" in text["system_message"]


def cold_command(folder: Path, url: str, *flags: str) -> list[str]:
    """`cold-start` over 80 rows, as a command."""
    arguments = command(folder, url, texts(80), *flags, "--prompt-path", bare_prompt(folder))
    return [*arguments[:2], "cold-start", *arguments[2:], "--sample", "16", "--held-out", "24"]


def test_after_a_kill_at_any_step_the_same_command_ends_the_same_and_pays_almost_nothing_twice(tmp_path: Path) -> None:
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    calm.mkdir()
    torn.mkdir()
    with teachable() as endpoint:
        done = finish(cold_command(calm, endpoint.url), calm)
        assert done.returncode == 0, done.stderr
        wanted = (calm / "output/Rows.rows/v1/prompt.yaml").read_bytes()
    with teachable(latency=0.003) as endpoint:
        watch = Watch(endpoint)
        for answers in (7, 25):  # while it proposes, and while it proves
            with start(cold_command(torn, endpoint.url), torn) as process:
                watch.at("answer", answers, process.kill)
                process.communicate(timeout=60)
            assert process.returncode == -9
        done = finish(cold_command(torn, endpoint.url), torn)
        assert done.returncode == 0, done.stderr
        assert endpoint.stats.dup_after_ok <= 2 * 8
    assert (torn / "output/Rows.rows/v1/prompt.yaml").read_bytes() == wanted
    told = json.loads((torn / "output/Rows.rows/v1/cold_start.json").read_text("utf-8"))
    assert told["satisfactory"] is True


def test_a_person_reviews_at_a_terminal_with_an_editor(tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import sys, pathlib\npath = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text('utf-8').replace('Answer: ', 'Answer: Look, ', 1), 'utf-8')\n",
        "utf-8",
    )
    with teachable() as endpoint:
        arguments = cold_command(tmp_path, endpoint.url, "--review", "--rounds", "1")
        mine, theirs = pty.openpty()
        os.write(mine, b"x\na\nr\ne\n" + b"a\n" * 5)
        environ = environment(EDITOR=f"{sys.executable} {editor}", TERM="dumb")
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environ, stdin=theirs, capture_output=True, text=True, timeout=60, check=False
        )
        os.close(mine)
        os.close(theirs)
    assert done.returncode in (0, 1), done.stderr
    assert "--- example 1 of 3: query r" in done.stderr
    assert done.stderr.count("[a]ccept, [r]eject, [e]dit, [q]uit?") >= 4
    assert "Look, " in (tmp_path / "output/Rows.rows/v1/prompt.yaml").read_text("utf-8")


@pytest.mark.parametrize(("editor", "why"), [("false", "exit code 1"), ("no-editor", "No such file or directory")])
def test_an_editor_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, editor: str, why: str) -> None:
    monkeypatch.setenv("VISUAL", editor)
    with pytest.raises(ConfigError) as caught:
        edit_text("Question: Who?")
    assert str(caught.value) == f"The editor {editor!r} (VISUAL or EDITOR) failed: {why}."


def test_offline_a_new_user_sees_it_work(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts(60).items()), "utf-8")
    begun = ["cold-start", "--name", "Rows.rows", "-in", str(rows), "--offline", "--json"]
    done = syphus(tmp_path, *begun, "--datasets-dir", str(HERE / "plugins"), "--prompt-path", bare_prompt(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["satisfactory"] is True
    assert "cold start: 24 of 60 queries per round to choose from, 30 others to test with" in done.stderr
    assert "made-up text, not a model" in done.stderr
    assert read_status(tmp_path / "output/Rows.rows/v1").simulated


@pytest.mark.parametrize("mode", ["sometimes", ""])
def test_a_mode_that_there_is_not_is_refused(mode: str) -> None:
    with pytest.raises(SyphusError, match="must be auto, always or never"):
        Options(cold_start=mode)


def test_rows_are_tried_before_the_cold_start_and_asked_again_with_its_examples(tmp_path: Path) -> None:
    with teachable() as endpoint:
        given = options(tmp_path, endpoint, rows=ROWS)
        listener = Listener()
        tried = try_rows(given, 3, False, {}, listener)
        assert (len(tried.rows), tried.stopped_by, endpoint.stats.requests) == (3, None, tried.requests)
        assert any("These rows are asked without; the run begins with a search" in line for line in listener.lines)
        assert not any("searching for some first" in line for line in listener.lines)
        assert "try: starts" in (given.folder / "run.log").read_text()
        done, lines = generate(given)
        assert isinstance(done, RunResult)
        assert any("searching for some first" in line for line in lines)
        assert "Rows that were tried without examples are asked again: 3." in lines
        assert done.report.counts.states[State.PENDING] == 0
        with RunReader(given.folder) as reader:
            assert all(len(row.messages) == 7 for row in reader.rows())  # the newest prompt has three examples
        asked = endpoint.stats.requests
        finished(given)
        assert endpoint.stats.requests == asked


def test_rows_that_were_tried_are_kept_by_a_run_without_examples(tmp_path: Path) -> None:
    with teachable(obedience="form") as endpoint:
        given = options(tmp_path, endpoint, rows=ROWS)
        tried = try_rows(given, 3, False, {}, Listener())
        plain = replace(given, cold_start="never")
        assert finished(plain).report.spending.requests == ROWS + tried.requests - 3 == endpoint.stats.requests
        finished(given)  # it goes on as it began
        assert endpoint.stats.requests == ROWS + tried.requests - 3
