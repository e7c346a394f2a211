"""Looking at a run, while it works and afterwards: `status`, and everything about one query."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, KEY, Ran, run_rows, server
from processes import command, start, syphus

from syphus.cli.run_commands import status_lines
from syphus.cli.summary import run_summary
from syphus.config.settings import load_config
from syphus.endpoints.request import RequestBuilder
from syphus.errors import InputError, RunError
from syphus.formats.report import RunResult, as_json
from syphus.plugins.contract import load_prompt_template
from syphus.plugins.discovery import find_plugin
from syphus.plugins.prompts import prompt_digest, render_messages
from syphus.runs.reader import read_query, read_status
from syphus.runs.run_settings import sampling_settings
from syphus.types import State
from syphus.version import __version__


def status(folder: Path, *options: str) -> list[str]:
    """What `status` prints about a run."""
    done = syphus(folder, "status", str(folder), *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run in which everything has happened: rows in all states, over two sessions."""
    poison = {"UNREADABLE": "unpaired", "TOO LONG": "context_length", "CUT": "truncated", "BAD": "content_filter"}
    texts = ["a cat sits", "a cat sits", "UNREADABLE dog", "TOO LONG tale", "CUT short", "BAD thing", "a man", "a door"]
    folder = tmp_path_factory.mktemp("mixed")
    with server(poison=poison, poison_once={"a man": "server_error"}) as simulated:
        first = run_rows(folder, simulated.url, texts, num_threads=1, max_requests=3)
        assert first.exit_code == 4
        return run_rows(folder, simulated.url, texts, num_threads=1, max_requests=9)


def test_the_states_add_up_and_say_what_is_behind_them(mixed: Ran) -> None:
    assert mixed.exit_code == 4
    states = "8 queries = 3 ok + 1 invalid + 1 truncated + 1 refused + 1 failed + 1 pending"
    errors = "1 content filter on the prompt (violence: high), 1 context too long, 1 server error 500"
    assert status(mixed.folder) == [
        f"{states}    {mixed.report.counts.pairs} pairs    $0.00 over 2 sessions",
        "invalid   1 question without an answer",
        "truncated 1 cut off at max_tokens",
        "refused   1 content filter on the prompt (violence: high)",
        "failed    1 context too long",
        "1 query shares the answer of an identical query.",
        "Answered by the simulated endpoint: made-up text, not a model.",
        "Each accepted pair: 114 tokens, 1.80 requests (generation 33%, answers without pairs 67%)",
        f"9 requests; without an answer: {errors}",
        "The last session ended: The budget of 9 requests is spent.",
        f"Look at them: syphus rows {mixed.folder} --state invalid,truncated,refused,failed",
        f"Resume it: syphus resume {mixed.folder} --max-requests N",
        "To retry them, add --retry invalid,failed to the run's command.",
    ]


def test_the_json_is_the_report(mixed: Ran) -> None:
    told = json.loads("\n".join(status(mixed.folder, "--json")))
    assert told == json.loads((mixed.folder / "report.json").read_text("utf-8")) == as_json(mixed.report)
    assert told["queries"] == sum(told["states"].values()) == 8
    assert sum(told["requests_by_outcome"].values()) == told["requests"] == 9
    assert sum(session["seconds"] for session in told["sessions"]) == pytest.approx(told["seconds"], abs=0.01)


def test_looking_changes_nothing(mixed: Ran) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in mixed.folder.iterdir()}
    status(mixed.folder)
    status(mixed.folder, "--query", "r000", "--json")
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in mixed.folder.iterdir()} == before


def test_a_run_can_be_looked_at_while_it_works(tmp_path: Path) -> None:
    """One row never gets an answer, the others do; each look takes long enough to wait for them."""
    run = tmp_path / "output" / "Rows.rows" / "v1"
    with server(poison={"HANG": "hang"}) as simulated:
        arguments = command(tmp_path, simulated.url, ["one", "two", "HANG", "four"], config={"timeout": 60.0})
        with start(arguments, tmp_path) as process:
            lines = [""]
            while process.poll() is None and not lines[0].startswith("4 queries = 3 ok"):
                lines = status(run) if (run / "pairs.jsonl").exists() else [""]
            assert process.poll() is None
            assert "+ 1 pending    " in lines[0]
            assert lines[-2].startswith(f"Process {process.pid} on ")
            assert re.fullmatch(r"[\d,]+ rows/min(, about .* left)?; the last answer: \d+ s ago", lines[-1])
            process.kill()
            process.communicate()
    assert "The last session was killed." in status(run)
    assert status(run)[-1] == f"Resume it: syphus resume {run}"


