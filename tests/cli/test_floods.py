"""Thousands of findings are a few lines on the screen and a file with all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syphus.cli.mimicit import SHOWN, FindingPrinter
from syphus.formats.mimicit.data_yaml import Finding

KINDS = {"no answer": 996, "unknown context": 7, "twice": 2}


def findings() -> list[Finding]:
    return [Finding("a.json", f"id {number}", kind) for kind, count in KINDS.items() for number in range(count)]


def printed(path: Path, capsys: pytest.CaptureFixture[str], *, json_: bool = False, show_all: bool = False) -> str:
    """Print the findings; return what went to stdout."""
    with FindingPrinter(json_, path, show_all) as printer:
        for finding in findings():
            printer.show(finding)
        printer.end({"problems": 1}, ["the last line"])
    return capsys.readouterr().out


def test_five_of_each_kind_are_printed_and_all_are_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "verify.jsonl"
    lines = printed(path, capsys).splitlines()
    assert lines[:6] == [
        *(f"a.json: id {number}: no answer" for number in range(SHOWN)),
        "a.json: id 0: unknown context",
    ]
    assert lines[-4:] == [
        "... 991 more: no answer",
        "... 2 more: unknown context",
        f"All 1,005 are in {path}; --all prints them.",
        "the last line",
    ]
    kept = [Finding(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    assert sorted(kept) == sorted(findings())


@pytest.mark.parametrize("json_", [False, True])
def test_all_are_printed_if_asked_for_and_always_as_json(
    tmp_path: Path, json_: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "verify.jsonl"
    out = printed(path, capsys, json_=json_, show_all=not json_)
    count = len(json.loads(out)["findings"]) if json_ else len(out.splitlines()) - 1
    assert count == sum(KINDS.values())
    assert not path.exists()
