"""The labelled answers that the cleaning rules are measured on, and the measurement."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from answer_corpus import FAULTS, PARTS, read_part, verdicts
from quality import by_rule

from syphus import Check, Pair, Query
from syphus.answers.cleaning import Context, RuleSet
from syphus.answers.cleaning.rules import LEAST_PRECISION, MOST_FALSE_ALARMS, WARNING_RULES, Doubt

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
    precision, recall, alarms, _ = rows["refuses"]
    assert precision.endswith("100%)")
    assert " of " in recall
    assert alarms.startswith("0% (0 of ")


def test_the_rules_that_warn_are_those_that_are_worse_than_the_bounds_on_the_test_part() -> None:
    judged = list(verdicts(read_part("test")))
    worse = {
        rule
        for rule, precision, _, alarms, _ in by_rule(judged)
        if alarms.share > MOST_FALSE_ALARMS or (precision.whole and precision.share < LEAST_PRECISION)
    }
    assert worse <= WARNING_RULES


@pytest.mark.parametrize(("place", "warnings"), [("answer 1", {"a rule"}), (Doubt("answer 1"), set())])
def test_a_rule_that_warns_and_a_doubt_reject_nothing(place: str, warnings: set[str]) -> None:
    rules = (Check("a rule", lambda *_: [place]), Check("another", lambda *_: []))
    cleaned = RuleSet(rules, frozenset(warnings)).clean([Pair("What?", "That.")], Context(Query("q", "")))
    assert cleaned.rejections == {}
    assert cleaned.doubts == {"a rule": "answer 1"}
    assert cleaned.pairs == (Pair("What?", "That."),)


def test_a_fault_behind_a_doubt_still_rejects() -> None:
    rules = RuleSet([Check("a rule", lambda *_: [Doubt("answer 1"), "answer 2"])])
    assert rules.clean([Pair("What?", "That.")], Context(Query("q", ""))).rejections == {"a rule": "answer 2"}
