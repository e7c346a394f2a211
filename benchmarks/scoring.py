"""Do the heuristics see damage? Reference answers against damaged copies of them, kind by kind; and the speed.

python benchmarks/scoring.py FOLDER

The folder holds LLaVA's evaluation on COCO, which is not in the repository: `caps_boxes_coco2014_val_80.jsonl`
(captions and boxes) and `gpt4_qa_30x3.jsonl` (three reference answers for each of 30 images). Each reference answer is
one candidate, and so is each damaged copy of it. The first rows damage every answer that can be damaged so, with five
seeds; "one of each" damages every answer in one of four ways, in turn.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

from common import table
from damage import DAMAGES, Sample, damaged

from syphus.answers.scoring import Candidate, Scored, ScoringContext, score_all
from syphus.types import Pair, Query

SEEDS = range(5)
MAIN = ("swapped", "numbers changed", "object invented", "truncated")


def read_samples(folder: Path) -> list[Sample]:
    """The reference answers, each with its image's annotation as `LlavaDetail.llava` shows it."""
    images = {row["id"]: row for row in _rows(folder / "caps_boxes_coco2014_val_80.jsonl")}
    samples = []
    for row in _rows(folder / "gpt4_qa_30x3.jsonl"):
        image = images[row["id"]]
        boxes = [f"{box['category']}: {json.dumps(box['bbox'])}" for box in image["instances"]]
        query = Query(row["id"], "\n".join([*image["captions"], "", *boxes]))
        samples.append(Sample(query, Pair(row["instruction"], row["output"])))
    return samples


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def scored(samples: Sequence[Sample]) -> list[Scored]:
    candidates = [Candidate(each.query, (each.pair,), each.pair.answer) for each in samples]
    return score_all(candidates, ScoringContext())


def above(right: Sequence[float], copies: Sequence[tuple[int, Sample]]) -> list[float]:
    """By how much the right answers stand above their damaged copies."""
    totals = scored([copy for _, copy in copies])
    return [right[place] - bad.total for (place, _), bad in zip(copies, totals, strict=True)]


def one_of_each(samples: Sequence[Sample], seed: int) -> list[tuple[int, Sample]]:
    """A copy of each sample, damaged in the first way that can be done to it, beginning with another one each time."""
    by_kind = {kind: dict(damaged(samples, kind, Random(seed))) for kind in MAIN}
    turns = [[MAIN[(place + turn) % len(MAIN)] for turn in range(len(MAIN))] for place in range(len(samples))]
    return [
        (place, next(by_kind[kind][place] for kind in turn if place in by_kind[kind]))
        for place, turn in enumerate(turns)
    ]


def row(name: str, gaps: Sequence[float]) -> tuple[str, ...]:
    """A line of the table."""
    return name, f"{len(gaps):,}", f"{mean(gap > 0 for gap in gaps):.1%}", f"{mean(gaps):.3f}"


def main() -> None:
    samples = read_samples(Path(sys.argv[1]))
    right = [each.total for each in scored(samples)]
    rows: list[tuple[str, ...]] = [("damage", "pairs", "right one above", "on average by")]
    for kind in DAMAGES:
        rows.append(row(kind, [gap for seed in SEEDS for gap in above(right, damaged(samples, kind, Random(seed)))]))
    rows += [row(f"one of each, seed {seed}", above(right, one_of_each(samples, seed))) for seed in SEEDS]
    table(rows)
    print(f"\n1,000 candidates in {seconds(samples):.2f} s")


def seconds(samples: Sequence[Sample]) -> float:
    """For scoring 1,000 candidates, no two of them alike, with all of them in the background."""
    candidates = []
    for number in range(1000):
        query, pair = samples[number % len(samples)].query, samples[number // 11 % len(samples)].pair
        text = f"{pair.answer} That makes {number}."
        candidates.append(
            Candidate(Query(f"{number}", f"{query.text}\n{number}"), (Pair(pair.instruction, text),), text)
        )
    background = ScoringContext(others=tuple(candidates))
    start = time.perf_counter()
    score_all(candidates, background)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