# One query


def test_a_query_shows_all_that_its_pairs_come_from(tmp_path: Path) -> None:
    """The model as the server called itself, the request's hash, the prompt's, the raw answer, attempts, version."""
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, ["the blue car has moved"])
        host = simulated.url.split("/")[2]
    told: dict[str, Any] = json.loads("\n".join(status(ran.folder, "--query", "r000", "--json")))
    (answer,) = told["answers"]
    prefix = load_prompt_template(find_plugin("Rows.rows", [HERE / "plugins"]).create())
    config = load_config(tmp_path / "config.json", {}, {})
    sent = RequestBuilder(config.model, sampling_settings(config)).request(render_messages(prefix, told["annotation"]))
    entry = ran.data["RW_INS_r000_1"]
    assert {name: told[name] for name in ("id", "row", "annotation", "image_ids", "meta", "state", "requests")} == {
        "id": "r000",
        "row": 1,
        "annotation": "the blue car has moved",
        "image_ids": ["RW_IMG_r000"],
        "meta": {},
        "state": "ok",
        "requests": 1,
    }
    assert told["pairs"][0] == {"id": "RW_INS_r000_1", "instruction": entry["instruction"], "answer": entry["answer"]}
    assert entry["answer"] in answer["text"]
    assert answer["request"] == sent.key.hex()
    assert (answer["model"], answer["endpoint"], answer["syphus"]) == ("simulated-chat", host, __version__)
    assert (answer["finish_reason"], answer["newest"]) == ("stop", True)
    assert (answer["settings"]["prompt"], answer["settings"]["model"]) == (prompt_digest(prefix), "chat")
    assert answer["session"] == json.loads((ran.folder / "report.json").read_text("utf-8"))["sessions"][0][
        "started"
    ].replace("+00:00", "Z")


def test_a_query_that_was_asked_again_shows_all_answers_and_why(mixed: Ran) -> None:
    told: dict[str, Any] = read_query(mixed.folder, "r002")
    assert (told["state"], told["reason"], told["requests"]) == ("invalid", "question without an answer", 3)
    assert told["pairs"] == []
    first, repeated, corrected = told["answers"]
    assert [answer["newest"] for answer in told["answers"]] == [False, False, True]
    assert {answer["reason"] for answer in told["answers"]} == {"question without an answer"}
    assert (first["text"], first["request"]) == (repeated["text"], repeated["request"])
    assert corrected["request"] != first["request"]
    assert first["session"] <= corrected["session"]


@pytest.mark.parametrize(
    ("query", "state", "reason", "answers"),
    [
        ("r003", "failed", "context too long", 0),
        ("r004", "truncated", "cut off at max_tokens", 1),
        ("r005", "refused", "content filter on the prompt (violence: high)", 0),
        ("r006", "pending", "", 0),
    ],
)
def test_a_query_without_pairs_says_why(mixed: Ran, query: str, state: str, reason: str, answers: int) -> None:
    told: dict[str, Any] = read_query(mixed.folder, query)
    assert (told["state"], told["reason"], len(told["answers"]), told["pairs"]) == (state, reason, answers, [])


def test_a_query_that_shares_an_answer_shows_that_answer(mixed: Ran) -> None:
    first: dict[str, Any] = read_query(mixed.folder, "r000")
    second: dict[str, Any] = read_query(mixed.folder, "r001")
    assert first["answers"] == second["answers"]
    assert (first["requests"], second["requests"]) == (1, 0)
    assert first["pairs"][0]["id"] != second["pairs"][0]["id"]


