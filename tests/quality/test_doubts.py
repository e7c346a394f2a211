"""What a cleaning rule doubts goes to the judge, whatever share it judges: on real ledgers, against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import HERE, run_rows, server

from syphus.types import State

PLUGIN = '''
from syphus import AbstractDataset, Check, read_jsonl
from syphus.answers.cleaning.rules import Doubt


def find(pairs, context):
    return [Doubt("answer 1")] if context.query.id.endswith("7") else []


class Doubted(AbstractDataset):
    """Rows, of which one in ten is doubted."""

    short_name = "RW"
    prompt = "rows"
    rules = (Check("one in ten", find),)

    def _load_query_inputs(self, path):
        for row in read_jsonl(path):
            yield {"id": row["id"], "sentences": row["text"], "image_ids": []}
'''
PROMPT = HERE / "prompts" / "rows.yaml"
DOUBTED = {f"r{number:03d}" for number in range(7, 60, 10)}


def test_what_a_rule_doubts_is_judged_besides_any_share_and_not_counted_in_it(tmp_path: Path) -> None:
    (tmp_path / "doubted.py").write_text(PLUGIN, "utf-8")
    given: dict[str, Any] = {"name": "Doubted.doubted", "datasets_dir": (tmp_path,), "prompt_path": str(PROMPT)}
    with server(pair_slips=0.5, seed=3) as simulated:
        before = run_rows(tmp_path, simulated.url, 60, **given)
        doubted, states, pairs = before.report.rules["repairs"], before.states, before.data
        ran = run_rows(tmp_path, simulated.url, 60, judge="0.1", **given)
        asked = [each.last_user for each in simulated.endpoint.requests if each.last_user.startswith("===")]
    assert doubted["doubtful: one in ten"] == len(DOUBTED)
    assert states[State.OK] == 60  # a doubt rejects nothing
    shown = [json.loads(text.split("\n", 1)[1].rsplit("\n", 1)[0])["annotation"] for text in asked]
    judged = {f"r{int(text.rsplit(' ', 1)[1]):03d}" for text in shown}
    sample = judged - DOUBTED
    assert judged > DOUBTED
    assert 0 < len(sample) < 15
    assert ran.report.judged is not None
    assert len(sample) <= ran.report.judged["queries"] < len(judged)  # the sample may hold some that are doubted, too
    taken_out = pairs.keys() - ran.data.keys()
    assert {key.split("_")[2] for key in taken_out} & DOUBTED  # bad pairs are taken out there as well
