"""Translating a file of pairs in a test: the real job, against a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Listener, write_config

from syphus.config.options import Options
from syphus.errors import SyphusError
from syphus.formats.translation_report import TranslationReport
from syphus.runs.reader import read_status
from syphus.translation.job import translate
from syphus.types import State


@dataclass
class TranslationRun:
    """The result of a translation job. `error` is what stopped it, raised or returned."""

    exit_code: int
    error: SyphusError | None
    ledger: Path
    files: Path
    lines: list[str] = field(default_factory=list)

    @property
    def report(self) -> TranslationReport:
        found = read_status(self.ledger).translation
        assert found is not None
        for each in found.languages:
            assert sum(each.counts.states.values()) == found.pairs
        return found

    def states(self, code: str) -> dict[State, int]:
        found = next(each for each in self.report.languages if each.code == code)
        return {state: count for state, count in found.counts.states.items() if count}

    def reasons(self, code: str) -> dict[str, int]:
        found = next(each for each in self.report.languages if each.code == code)
        return {reason: n for counter in found.counts.reasons.values() for reason, n in counter.items()}

    def data(self, code: str) -> dict[str, Any]:
        path = self.files / f"TR_instructions_{code}.json"
        entries: dict[str, Any] = json.loads(path.read_text("utf-8"))["data"] if path.exists() else {}
        return entries


def make_entry(instruction: str, answer: str, images: str = "", related: tuple[str, ...] = ()) -> dict[str, object]:
    return {
        "instruction": instruction,
        "answer": answer,
        "image_ids": [images or "TR_IMG_1"],
        "rel_ins_ids": [*related],
    }


def make_pairs(count: int) -> dict[str, dict[str, object]]:
    """Return different pairs, each with its own image."""
    return {
        f"TR_INS_{i}": make_entry(
            f"What is to be seen next to the {i} bicycles in this picture?",
            f"There is a wooden bench beside the {i} bicycles, and a sign says {{name}} at {i % 12 + 1}:30.",
            f"TR_IMG_{i}",
        )
        for i in range(count)
    }


def write_pairs(folder: Path, data: Mapping[str, object]) -> Path:
    path = folder / "TR_instructions.json"
    path.write_text(json.dumps({"meta": {}, "data": data}, ensure_ascii=False), "utf-8")
    return path


def run_translation(path: Path, url: str, *, config: Mapping[str, Any] | None = None, **options: Any) -> TranslationRun:
    """Translates a file; `options` are those of the command."""
    settings = write_config(path.parent / "config.json", url, **(config or {}))
    given = Options(**{"config": settings, "num_threads": 4, **options})
    ledger, listener = path.parent / "TR_instructions.translation", Listener()
    try:
        done = translate(path, None, given, {}, listener)
        return TranslationRun(done.exit_code, done.stopped_by, ledger, path.parent, listener.lines)
    except SyphusError as error:
        return TranslationRun(error.exit_code, error, ledger, path.parent, listener.lines)
