"""Rows that bring their pairs along: nobody is asked about them, and the rules hold for them all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import HERE, KEY, Listener, Ran, run_rows, server, write_config
from processes import syphus

from syphus.config.options import Options
from syphus.errors import NoEndpointError, SyphusError
from syphus.main_job import run
from syphus.types import State

GOOD = [["What is there?", "A bird."], ["Why?", "Because it is hungry, the user (you) see."]]
LEAKY = [["What is there?", "According to the caption, a bird."]]


def run_brought(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Ran:
    """A run over these rows, without any endpoint unless there is a config."""
    path = folder / "brought.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    fixed: dict[str, Any] = {"name": "Brought.brought", "query_inputs_path": str(path), "output_dir": folder / "output"}
    chosen = Options(**{**fixed, "datasets_dir": (HERE / "plugins",), "num_threads": 4, **options})
    listener = Listener()
    try:
        finished = run(chosen, {}, listener)
        return Ran(finished.exit_code, finished.stopped_by, chosen.folder, listener.lines)
    except SyphusError as error:
        return Ran(error.exit_code, error, chosen.folder, listener.lines)


def test_no_endpoint_is_needed_and_none_is_asked(tmp_path: Path) -> None:
    ran = run_brought(tmp_path, [{"id": str(i), "pairs": GOOD} for i in range(200)])
    assert ran.exit_code == 0
    assert ran.states == {State.OK: 200}
    assert ran.report.spending.requests == 0
    told = "Brought.brought v1: 200 queries, 1 in-context example, no requests: the rows already have their pairs"
    assert ran.lines[0] == told
    assert not any("tokens" in line for line in ran.lines)
    assert ran.data["RW_INS_7_2"] == {
        "instruction": "Why?",
        "answer": "Because it is hungry, you see.",
        "image_ids": ["RW_IMG_1"],
        "rel_ins_ids": ["RW_INS_7_1"],
    }
    assert ran.report.rules == {"repairs": {"the user (you)": 200}, "rejections": {}}
    again = run_brought(tmp_path, [{"id": str(i), "pairs": GOOD} for i in range(200)])
    assert again.lines == ["Nothing to do: no request was sent."]


def test_a_rule_rejects_them_for_good(tmp_path: Path) -> None:
    ran = run_brought(tmp_path, [{"id": "a", "pairs": GOOD}, {"id": "b", "pairs": LEAKY}])
    assert (ran.exit_code, ran.states) == (1, {State.OK: 1, State.INVALID: 1})
    (entry,) = json.loads((ran.folder / "invalid.json").read_text("utf-8"))
    assert (entry["id"], entry["reason"], entry["answer"]) == ("b", "speaks of its notes", "")
    assert ran.report.rules["rejections"] == {"speaks of its notes": 1}


def test_changed_pairs_are_a_changed_row(tmp_path: Path) -> None:
    run_brought(tmp_path, [{"id": "a", "pairs": GOOD}])
    refused = run_brought(tmp_path, [{"id": "a", "pairs": GOOD[:1]}])
    assert "1 changed" in str(refused.error)
    ran = run_brought(tmp_path, [{"id": "a", "pairs": GOOD[:1]}], accept_changes=True)
    assert list(ran.data) == ["RW_INS_a_1"]


def test_a_row_without_pairs_needs_an_endpoint_after_all(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "a", "pairs": GOOD}, {"id": "b", "text": "a bird sits on a fence"}]
    ran = run_brought(tmp_path, rows)
    assert isinstance(ran.error, NoEndpointError)
    assert ran.exit_code == 2
    with server(key=KEY) as simulated:
        ran = run_brought(tmp_path, rows, config=write_config(tmp_path / "config.json", simulated.url))
        assert simulated.stats.requests == 1
    assert ran.states == {State.OK: 2}


def test_cleaning_a_run_once_more_costs_nothing_and_shows_before_and_after(tmp_path: Path) -> None:
    plugin = (HERE / "plugins" / "rows.py").read_text("utf-8")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "rows.py").write_text(plugin, "utf-8")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "rows.yaml").write_text((HERE / "prompts" / "rows.yaml").read_text("utf-8"), "utf-8")
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 6, datasets_dir=(tmp_path / "plugins",))
        rule = '    rules = (__import__("syphus").Reject("cars", "car"),)\n'
        (tmp_path / "plugins" / "rows.py").write_text(
            plugin.replace('    prompt = "rows"\n', '    prompt = "rows"\n' + rule), "utf-8"
        )
        how = ["clean", str(ran.folder), "--datasets-dir", str(tmp_path / "plugins")]
        told, again = syphus(tmp_path, *how), syphus(tmp_path, *how)
        assert simulated.stats.requests == 6
    assert told.returncode == 0
    before, after, reasons, made_up, accepted, changed, counted = told.stdout.splitlines()
    assert accepted.startswith("after   Each accepted pair: ")
    assert before.startswith("before  6 queries = 6 ok + 0 invalid")
    assert after.startswith("after   6 queries = 4 ok + 2 invalid")
    assert reasons == "after   invalid   2 cars"
    assert made_up == "Answered by the simulated endpoint: made-up text, not a model."
    assert changed == "2 queries changed outcome."
    assert counted == "rejections: 2 cars"
    assert again.stdout.splitlines()[-2:] == ["0 queries changed outcome.", counted]
    assert not any("car" in entry["answer"] for entry in ran.data.values())
