"""What a judge found in the pairs of a run, and how often that judge is right, as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syphus.text import pluralize

Json = Mapping[str, Any]  #: an object as `report.json` has it


def judged_line(judged: Json) -> str:
    """Return what a judge has found in the pairs of a run, from `Report.judged`."""
    faults = ", ".join(f"{count:,} {fault}" for fault, count in judged["faults"].items() if count)
    of = f"{pluralize(judged['pairs'], 'pair')} of {pluralize(judged['queries'], 'query', 'queries')}"
    unclear = f"; {pluralize(judged['unclear'], 'query', 'queries')} without a verdict" if judged["unclear"] else ""
    share = f"{judged['bad_share']:.1%} bad (95% interval {_range(*judged['interval'])})"
    if "corrected_share" in judged:
        share += f", corrected for its errors {judged['corrected_share']:.1%} ({_range(*judged['corrected_interval'])})"
    return f"Judged by {judged['model']}: {of}, {share}{f': {faults}' if faults else ''}{unclear}"


def calibration_lines(calibration: Json) -> list[str]:
    """Return how often a judge is right, by kind of fault, and what has changed, from `Report.calibration`."""
    bad, sound = calibration["bad"], calibration["sound"]
    parts = []
    if calibration["recall"]:
        parts.append(f"finds {_share(calibration['recall'])} of {pluralize(bad['pairs'], 'bad pair')}")
    if calibration["false_alarms"]:
        parts.append(f"calls {_share(calibration['false_alarms'])} of {pluralize(sound['pairs'], 'sound pair')} bad")
    if calibration["precision"]:
        in_run = calibration["precision_in_run"]
        run = f", {_share(in_run)} in this run" if in_run else ""
        parts.append(f"precision {_share(calibration['precision'])} on these{run}")
    unclear = f"; {pluralize(calibration['unclear'], 'answer')} without a verdict" if calibration["unclear"] else ""
    of = f"{pluralize(calibration['answers'], 'answer')} with known faults"
    lines = [f"The judge {calibration['model']} on {of}: {', '.join(parts)}{unclear}"]
    if calibration["faults"]:
        kinds = (f"{name} {each['found']:,} of {each['pairs']:,}" for name, each in calibration["faults"].items())
        lines.append(f"  found: {', '.join(kinds)}")
    return [*lines, *([f"  {_change(calibration['change'])}"] if calibration["change"] else [])]


def _change(change: Json) -> str:
    """Return what has changed since the round before; a change is real if its interval excludes 0."""
    known = [("recall", change["recall"]), ("false alarms", change["false_alarms"])]
    parts = [f"{name} {_points(each)}" for name, each in known if each]
    names = ", ".join(change["from"]["served"])
    return f"since the round before ({pluralize(change['from']['answers'], 'answer')}, {names}): {', '.join(parts)}"


def _points(each: Json) -> str:
    shown = f"{each['share'] * 100:+.0f} points ({each['low'] * 100:+.0f} to {each['high'] * 100:+.0f})"
    return shown if each["low"] <= 0 <= each["high"] else f"{shown}, more than chance"


def _share(each: Json) -> str:
    return f"{each['share']:.0%} ({each['low']:.0%} to {each['high']:.0%})"


def _range(low: float, high: float) -> str:
    return f"{low:.1%} to {high:.1%}"
