"""`--allow-bad-rows`: what can't be read is a failed row, also where the plugin itself gives up on a record."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import HERE, Ran, run_rows, server

from syphus.errors import InputError
from syphus.plugins.contract import with_bad_rows_hint
from syphus.runs.reader import read_query
from syphus.types import State

OK, FAILED = State.OK, State.FAILED
GOOD = {"id": "a", "text": "a cat sits", "lines": [[0, "it sits"]]}
PLUGIN = """
import csv
from pathlib import Path

from syphus import AbstractDataset, field, read_json, read_json_items, read_jsonl, texts


class Bad(AbstractDataset):
    short_name = "RW"
    prompt = "rows"

    def _load_query_inputs(self, path):
        with Path(path).with_suffix(".readings").open("a") as file:
            file.write("once more\\n")
        {}
"""


def records(bad: Any, count: int = 6, at: tuple[int, ...] = (1, 4)) -> list[Any]:
    """So many records, those at some places of which are bad."""
    return [bad if n in at else {**GOOD, "id": f"r{n}", "text": f"a cat sits, {n}"} for n in range(count)]


def run_bad(folder: Path, loading: str, text: str, name: str = "in.json", **options: Any) -> Ran:
    """The main job over a file with this text, with a plugin that loads it so."""
    datasets = folder / "datasets"
    datasets.mkdir(exist_ok=True)
    (datasets / "bad.py").write_text(PLUGIN.format(loading), "utf-8")
    (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    given = {"allow_bad_rows": True, "prompt_path": str(HERE / "prompts" / "rows.yaml"), **options}
    with server() as simulated:
        return run_rows(
            folder, simulated.url, 0, name="Bad.bad", datasets_dir=(datasets,), query_inputs_path=str(folder / name),
            **given,
        )  # fmt: skip


def readings(folder: Path) -> int:
    return len((folder / "in.readings").read_text("utf-8").splitlines())


ROW = '{"id": field(r, "id", str), "sentences": field(r, "text", str)}'
LOADING = {
    "field": f"for r in read_json(path): yield {ROW}",
    "texts": 'for r in read_json(path): yield {"id": r["id"], "sentences": texts(r, "text") if r["id"] == "" else "x"}',
    "KeyError": 'for r in read_json(path): yield {"id": r["id"], "sentences": r["text"]}',
    "an expression": f"yield from ({ROW} for r in read_json(path))",
    "a list": f"return [{ROW} for r in read_json(path)]",
}


@pytest.mark.parametrize("loading", LOADING.values(), ids=LOADING)
def test_a_record_that_the_plugin_fails_on_is_a_failed_row(tmp_path: Path, loading: str) -> None:
    ran = run_bad(tmp_path, loading, json.dumps(records({"id": ""} if "texts" in loading else {"id": "b"})))
    assert (ran.exit_code, ran.states) == (1, {OK: 4, FAILED: 2})
    assert ran.reasons == ["bad row"]
    rows = (1, 2) if "return" in loading else (2, 5)  # a list is there only when all has been read
    details = [str(read_query(ran.folder, f"bad row {number}")["detail"]) for number in rows]
    assert [detail.partition(" (line")[0] for detail in details] == [f"{tmp_path}/in.json: record {n}" for n in (2, 5)]
    assert list(dict.fromkeys(key.split("_")[2] for key in ran.data)) == ["r0", "r2", "r3", "r5"]


@pytest.mark.parametrize("reader", ["read_jsonl", "read_json_items"])
def test_every_reader_leaves_out_the_record(tmp_path: Path, reader: str) -> None:
    many = records({"id": "b"})
    lines = "".join(f"{json.dumps(record)}\n" for record in many)
    text = lines if reader == "read_jsonl" else json.dumps({str(number): record for number, record in enumerate(many)})
    take = "r" if reader == "read_jsonl" else "_, r"
    ran = run_bad(tmp_path, f"for {take} in {reader}(path): yield {ROW}", text)
    assert ran.states == {OK: 4, FAILED: 2}


def test_bad_lines_and_bad_records_are_counted_in_their_order(tmp_path: Path) -> None:
    lines = [json.dumps(GOOD), "{torn", json.dumps({"id": "b"}), json.dumps({**GOOD, "id": ""}), "{torn"]
    ran = run_bad(tmp_path, f"for r in read_jsonl(path): yield {ROW}", "\n".join(lines))
    assert ran.states == {OK: 1, FAILED: 4}
    details = [str(read_query(ran.folder, f"bad row {number}")["detail"]) for number in (2, 3, 4, 5)]
    assert [detail.partition(": record ")[2].partition(" ")[0] for detail in details] == ["2", "3", "4", "5"]


def test_a_record_that_fails_after_some_rows_yields_none_of_them(tmp_path: Path) -> None:
    loading = """for r in read_json(path):
            for n, line in r["lines"]: yield {"id": r["id"] + str(n), "sentences": line}"""
    ran = run_bad(tmp_path, loading, json.dumps(records({"id": "b", "lines": [[0, "one"], [1, "two"], 3]})))
    assert ran.states == {OK: 4, FAILED: 2}


def test_where_no_row_is_bad_the_input_is_read_once(tmp_path: Path) -> None:
    ran = run_bad(tmp_path, LOADING["field"], json.dumps(records(None, at=())))
    assert (ran.states, readings(tmp_path)) == ({OK: 6}, 1)
    again = run_bad(tmp_path, LOADING["field"], json.dumps(records({"id": "b"})), dataset_version="v2")
    assert (again.states, readings(tmp_path)) == ({OK: 4, FAILED: 2}, 1 + 1 + 2 + 1)  # once for each, and once for all


def test_a_random_sample_is_drawn_from_all_rows(tmp_path: Path) -> None:
    text = json.dumps(records({"id": "b"}, count=40))
    ran = run_bad(tmp_path, LOADING["KeyError"], text, random_sample=True, slice_end=30)
    assert sum(ran.states.values()) == 30


def test_without_the_option_the_first_one_stops_the_run(tmp_path: Path) -> None:
    ran = run_bad(tmp_path, LOADING["field"], json.dumps(records({"id": "b"})), allow_bad_rows=False)
    fault = f'{tmp_path}/in.json: record 2 (line 1): no "text"; it has id'
    assert (ran.exit_code, str(ran.error)) == (2, f"{fault}. To count such rows as failed, add --allow-bad-rows")


def test_a_plugin_that_reads_in_its_own_way_stops_and_says_why(tmp_path: Path) -> None:
    loading = """for r in csv.DictReader(Path(path).read_text().splitlines()):
            yield {"id": r["id"], "sentences": r["text"] + ""}"""
    ran = run_bad(tmp_path, loading, "id,text\na,a cat\nb\nc,a dog\n")
    assert ran.exit_code == 2
    assert str(ran.error).startswith("Bad.bad: row 2: TypeError: ")
    reason = "the error is not in a record of read_json or a similar function"
    assert str(ran.error).endswith(f"; --allow-bad-rows can't help here: {reason}")


def test_files_that_are_read_side_by_side_are_not_shifted_against_each_other(tmp_path: Path) -> None:
    loading = 'for r, s in zip(read_json(path), read_json(path)): yield {"id": r["id"], "sentences": s["text"]}'
    ran = run_bad(tmp_path, loading, json.dumps(records({"id": "b"})))
    assert ran.exit_code == 2
    assert str(ran.error).endswith("; --allow-bad-rows can't help here: several files are read side by side")


def test_a_file_that_ends_within_a_record_is_reported_whatever_came_before(tmp_path: Path) -> None:
    ran = run_bad(tmp_path, LOADING["field"], json.dumps(records({"id": "b"}))[:-9])
    assert ran.exit_code == 2
    assert "record 6 (line 1): the file ends within this record" in str(ran.error)


def test_a_plugin_that_fails_on_all_records_is_reported_so(tmp_path: Path) -> None:
    text = "".join(f"{json.dumps({'id': number})}\n" for number in range(1200))
    ran = run_bad(tmp_path, f"for r in read_jsonl(path): yield {ROW}", text)
    assert ran.exit_code == 2
    assert str(ran.error).startswith(f'{tmp_path}/in.json: record 1001 (line 1001): "id" must be text')
    assert str(ran.error).endswith("; the plugin fails on more than 1,000 records")


def test_a_duplicate_record_is_asked_about_without_pillow_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)  # as where the extra `images` is not installed
    ran = run_bad(tmp_path, LOADING["field"], json.dumps([GOOD, GOOD]))
    assert (ran.exit_code, ran.states) == (0, {OK: 2})


UNREADABLE = {
    "NaN": '{"id": "b", "text": NaN}',
    "Infinity deep inside": '{"id": "b", "text": "x", "more": [{"a": -Infinity}]}',
    "a huge number": '{"id": "b", "text": 1e999}',
    "thousands of digits": f'{{"id": "b", "text": {"9" * 5000}}}',
    "not UTF-8": '{"id": "b", "text": "a caf\udce9 and \udcff"}',
    "nested too deeply": f'{{"id": "b", "text": "]}}", "more": {"[" * 3000}"\\"]"{"]" * 3000}}}',
    "half a surrogate": '{"id": "b", "text": "\\ud83d"}',
}


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("shape", ["array", "object", "lists", "lines"])
def test_a_record_that_strict_json_refuses_is_that_row_alone(tmp_path: Path, shape: str, unreadable: str) -> None:
    rows = [unreadable if "b" in row["id"] else json.dumps(row) for row in records({"id": "b"}, at=(2,))]
    named = ", ".join(f'"k{n}": {row}' for n, row in enumerate(rows))
    text = {"array": f"[{', '.join(rows)}]", "object": f"{{{named}}}", "lists": f'{{"rows": [{", ".join(rows)}]}}'}
    text["lines"] = "\n".join(rows)
    loading = {
        "array": f"for r in read_json(path): yield {ROW}",
        "object": f"for _, r in read_json_items(path): yield {ROW}",
        "lines": f"for r in read_jsonl(path): yield {ROW}",
        "lists": f'from syphus import read_json_lists\n        for _, r in read_json_lists(path, "rows"): yield {ROW}',
    }
    ran = run_bad(tmp_path, loading[shape], text[shape])
    assert (ran.exit_code, ran.states) == (1, {OK: 5, FAILED: 1})
    detail = str(read_query(ran.folder, "bad row 3")["detail"])
    place = "record 3 (line 3)" if shape == "lines" else "record 3 (line 1)"
    assert place in detail
    refused = run_bad(tmp_path, loading[shape], text[shape], allow_bad_rows=False, dataset_version="v2")
    assert (refused.exit_code, place in str(refused.error)) == (2, True)
    assert str(refused.error).endswith("To count such rows as failed, add --allow-bad-rows")


@pytest.mark.parametrize("identifier", ['""', "null", '"a\\u0000"', "[1]", "1.5", f'"{"n" * 600}"'])
def test_the_remedy_for_a_bad_id_is_named(tmp_path: Path, identifier: str) -> None:
    loading = 'for r in read_json(path): yield {"id": r["id"], "sentences": r["text"]}'
    text = f'[{json.dumps(GOOD)}, {{"id": {identifier}, "text": "x"}}]'
    refused = run_bad(tmp_path, loading, text, allow_bad_rows=False)
    assert (refused.exit_code, str(refused.error).count("--allow-bad-rows")) == (2, 1)
    assert run_bad(tmp_path, loading, text).states == {OK: 1, FAILED: 1}


def test_the_hint_is_given_whatever_the_annotations_say() -> None:
    fault = InputError("in.json: record 2: no time in '--allow-bad-rows'", ("in.json", 2))
    hinted = with_bad_rows_hint(fault)
    assert str(hinted) == f"{fault}. To count such rows as failed, add --allow-bad-rows"
    assert with_bad_rows_hint(hinted) is hinted