@pytest.mark.parametrize(
    ("texts", "advised"),
    [
        ({"a": "", "b": "a cat sits"}, []),
        ({"a": "CRASH", "b": "a cat sits"}, ["Once the plugin is fixed, add --retry failed to the run's command."]),
        ({"a": "CRASH", "b": "BUSY"}, ["To retry them, add --retry failed to the run's command."]),
    ],
    ids=["empty annotation", "plugin", "attempts ran out"],
)
def test_only_what_can_help_is_advised(tmp_path: Path, texts: dict[str, str], advised: list[str]) -> None:
    crash = "\n    def check_pairs(self, query, pairs):\n        return 1 / 0 if query.text == 'CRASH' else []\n"
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    (datasets / "rows.py").write_text((HERE / "plugins" / "rows.py").read_text("utf-8") + crash, "utf-8")
    prompt = str(HERE / "prompts" / "rows.yaml")
    with server(poison={"BUSY": "server_error"}) as simulated:
        ran = run_rows(tmp_path, simulated.url, texts, datasets_dir=(datasets,), prompt_path=prompt)
    assert (ran.exit_code, ran.states[State.FAILED]) == (1, sum(text != "a cat sits" for text in texts.values()))
    assert [line for line in status_lines(ran.status, ran.folder) if "--retry" in line] == advised
    told = run_summary(RunResult(ran.report, None, (), []), "CMD --retry invalid")
    assert [line for line in told if "--retry" in line] == [
        line.replace(", add", ": CMD")
        .replace(" to the run's command.", "")
        .replace("To retry them:", "Retry them with:")
        for line in advised
    ]


PICKY = """
from syphus import AbstractDataset, read_jsonl


class Picky(AbstractDataset):
    def _load_query_inputs(self, path):
        for row in read_jsonl(path):
            yield {"id": row["id"], "sentences": row["text"]}

    def check_pairs(self, query, pairs):
        return [] if query.id == "r000" else 1 / 0
"""


def test_a_plugin_that_fails_is_shown_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "picky.py").write_text(PICKY, "utf-8")
    with server() as simulated:
        ran = run_rows(
            tmp_path,
            simulated.url,
            2,
            name="Picky.picky",
            datasets_dir=(tmp_path,),
            prompt_path=str(HERE / "prompts" / "rows.yaml"),
            num_threads=1,
        )
    told: dict[str, Any] = read_query(ran.folder, "r001")
    assert told["state"] == State.FAILED
    assert told["reason"].startswith("plugin: ")
    assert "ZeroDivisionError" in told["reason"]
    assert 'return [] if query.id == "r000" else 1 / 0' in told["detail"]
    assert len(told["answers"]) == 1


def test_an_unknown_query_and_an_unknown_folder_are_reported(mixed: Ran, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no query 'nope'\. Its ids are as 'r000'\.$"):
        read_query(mixed.folder, "nope")
    with pytest.raises(RunError, match=r"is not a run: it has no run\.sqlite\.$"):
        read_status(tmp_path)


def test_a_finished_run_needs_no_advice(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 1)
    (first, *rest) = status_lines(ran.status, ran.folder)
    assert first.startswith("1 query = 1 ok + 0 invalid + 0 truncated + 0 refused + 0 failed + 0 pending    ")
    assert rest == [
        "Answered by the simulated endpoint: made-up text, not a model.",
        "Each accepted pair: 62 tokens, 0.50 requests",
    ]


def test_a_cost_that_is_not_known_is_not_guessed(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 1)
    db = sqlite3.connect(ran.folder / "run.sqlite")
    db.execute("UPDATE answer SET model = 'nobody-knows'")
    db.commit()
    db.close()
    assert "    cost unknown over 1 session" in status_lines(ran.status, ran.folder)[0]
    assert as_json(ran.report)["cost"] is None


def test_each_endpoint_has_its_requests_answers_and_cost(tmp_path: Path) -> None:
    with server(faults={"server_error": 0.3}, seed=1) as faulty, server() as good:
        endpoints = [
            {"name": name, "base_url": each.url, "api_key": KEY} for name, each in (("us", faulty), ("eu", good))
        ]
        ran = run_rows(tmp_path, "", 40, {"endpoints": endpoints})
        asked = {"us": faulty.stats.requests, "eu": good.stats.requests}
    report: dict[str, Any] = as_json(ran.report)
    uses = report["endpoints"]
    assert {use["name"]: use["requests"] for use in uses} == asked
    assert all(use["answered"] + use["limited"] + use["refused"] + use["failed"] == use["requests"] for use in uses)
    (us,) = [use for use in uses if use["name"] == "us"]
    assert us["failed"] == sum(us["causes"].values()) > 0
    total = report["tokens"]
    assert sum(use["tokens"]["prompt"] for use in uses) == total["prompt"]
    described: dict[str, Any] = read_query(ran.folder, "r000")
    assert described["answers"][-1]["endpoint"] in asked
