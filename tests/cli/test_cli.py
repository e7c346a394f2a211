"""The command line as people type it: real processes, their exit codes, and what is on which stream."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, KEY, server, write_config, write_rows
from processes import MAIN, environment, finish, start, syphus, typed
from wire import completion, in_thread, reply, serving

from syphus.config.environment import DEFAULT_MODEL
from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.simulator import SimulatedServer

TYPED = typed(str(MAIN))
Done = subprocess.CompletedProcess[str]

PLUGINS = str(HERE / "plugins")
BY_NAME = ("--name", "Rows.rows", "--datasets-dir", PLUGINS)
ROWS = (*BY_NAME, "-in", "rows.jsonl")
POISON = {"UNREADABLE": "unpaired", "TOO LONG": "context_length"}


def cli(folder: Path, *arguments: str, **environ: str) -> Done:
    return syphus(folder, *arguments, env=environment(**environ))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[SimulatedServer]:
    """One simulated endpoint for the whole file."""
    with server(poison=POISON) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, endpoint: SimulatedServer) -> Path:
    """A current folder with ten rows and a config."""
    write_rows(tmp_path / "rows.jsonl", 10)
    write_config(tmp_path / "config.json", endpoint.url)
    return tmp_path


def ids(folder: Path, version: str = "v1") -> list[str]:
    """The queries of a run, in the order of the input."""
    db = sqlite3.connect(folder / "output" / "Rows.rows" / version / "run.sqlite")
    found = [name for (name,) in db.execute("SELECT id FROM query WHERE position IS NOT NULL ORDER BY position")]
    db.close()
    return found


def report(folder: Path, *options: str) -> Any:
    """The report of a run that must end well."""
    done = cli(folder, *ROWS, "--config", "config.json", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# How it can be spelt


@pytest.mark.parametrize(
    "spelling",
    [
        ("-in", "rows.jsonl", "--slice_start", "7", "--dataset_version", "v2"),
        ("--query_inputs_path", "rows.jsonl", "--slice-start", "7", "--dataset-version", "v2"),
        ("--query-inputs-path=rows.jsonl", "--slice_start=7", "--dataset_version=v2"),
    ],
    ids=["original", "mixed", "with equals signs"],
)
def test_options_can_be_spelt_with_dashes_and_with_underscores(folder: Path, spelling: tuple[str, ...]) -> None:
    done = cli(folder, "preview", *BY_NAME, *spelling, "-n", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("=== r007\n")


def test_both_orders_of_the_name_are_the_same_run(folder: Path) -> None:
    report(folder)
    done = cli(folder, "--name", "rows.Rows", *ROWS[2:], "--config", "config.json", "--json")
    assert (done.returncode, len(json.loads(done.stdout)["sessions"])) == (0, 1)
    assert [path.name for path in (folder / "output").iterdir()] == ["Rows.rows"]


# Which rows are taken


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        (("--slice_start", "8"), range(8, 10)),
        (("--slice_end", "3"), range(3)),
        (("--slice_start", "4", "--slice_end", "6"), range(4, 6)),
        (("--slice_start", "9", "--slice_end", "-1"), range(9, 10)),
    ],
    ids=["start", "end", "both", "minus one is the end"],
)
def test_a_slice_takes_its_rows(folder: Path, options: tuple[str, ...], taken: range) -> None:
    assert report(folder, *options)["queries"] == len(taken)
    assert ids(folder) == [f"r{number:03d}" for number in taken]


def test_a_random_sample_is_the_same_for_the_same_seed_and_another_for_another(folder: Path) -> None:
    sample = ("--random_sample", "--slice_end", "4")
    for version, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        report(folder, *sample, "--seed", seed, "--dataset_version", version)
    assert len(ids(folder, "a")) == 4
    assert ids(folder, "a") == ids(folder, "b") != ids(folder, "c")
    assert ids(folder, "a") != [f"r{number:03d}" for number in range(4)]


@pytest.mark.parametrize(
    "option",
    [
        {"num_threads": -1}, {"slice_start": -1}, {"slice_end": -2}, {"max_requests": -1}, {"max_cost": math.nan},
        {"max_cost": math.inf}, {"max_rounds": -1}, {"drain": -0.5}, {"requests_per_minute": 0},
        {"tokens_per_minute": math.nan},
    ],
    ids=str,
)  # fmt: skip
def test_a_number_that_makes_no_sense_is_reported_with_its_option(option: dict[str, Any]) -> None:
    ((name, value),) = option.items()
    with pytest.raises(ConfigError, match=rf"^--{name.replace('_', '-')} {value}: must be (at least|more than) -?\d"):
        Options(**option)


def test_no_threads_are_one_as_in_the_original(folder: Path) -> None:
    assert [session["threads"] for session in report(folder, "--num_threads", "0")["sessions"]] == [1]


# Results, and what is said about them


def test_the_report_is_on_stdout_in_the_file_and_in_status(folder: Path) -> None:
    done = cli(folder, *ROWS, "--offline", "--json")
    run = folder / "output" / "Rows.rows" / "v1"
    assert json.loads(done.stdout) == json.loads((run / "report.json").read_text("utf-8"))
    assert done.stdout == cli(folder, "status", str(run), "--json").stdout
    assert "10 queries = 10 ok + 0 invalid + 0 truncated + 0 refused + 0 failed + 0 pending" in done.stderr


def test_without_json_nothing_is_on_stdout(folder: Path) -> None:
    done = cli(folder, *ROWS, "--offline")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0] == (
        "Rows.rows v1: 10 queries, 1 in-context example, chat at the simulated endpoint (made-up text, not a model)"
    )
    files = "RW_instructions.json, RW_train.json, pairs.jsonl, report.json"
    assert done.stderr.splitlines()[-1] == f"Files in output/Rows.rows/v1: {files}"


def test_datasets_are_listed_as_text_and_as_json_and_a_broken_one_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("from syphus import AbstractDataset\n\nclass Torn(AbstractDataset:\n", "utf-8")
    text = cli(tmp_path, "datasets", "--datasets-dir", str(tmp_path))
    every = json.loads(cli(tmp_path, "datasets", "--datasets-dir", str(tmp_path), "--json").stdout)
    listed = {plugin["name"]: plugin["error"] for plugin in every}
    assert (text.returncode, text.stderr) == (0, "")
    assert listed["SpotTheDifference.change"] == ""
    broken = next(error for error in listed.values() if error)
    assert re.match(r"broken\.py:3 SyntaxError: ", broken)
    assert broken[:60] in text.stdout
    assert "SpotTheDifference.change" in text.stdout


@pytest.mark.parametrize(
    "command", [[], ["datasets"], ["export"], ["preview"], ["status"], ["simulate"], ["verify"]], ids=" ".join
)
def test_help_is_a_result(tmp_path: Path, command: list[str]) -> None:
    for flag in ("--help",) if command else ("--help", "-h"):
        done = cli(tmp_path, *command, flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Usage: {' '.join(['main.py', *command])} ")


def test_the_simulated_settings_are_listed_as_a_result(tmp_path: Path) -> None:
    done = cli(tmp_path, "simulate", "--set", "help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  rpm=0.0\n" in done.stdout
    assert re.search(r"^  content_filter +400 content_filter of Azure", done.stdout, re.MULTILINE)


# Exit codes, and how to go on


def again(done: Done) -> list[str]:
    """The command that the last line tells to type, without `python main.py`."""
    command = done.stderr.splitlines()[-1].partition(f"{typed(str(MAIN))} ")[2]
    assert command, done.stderr
    return command.split()


def test_rows_that_are_not_ok_end_with_1_and_are_asked_again_on_request(
    folder: Path, endpoint: SimulatedServer
) -> None:
    write_rows(folder / "rows.jsonl", ["a cat sits", "UNREADABLE dog", "TOO LONG story"])
    done = cli(folder, *ROWS, "--config", "config.json")
    assert done.returncode == 1
    assert "3 queries = 1 ok + 1 invalid + 0 truncated + 0 refused + 1 failed + 0 pending" in done.stderr
    assert "invalid   1 question without an answer\n" in done.stderr
    assert again(done)[-2:] == ["--retry", "invalid,failed"]
    before = endpoint.stats.requests
    repeated = cli(folder, *again(done))
    # One row fails. The other gets the old answer again, which is free, and two corrections: --max-rounds is 1
    assert endpoint.stats.requests - before == 4
    assert "Rows to retry (invalid, failed): 2." in repeated.stderr
    assert again(repeated).count("--retry") == 1
    cli(folder, *ROWS, "--config", "config.json")
    assert endpoint.stats.requests - before == 4


def test_what_was_asked_again_is_not_asked_once_more_by_the_command_that_goes_on(folder: Path) -> None:
    write_rows(folder / "rows.jsonl", ["UNREADABLE cat", "UNREADABLE dog", "a bird sits"])
    command = (*ROWS, "--config", "config.json", "--max_rounds", "0")
    assert cli(folder, *command).returncode == 1  # after three requests
    stopped = cli(folder, *command, "--max_requests", "4", "--retry", "failed, invalid")
    assert stopped.returncode == 4
    assert "1 ok + 1 invalid + 0 truncated + 0 refused + 0 failed + 1 pending" in stopped.stderr
    assert again(stopped) == [*command, "--max-requests", "N"]


def test_a_refused_key_ends_with_3_and_the_same_command_goes_on_with_a_good_one(folder: Path) -> None:
    with server(key="sk-the-right-one") as picky:
        wrong = cli(folder, *ROWS, "--model", "m", OPENAI_BASE_URL=picky.url, OPENAI_API_KEY=KEY)
        assert wrong.returncode == 3
        assert "10 queries = 0 ok + 0 invalid + 0 truncated + 0 refused + 0 failed + 10 pending" in wrong.stderr
        assert (
            "(401 invalid_api_key) refused the key. Set another key, then run the same command again.\n" in wrong.stderr
        )
        assert KEY not in wrong.stderr + wrong.stdout
        assert picky.stats.requests == 3  # a key is refused, and not one row, once three rows are refused alike
        right = cli(folder, *again(wrong), OPENAI_BASE_URL=picky.url, OPENAI_API_KEY="sk-the-right-one")
        assert right.returncode == 0


def test_a_budget_of_requests_ends_with_4_and_a_higher_one_goes_on(folder: Path, endpoint: SimulatedServer) -> None:
    before = endpoint.stats.requests
    first = cli(folder, *ROWS, "--config", "config.json", "--max_requests", "4")
    assert first.returncode == 4
    assert "The budget of 4 requests is spent." in first.stderr
    assert "10 queries = 4 ok + 0 invalid + 0 truncated + 0 refused + 0 failed + 6 pending" in first.stderr
    assert first.stderr.splitlines()[-1].startswith("To continue, raise the budget: ")
    assert again(first)[-4:] == ["--config", "config.json", "--max-requests", "N"]
    assert cli(folder, *again(first)[:-1], "4").returncode == 4
    assert endpoint.stats.requests - before == 4
    assert cli(folder, *again(first)[:-1], "10").returncode == 0
    assert endpoint.stats.requests - before == 10


def test_a_budget_of_dollars_holds_over_all_sessions(folder: Path) -> None:
    """An answer has 120 tokens at 1,000 dollars a million: 12 cents."""
    prices = {"gpt-own": {"input": 1000, "output": 1000}}
    with in_thread(lambda: serving(lambda _: reply(completion(model="gpt-own")))) as wire:
        settings = {"model": "gpt-own", "prices": prices, "max_tokens": 100}
        write_config(folder / "config.json", f"{wire.url}/v1", **settings)
        command = (*ROWS, "--config", "config.json", "--num_threads", "1")
        first = cli(folder, *command, "--max_cost", "0.80")
        spent = len(wire.seen)
        second = cli(folder, *command, "--max_cost", "0.80")
        assert (first.returncode, second.returncode, len(wire.seen)) == (4, 4, spent)
        assert 0 < spent * 0.12 <= 0.80
        assert "more than what is left of the budget of $0.8" in second.stderr
        last = cli(folder, *command, "--max_cost", "3", "--json")
        assert (last.returncode, len(wire.seen)) == (0, 10)
        assert json.loads(last.stdout)["cost"] == pytest.approx(1.20)


# What is wrong is one line


def one_line(done: Done) -> str:
    """What a command says that can't do its work: exit 2, one line on stderr, nothing on stdout."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


