"""Each stage by batches writes what it writes online, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cold import options, search, teachable
from harness import run_rows, server, write_config
from translation_runs import make_pairs, run_translation, write_pairs

from syphus import batches
from syphus.types import State

BATCH = {"requests": 10, "listing_delay": 0.3, "poll": 0.05}
QUICK = {"batch_speed": 3_000.0}


def written(folder: Path, names: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(names))}


def test_generating_and_judging_all_pairs(tmp_path: Path) -> None:
    files, asked, stages = [], [], list[set[str]]()
    for name in ("online", "always"):
        given: dict[str, Any] = {"batch": "always"} if name == "always" else {}
        (tmp_path / name).mkdir()
        with server(**QUICK, pair_slips=0.3, seed=3) as at:
            ran = run_rows(tmp_path / name, at.url, 24, {"batch": BATCH}, judge="all", **given)
            asked.append((at.stats.billed, at.stats.dup_after_ok))
        assert ran.states[State.OK] > 12, ran.lines
        assert ran.report.judged is not None
        files.append(written(ran.folder, "RW_*.json") | written(ran.folder, "pairs.jsonl"))
        stages.append({shard.stage for shard in batches(ran.folder)})
    assert files[0] == files[1]
    assert asked[0] == asked[1]
    assert not stages[0]
    assert len(stages[1]) == 2


def test_translating_and_judging_all_translations(tmp_path: Path) -> None:
    files = []
    for name in ("online", "always"):
        given: dict[str, Any] = {"batch": "always"} if name == "always" else {}
        (tmp_path / name).mkdir()
        file = write_pairs(tmp_path / name, make_pairs(20))
        with server(**QUICK, translation_slips=0.2) as at:
            done = run_translation(
                file, at.url, config={"batch": BATCH}, languages="de,zh", judge_translations=1.0, **given
            )
        assert done.exit_code == 1, done.lines
        files.append(written(done.files, "TR_instructions_*.json"))
        found = batches(done.ledger)
        assert len({shard.stage for shard in found}) == (2 if given else 0)
    assert files[0] == files[1]
    assert len(files[0]) == 2


def test_a_cold_start_finds_the_same_examples(tmp_path: Path) -> None:
    prompts = []
    for name in ("never", "always"):
        (tmp_path / name).mkdir()
        with teachable(**QUICK) as endpoint:
            config = write_config(tmp_path / name / "config.json", endpoint.url, batch=BATCH)
            given = replace(options(tmp_path / name, endpoint, batch=name), config=config)
            done = search(given, write=True)
        assert done.error is None, done.lines
        prompts.append((done.folder / "prompt.yaml").read_bytes())
        assert bool(batches(done.folder)) == (name == "always")
    assert prompts[0] == prompts[1]
