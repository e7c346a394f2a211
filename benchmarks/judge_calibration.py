"""How often the intervals of a calibrated judge hold, with a judge whose errors are known.

    python benchmarks/judge_calibration.py [--seeds 40] [--first-seed 0]

Each run is the main job on a simulated endpoint, which writes made-up answers at a known rate, and as the judge misses
bad pairs and accuses sound ones at known rates, independently of each other. `--calibrate-judge 40` measures it on the
12 in-context examples of a prompt, with three pairs each. An interval holds if the true value is in it: of recall and
false alarms, the rates that the endpoint was given; of precision, what follows from them for the pairs that were shown;
of precision in the run and of the corrected share, what follows for the share of made-up answers.

The last column is the reported share of bad pairs without a correction, whose interval is about another number.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from common import DATASET, ROOT, write_annotations

from syphus.config.options import Options
from syphus.main_job import run
from syphus.pipeline.observer import Observer
from syphus.simulator import Simulation, serve_in_thread

ROWS, ANSWERS = 150, 40
FIGURES = ("recall", "false alarms", "precision", "precision in the run", "corrected share", "share as reported")
_THINGS = ("van", "crane", "truck", "bicycle", "bus", "ladder", "tent", "scooter", "trailer", "wagon", "boat", "kiosk")


class Judge(NamedTuple):
    """The rates of a judge, and the share of bad pairs in the run."""

    misses: float
    alarms: float
    bad: float


JUDGES = (Judge(0.1, 0.02, 0.1), Judge(0.1, 0.1, 0.1), Judge(0.3, 0.05, 0.05), Judge(0.02, 0.02, 0.3))


def write_prompt(folder: Path) -> tuple[Path, dict[str, str]]:
    """Write the prompt with its examples; return it, and the sound answer to each question."""
    turns: list[dict[str, Any]] = []
    sound: dict[str, str] = {}
    for number, thing in enumerate(_THINGS, 2):
        pairs = {
            f"Where is the {thing} now?": f"The {thing} stands beside gate {number} in the second image.",
            f"How many people are near the {thing}?": f"There are {number} people near the {thing}.",
            f"Is the {thing} covered?": f"No, the {thing} is open, and its cover lies on the ground.",
        }
        sound |= pairs
        told = f"the {thing} has moved to gate {number}. {number} people are near it. its cover lies on the ground"
        items = [{"question": question, "answer": answer} for question, answer in pairs.items()]
        turns += [{"role": "user", "content": told}, {"role": "assistant", "content": items}]
    shipped = (ROOT / "prompts" / "spot_the_difference.yaml").read_text("utf-8").split("in_context:")[0]
    path = folder / "prompt.yaml"
    path.write_text(f"{shipped}in_context: {json.dumps(turns)}\n", "utf-8")
    return path, sound


def measure(folder: Path, judge: Judge, seed: int) -> dict[str, Any]:
    """Run once; return the report as JSON values."""
    prompt, sound = write_prompt(folder)
    settings: dict[str, Any] = {"judge_misses": judge.misses, "judge_alarms": judge.alarms, "sound_pairs": sound}
    with serve_in_thread(Simulation(seed=seed, sloppiness=0, pair_slips=judge.bad, **settings)) as server:
        config = folder / "config.json"
        config.write_text(json.dumps({"endpoint": {"base_url": server.url, "api_key": "any"}}), "utf-8")
        options = Options(
            name=DATASET,
            query_inputs_path=str(write_annotations(folder / "rows.json", ROWS)),
            output_dir=folder / "out",
            prompt_path=str(prompt),
            config=config,
            model="judge",
            num_threads=32,
            seed=seed,
            judge="all",
            calibrate_judge=ANSWERS,
        )
        run(options, {}, Observer())
    report: dict[str, Any] = json.loads((options.folder / "report.json").read_text("utf-8"))
    return report


def holds(report: dict[str, Any], judge: Judge) -> dict[str, bool]:
    """Return for each figure whether its interval has the true value."""
    found, judged = report["judge_calibration"], report["judged"]
    recall = 1 - judge.misses
    shown = found["bad"]["pairs"] * recall, found["sound"]["pairs"] * judge.alarms
    in_run = judge.bad * recall, (1 - judge.bad) * judge.alarms
    truth = {
        "recall": (recall, found["recall"]),
        "false alarms": (judge.alarms, found["false_alarms"]),
        "precision": (shown[0] / sum(shown), found["precision"]),
        "precision in the run": (in_run[0] / sum(in_run), found["precision_in_run"]),
    }
    result = {name: each is not None and each["low"] <= true <= each["high"] for name, (true, each) in truth.items()}
    for name, key in (("corrected share", "corrected_interval"), ("share as reported", "interval")):
        result[name] = judged[key][0] <= judge.bad <= judged[key][1]
    return result


def main() -> None:
    """Play the runs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=0)
    given = parser.parse_args()
    print(f"| recall, false alarms, share of bad pairs | {' | '.join(FIGURES)} |")
    print("|---" * (len(FIGURES) + 1) + "|")
    every: Counter[str] = Counter()
    for judge in JUDGES:
        counts: Counter[str] = Counter()
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                counts.update(holds(measure(Path(folder), judge, seed), judge))
        every += counts
        cells = " | ".join(f"{counts[name] / given.seeds:.0%}" for name in FIGURES)
        print(f"| {1 - judge.misses:.0%}, {judge.alarms:.0%}, {judge.bad:.0%} | {cells} |", flush=True)
    cells = " | ".join(f"{every[name] / given.seeds / len(JUDGES):.0%}" for name in FIGURES)
    print(f"| all | {cells} |")


if __name__ == "__main__":
    main()