R = f"{shlex.join(BY_NAME)} -in rows.jsonl"
SD = "--name SpotTheDifference.change"

#: What is typed, and what is said to it; "..." stands for the rest of the line.
WRONG = {
    "": "Which dataset? Add --name; the command `datasets` lists them.",
    "--name SpotTheDiff.change": 'there is no dataset "SpotTheDiff.change"; did you mean SpotTheDifference.change ...',
    f"{SD} -in nope.json --offline": "nope.json: no such file; name the annotations with --query_inputs_path (-in)",
    f"{R} -in bad.jsonl --offline": "bad.jsonl: record 2 (line 2): ...",
    f"{SD} -in short.json --offline": 'short.json: record 2 (line 3): no "sentences"; it has img_id. To count ...',
    f"{R} -in empty.jsonl --offline": "empty.jsonl holds no queries. Nothing was sent.",
    f"{R} --offline --slice_end 0": "--slice-start 0 and --slice-end 0 leave none of the 10 rows. Nothing was sent.",
    f"{R} --offline --slice_start 6 --slice_end 6": (
        "--slice-start 6 and --slice-end 6 leave none of the 10 rows. Nothing was sent."
    ),
    R: (
        "No endpoint is configured. Set OPENAI_API_KEY (and OPENAI_BASE_URL for another server), "
        "or try the whole pipeline with --offline."
    ),
    f"{R} --config config.json --max-cost 1": (
        "--max-cost needs the price of chat, which is not known. "
        "Add it under `prices:` in a --config file, or use --max-requests."
    ),
    f"{R} --frob": f"There is no option --frob. See {TYPED} --help.",
    "--name": f"Option '--name' requires an argument. See {TYPED} --help.",
    f"{R} --num_threads many": f"--num-threads many: must be a whole number. See {TYPED} --help.",
    f"{R} --num_threads -3": "--num-threads -3: must be at least 0.",
    f"{R} --offline --temperature 9": "--temperature should be less than or equal to 2",
    "preveiw": f"No such command 'preveiw'. Did you mean 'preview'? See {TYPED} --help.",
    "frobnicate": f"No such command 'frobnicate'. See {TYPED} --help.",
    "--offline preview": f"Put options after the command: {TYPED} preview ...",
    f"{R} --offline --retry invalid,broken": "--retry broken: must be failed, invalid, refused, truncated or all.",
    f"{SD} --example -in x.json --offline": "--example and --query_inputs_path both name an input; use one of them.",
    f"{R} -in '' --example --offline": "Rows.rows ships no example input.",
    "--name Torn.torn --datasets-dir . --offline": "torn.py can't be loaded: torn.py:1 ZeroDivisionError: ...",
    f"{R} --offline --datasets-dir nope": "there is no folder nope to look for datasets in",
    f"{R} --offline --prompt_path nope.yaml": "nope.yaml: No such file or directory",
    f"{R} --config nope.yaml": "nope.yaml: No such file or directory",
    f"{R} --config bad.yaml": "bad.yaml:2:1: ...",
    f"{R} --config odd.yaml": 'odd.yaml: modell is not a setting; did you mean "model"?',
    f"{R} --offline --config limit.yaml": (
        "limit.yaml: requests_per_minute is not a setting; write it as endpoint: {requests_per_minute: ...}"
    ),
    f"{R} --offline --dataset_version a/b": "--dataset_version 'a/b': it names a folder; ...",
    "status .": ". is not a run: it has no run.sqlite.",
    "status": f"Missing argument 'FOLDER'. See {TYPED} status --help.",
    "simulate --set rmp=60": "There is no setting 'rmp'. Known settings: seed, ...",
    "simulate --set rpm": "--set rpm: must be NAME=VALUE; `--set help` lists the names.",
    "simulate --set rpm=fast": "rpm=fast can't be parsed as float.",
    "simulate --set script=earthquake": "There is no fault 'earthquake'. Known faults: ...",
}


