"""The labelled answers that the cleaning rules are measured on, and the measurement."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from answer_corpus import FAULTS, PARTS, read_part

ROOT = Path(__file__).resolve().parents[2]


def test_the_parts_share_no_source_and_no_answer_and_hold_every_kind_of_fault() -> None:
    parts = [read_part(part) for part in PARTS]
    development, test = parts
    assert {each.source for each in development}.isdisjoint(each.source for each in test)
    assert {each.annotation for each in development}.isdisjoint(each.annotation for each in test)
    everything = [*development, *test]
    assert len({each.id for each in everything}) == len(everything)
    assert len({(each.annotation, each.pairs) for each in everything}) == len(everything)
    for part in parts:
        faults = Counter(each.fault for each in part)
        assert set(faults) == {"", *FAULTS}
        assert faults[""] >= len(part) // 3  # few sound answers would hide false alarms


def test_make_quality_prints_each_rule_with_intervals() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/quality.py"), "--part", "development", "--misses"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "| sound answers rejected | " in printed
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in printed.splitlines() if line[:1] == "|"}
    precision, recall, alarms = rows["refuses"]
    assert precision.endswith("100%)")
    assert " of " in recall
    assert alarms.startswith("0% (0 of ")
