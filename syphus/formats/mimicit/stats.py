"""MIMIC-IT files in numbers: images, pairs, queries and words, from one pass over each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from syphus.formats.mimicit.data_yaml import MixtureGroup
from syphus.formats.mimicit.discovery import file_language, file_prefix
from syphus.formats.mimicit.ids import IdSet
from syphus.formats.mimicit.verify import text_list
from syphus.io.records import field, read_nested_items
from syphus.text import in_words

_OPENING = 2  # words


class MimicitCounts(NamedTuple):
    """One instruction file. The counters say how many queries, or texts, have so many pairs, or words.

    A query is pairs that stand together, have the same images, and the same id but for what is behind its last "_".
    """

    name: str
    language: str
    file: str
    images: int
    pairs: int
    pairs_per_query: Counter[int]
    question_words: Counter[int]
    answer_words: Counter[int]
    openings: Counter[str]

    @property
    def queries(self) -> int:
        """How many there are."""
        return sum(self.pairs_per_query.values())


def count_files(groups: Iterable[MixtureGroup]) -> list[MimicitCounts]:
    """Counts every file of the groups once. Raises `InputError` where a file or a pair can't be read."""
    parts = {part.instructions: part for group in groups for part in group.parts}
    return [count_file(path) for path in parts]


def count_file(path: Path) -> MimicitCounts:
    """Counts one file. Raises `InputError` where it or a pair can't be read."""
    pairs, run, last = 0, 0, ([""], "")
    per_query, questions, answers = Counter[int](), Counter[int](), Counter[int]()
    openings = Counter[str]()
    with IdSet() as images:
        for name, entry in read_nested_items(path, "data"):
            pairs += 1
            asked = in_words(field(entry, "instruction", str))
            questions[len(asked)] += 1
            answers[len(in_words(field(entry, "answer", str)))] += 1
            openings[" ".join(asked[:_OPENING]).lower()] += 1
            own = text_list(entry, "image_ids")
            query = (own, name.rpartition("_")[0])
            if query != last:
                per_query[run] += 1
                images.add_all(own)
                run, last = 0, query
            run += 1
        per_query[run] += 1
        del per_query[0]  # before the first pair there was none
        return MimicitCounts(
            *(file_prefix(path), file_language(path), str(path), len(images), pairs),
            *(per_query, questions, answers, openings),
        )


def mean(counter: Counter[int]) -> float:
    """The mean of the numbers that were counted; 0 of none."""
    total = counter.total()
    return sum(value * times for value, times in counter.items()) / total if total else 0.0


def median(counter: Counter[int]) -> int:
    """The lower median of the numbers that were counted; 0 of none."""
    left = (counter.total() + 1) // 2
    for value in sorted(counter):
        left -= counter[value]
        if left <= 0:
            return value
    return 0


def as_json(counted: MimicitCounts) -> dict[str, object]:
    """The numbers as JSON values."""
    return {
        "dataset": counted.name,
        "language": counted.language or None,
        "file": counted.file,
        "images": counted.images,
        "instructions": counted.pairs,
        "queries": counted.queries,
        "pairs_per_query": _spread(counted.pairs_per_query),
        "question_words": _spread(counted.question_words),
        "answer_words": _spread(counted.answer_words),
        "openings": dict(counted.openings.most_common(20)),
    }


def _spread(counter: Counter[int]) -> dict[str, float]:
    return {"mean": round(mean(counter), 2), "median": median(counter), "max": max(counter, default=0)}