@pytest.mark.parametrize("typed", WRONG, ids=lambda typed: typed.replace(R, "Rows").replace(SD, "SD") or "nothing")
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(
    folder: Path, typed: str, endpoint: SimulatedServer
) -> None:
    (folder / "bad.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": "b\n', "utf-8")
    (folder / "short.json").write_text('[\n {"img_id": "1", "sentences": ["a"]},\n {"img_id": "2"}\n]', "utf-8")
    (folder / "empty.jsonl").write_text("\n", "utf-8")
    (folder / "torn.py").write_text("1 / 0  # AbstractDataset\n", "utf-8")
    (folder / "bad.yaml").write_text("a: [\n", "utf-8")
    (folder / "limit.yaml").write_text("requests_per_minute: 60\n", "utf-8")
    (folder / "odd.yaml").write_text("modell: x\nendpoint: {api_key: x}\nmodel: m\n", "utf-8")
    before = endpoint.stats.requests
    line, said = one_line(cli(folder, *shlex.split(typed))), WRONG[typed]
    assert line == said or (said.endswith("...") and line.startswith(said.removesuffix("...")))
    assert endpoint.stats.requests == before
    assert not (folder / "output").exists()


@pytest.mark.parametrize("empty", [("--slice_start", "6", "--slice_end", "6"), ("--slice_end", "0")], ids=" ".join)
def test_an_empty_slice_is_refused_in_an_old_run_as_in_a_new_one(folder: Path, empty: tuple[str, ...]) -> None:
    said = one_line(cli(folder, *ROWS, "--offline", *empty))
    assert said.endswith("leave none of the 10 rows. Nothing was sent.")
    assert not (folder / "output").exists()
    cli(folder, *ROWS, "--offline")
    before = {path: path.read_bytes() for path in folder.glob("output/*/*/*")}
    assert one_line(cli(folder, *ROWS, "--offline", *empty)) == said
    assert {path: path.read_bytes() for path in folder.glob("output/*/*/*")} == before


def test_a_refusal_removes_no_folder_that_was_there(folder: Path) -> None:
    (folder / "output" / "Rows.rows" / "v1").mkdir(parents=True)
    one_line(cli(folder, *ROWS, "--offline", "--slice_start", "10"))
    assert (folder / "output" / "Rows.rows" / "v1").is_dir()
    one_line(cli(folder, *ROWS, "--offline", "--slice_start", "10", "--dataset_version", "v2"))
    assert not (folder / "output" / "Rows.rows" / "v2").exists()


# Commands that need nothing and change nothing


@pytest.mark.parametrize(
    "options",
    [("--slice_end", "1"), ("--slice_start", "7"), ("--random_sample", "--slice_end", "2"), ("--allow_bad_rows",)],
    ids=" ".join,
)
def test_preview_shows_the_rows_that_a_run_takes(folder: Path, options: tuple[str, ...]) -> None:
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as rows:
        rows.write("no JSON\n" if "--allow_bad_rows" in options else "")
    done = cli(folder, "preview", *ROWS, *options, "-n", "99")
    assert done.returncode == 0, done.stderr
    cli(folder, *ROWS, "--offline", *options)
    assert re.findall(r"^=== (.+)", done.stdout, re.MULTILINE) == ids(folder)


def test_preview_shows_the_messages_and_sends_and_writes_nothing(folder: Path, endpoint: SimulatedServer) -> None:
    before, files = endpoint.stats.requests, sorted(folder.iterdir())
    without = cli(folder, "preview", *ROWS, "-n", "2")
    done = cli(folder, "preview", *ROWS, "-n", "2", OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="some-model")
    assert (without.returncode, done.returncode, done.stderr) == (0, 0, "")
    assert re.findall(r"^=== (.+)$", done.stdout, re.MULTILINE) == ["r000", "r001"]
    assert (
        re.findall(r"^--- (system|user|assistant)$", done.stdout, re.MULTILINE)
        == ["system", "user", "assistant", "user"] * 2
    )
    assert '"model":"some-model"' in done.stdout
    assert without.stdout.partition("--- {")[0] == done.stdout.partition("--- {")[0]
    assert "\nshortest: " in done.stdout
    assert f"\n10 rows in all, with {DEFAULT_MODEL}: about " in without.stdout
    assert "out, cost unknown (no price for this model)" in done.stdout
    assert (endpoint.stats.requests, sorted(folder.iterdir())) == (before, files)


def test_preview_gives_the_messages_to_programs(folder: Path) -> None:
    (folder / "rows.jsonl").write_text('{"id": "a", "text": "a cat sits"}\n{"id": "b", "text": ""}\n', "utf-8")
    done = cli(folder, "preview", *ROWS, "--json", OPENAI_API_KEY=KEY, OPENAI_MODEL="some-model")
    asked, empty = json.loads(done.stdout)
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "assistant", "user"]
    assert (asked["id"], asked["messages"][-1]["content"], asked["problem"]) == ("a", "a cat sits", "")
    assert (asked["parameters"]["model"], asked["tokens"] > 10) == ("some-model", True)
    assert (empty["id"], empty["messages"], empty["problem"]) == ("b", [], "the annotation is empty")


