"""The judge is measured alike by batches, with images, and by a process that is killed: against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import run_rows, server
from image_rows import ask, write_picture
from processes import Watch, command, finish, start

from syphus import batches
from syphus.config.options import ALWAYS, NEVER
from syphus.runs.reader import read_status

BATCH = {"requests": 10, "listing_delay": 0.3, "poll": 0.05}
ERRS = {"judge_misses": 0.3, "judge_alarms": 0.2, "seed": 4}
THINGS = ("van", "crane", "truck", "bicycle")


def write_prompt(folder: Path, **user: Any) -> Path:
    """A prompt with an example of two pairs for each thing. `user` is added to each user turn."""
    turns: list[dict[str, Any]] = []
    for number, thing in enumerate(THINGS, 2):
        pairs = [
            {"question": f"Where is the {thing} now?", "answer": f"The {thing} stands beside gate {number}."},
            {"question": f"Is the {thing} covered?", "answer": f"No, the {thing} is open in the yard."},
        ]
        told = f"the {thing} is at gate {number} in the yard, uncovered"
        turns += [{"role": "user", "content": told, **user}, {"role": "assistant", "content": pairs}]
    folder.mkdir(exist_ok=True)
    path = folder / "prompt.json"
    path.write_text(json.dumps({"system_message": "Write pairs of Question and Answer.", "in_context": turns}), "utf-8")
    return path


def calibration(folder: Path) -> dict[str, Any]:
    found = read_status(folder).calibration
    assert found is not None
    return dict(found)


def test_batches_measure_what_single_requests_do(tmp_path: Path) -> None:
    found, billed, stages = [], [], []
    for name, batch in (("online", NEVER), ("batches", ALWAYS)):
        (tmp_path / name).mkdir()
        prompt = str(write_prompt(tmp_path / name))
        with server(batch_speed=3_000.0, **ERRS) as at:
            ran = run_rows(
                tmp_path / name,
                at.url,
                6,
                {"batch": BATCH},
                judge="all",
                calibrate_judge=12,
                prompt_path=prompt,
                batch=batch,
            )
            billed.append((at.stats.billed, at.stats.dup_after_ok))
        found.append(calibration(ran.folder))
        stages.append({shard.stage for shard in batches(ran.folder)})
    assert found[0] == found[1]
    assert found[0]["answers"] == 12
    assert billed == [(6 + 12 + 6, 0)] * 2
    assert [len(each) for each in stages] == [0, 3]


def test_the_judge_sees_the_image_of_an_example_whose_faults_it_is_to_find(tmp_path: Path) -> None:
    prompt = write_prompt(tmp_path / "p", images=["car.png"])
    write_picture(tmp_path / "p" / "car.png", 20, 10)
    with server(**ERRS) as at:
        ran = ask(tmp_path, at, [{"id": "1"}], prompt_path=str(prompt), judge="all", calibrate_judge=8)
        asked = [each for each in at.endpoint.requests if each.last_user.startswith("===")]
    assert calibration(ran.folder)["answers"] == 8
    of_examples = [each.images for each in asked if "gate" in each.last_user]
    assert of_examples == [("20x10 PNG auto",)] * 8


@pytest.mark.parametrize("answered", [1, 5, 11])
def test_a_killed_calibration_goes_on_and_pays_for_nothing_twice(tmp_path: Path, answered: int) -> None:
    flags = ["--judge", "all", "--calibrate-judge", "12", "--prompt-path", str(write_prompt(tmp_path / "p"))]
    with server(**ERRS) as at:
        whole = tmp_path / "whole"
        whole.mkdir()
        assert finish(command(whole, at.url, 6, *flags), whole).returncode in (0, 1)
    killed = tmp_path / "killed"
    killed.mkdir()
    with server(**ERRS) as at:
        watch = Watch(at)
        with start(command(killed, at.url, 6, *flags), killed) as process:
            watch.at("answer", 6 + answered, process.kill)
            process.communicate()
        assert process.returncode == -9
        ended = finish(command(killed, at.url, 6, *flags), killed)
        assert ended.returncode in (0, 1), ended.stderr
        assert watch.dup_after_ok <= 8  # what was in flight: at most one request of each thread
        billed = watch.billed
        assert finish(command(killed, at.url, 6, *flags), killed).returncode in (0, 1)
        assert watch.billed == billed
        assert billed - watch.dup_after_ok == 6 + 12 + 6
    runs = [calibration(folder / "output" / "Rows.rows" / "v1") for folder in (whole, killed)]
    assert runs[0] == runs[1]
    assert runs[0]["answers"] == 12
