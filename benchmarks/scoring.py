"""Do the heuristics see damage? Reference answers against damaged copies of them, kind by kind; and the speed.

python benchmarks/scoring.py FOLDER

The folder holds LLaVA's evaluation on COCO, which is not in the repository: `caps_boxes_coco2014_val_80.jsonl`
(captions and boxes) and `gpt4_qa_30x3.jsonl` (three reference answers for each of 30 images). Each reference answer becomes one
candidate, and so does each damaged copy of it. Ninety copies are one of each answer, the kinds in turn; all are every
kind of damage to every answer that it can be done to.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import mean

from common import table
from damage import DAMAGES, Sample, damaged

from syphus.selection import Background, Candidate, Scored, score_all
from syphus.types import Pair, Query

SEEDS = range(5)


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


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def scored(samples: Sequence[Sample]) -> list[Scored]:
    candidates = [Candidate(each.query, (each.pair,), each.pair.answer) for each in samples]
    return score_all(candidates, Background())


def main() -> None:
    samples = read_samples(Path(sys.argv[1]))
    right = [each.total for each in scored(samples)]
    rows: list[tuple[str, ...]] = [("damage", "pairs", "right one above", "on average by")]
    ninety: list[float] = []
    for kind in DAMAGES:
        gaps: list[float] = []
        for seed in SEEDS:
            copies = damaged(samples, kind, Random(seed))
            totals = [each.total for each in scored([copy for _, copy in copies])]
            here = [(place, right[place] - total) for (place, _), total in zip(copies, totals, strict=True)]
            gaps += [gap for _, gap in here]
            ninety += [gap for place, gap in here if list(DAMAGES)[place % len(DAMAGES)] == kind]
        rows.append((kind, f"{len(gaps):,}", f"{mean(gap > 0 for gap in gaps):.1%}", f"{mean(gaps):.3f}"))
    rows.append(("one of each", f"{len(ninety):,}", f"{mean(gap > 0 for gap in ninety):.1%}", f"{mean(ninety):.3f}"))
    table(rows)
    many = samples * (1000 // len(samples) + 1)
    start = time.perf_counter()
    scored(many[:1000])
    print(f"\n1,000 candidates in {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