def test_preview_of_nothing_says_so(folder: Path) -> None:
    assert one_line(cli(folder, "preview", *ROWS, "--slice-start", "99")).startswith("--slice-start 99 and ")
    (folder / "rows.jsonl").write_text("", "utf-8")
    assert "rows.jsonl" in one_line(cli(folder, "preview", *ROWS))


def test_preview_says_of_pairs_that_are_there_that_nobody_is_asked(tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A cup."}]
    source.write_text(json.dumps([{"id": "1", "conversations": turns}]), "utf-8")
    done = cli(tmp_path, "preview", "--name", "LlavaReasoning.llava", "-in", str(source))
    assert done.stdout.startswith("=== 000000000001\nnot sent: the row already has its pairs\n")


def test_preview_shows_bad_rows_where_they_are_allowed(folder: Path) -> None:
    (folder / "rows.jsonl").write_text('{"id": "a", "text": "a cat sits"}\n{"id": "b"}\n', "utf-8")
    assert one_line(cli(folder, "preview", *ROWS, "--slice-start", "1")).startswith("rows.jsonl: record 2 (line 2): ")
    shown = cli(folder, "preview", *ROWS, "--allow-bad-rows").stdout
    assert '=== bad row 2\nnot sent: bad row: rows.jsonl: record 2 (line 2): no "text"; it has id' in shown


@pytest.mark.parametrize("on_path", [True, False])
def test_what_is_reported_to_be_typed_can_be_typed(folder: Path, on_path: bool) -> None:
    """Also where `python` is another Python, or none."""
    programs = folder / "bin"
    programs.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}" if on_path else f"{programs}:/bin:/usr/bin"
    if on_path and shutil.which("python", path=path) != sys.executable:
        pytest.skip("this Python is not called python")
    (programs / "python").write_text("#!/bin/sh\nexit 42\n", "utf-8")
    (programs / "python").chmod(0o755)
    stopped = cli(folder, *ROWS, "--config", "config.json", "--max-requests", "4", PATH=path)
    told = stopped.stderr.splitlines()[-1].partition("raise the budget: ")[2]
    assert told.startswith("python " if on_path else f"{sys.executable} ")
    typed_in = subprocess.run(
        ["bash", "-c", told.removesuffix("N") + "10"],
        cwd=folder,
        env=environment(PATH=path),
        capture_output=True,
        check=False,
    )
    assert typed_in.returncode == 0, typed_in.stderr


