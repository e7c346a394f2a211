"""What each accepted pair has cost, by what it was spent on: it adds up to the report, on a real run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import run_rows, server

from syphus.cli.summary import summary

PRICES = {"prices": {"chat": {"input": 1.0, "output": 4.0}}}


def test_the_parts_add_up_to_the_report_and_each_has_its_purpose(tmp_path: Path) -> None:
    script = ["ok", "unpaired", "unpaired", "ok"]  # two rows are asked again
    with server(script=script) as simulated:
        ran = run_rows(tmp_path, simulated.url, 12, config=PRICES, num_threads=1, judge="all", no_hedging=True)
    report = ran.report
    told = json.loads((ran.folder / "report.json").read_text("utf-8"))["per_accepted_pair"]
    assert told["pairs"] == report.counts.pairs > 0
    assert set(told["by"]) == {"generation", "answers without pairs", "judge"}
    for what, whole in (("requests", report.spending.requests), ("cost", report.cost)):
        assert whole
        assert told[what] * told["pairs"] == pytest.approx(whole, rel=0.01)
        assert sum(part[what] for part in told["by"].values()) == pytest.approx(told[what], rel=0.01)
    wasted, useful = told["by"]["answers without pairs"], told["by"]["generation"]
    assert wasted["requests"] / useful["requests"] == pytest.approx(2 / 12, rel=0.01)
    (line,) = (line for line in summary(report) if line.startswith("Each accepted pair: "))
    assert line.startswith("Each accepted pair: $0.0")
    assert "answers without pairs" in line


def test_a_run_without_pairs_says_nothing_about_each(tmp_path: Path) -> None:
    with server(script=["unpaired"] * 8) as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, num_threads=1, no_hedging=True)
    assert ran.report.accepted.as_json() == {"pairs": 0}
    assert not any(line.startswith("Each accepted pair") for line in summary(ran.report))