def test_a_dependency_that_is_missing_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = finish([sys.executable, "-S", str(MAIN), "--help"], tmp_path)  # -S: without installed packages
    assert re.fullmatch(
        rf"\w+ is not installed for {re.escape(sys.executable)}\. `make demo` sets everything up in \.venv; "
        r"then type: \. \.venv/bin/activate",
        one_line(done),
    )


def test_the_simulated_endpoint_runs_alone_and_answers_any_client(tmp_path: Path) -> None:
    with start(
        [sys.executable, str(MAIN), "simulate", "--port", "0", "--set", "script=rate_limit", "--set", "sloppiness=0"],
        tmp_path,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        url = re.search(r"OPENAI_BASE_URL=(\S+)", said)
        assert url is not None, said
        messages = [
            {"role": "system", "content": "Question: Answer:"},
            {"role": "user", "content": "a cat sits on a mat"},
        ]
        request = urllib.request.Request(
            f"{url[1]}/chat/completions",
            json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode(),
            {"Content-Type": "application/json", "Authorization": "Bearer any"},
        )
        with pytest.raises(urllib.error.HTTPError) as limited:
            urllib.request.urlopen(request)
        limited.value.close()
        assert limited.value.code == 429
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        assert answer["model"] == "simulated-gpt-4o-mini"
        assert "Question:" in answer["choices"][0]["message"]["content"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = one_line(cli(tmp_path, "simulate", "--port", port))
    assert line.startswith(f"Port {port} of 127.0.0.1 can't be used (")
    assert line.endswith("Choose another with --port.")
