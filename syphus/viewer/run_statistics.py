"""How many pairs, words and images a run has, as `stats` counts them for files: exactly, or from an even sample.

A run of millions of queries is sampled in blocks that lie evenly over it, so the page comes in a moment while the run
works. It says what share was counted.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import orjson

from syphus.formats.mimicit.stats import histogram, mean, median
from syphus.ledger.serialization import load_pairs
from syphus.ledger.store import Columns, Store
from syphus.runs.run_settings import GENERATE
from syphus.text import split_words
from syphus.types import State
from syphus.viewer.ledger_access import read_ledger

_BLOCKS, _BLOCK = 100, 100  #: how many, and queries of each: 10,000 queries are counted exactly
_OPENING_WORDS, _OPENINGS = 2, 20


def read_statistics(folder: Path) -> dict[str, object]:
    """Return the counts of a run's accepted pairs as JSON values."""
    extent, states, pairs = read_ledger(folder, _extent)
    total = sum(states.values())
    step = max(_BLOCK, -(-extent // _BLOCKS))
    counted = _Counted()
    for first in range(0, extent, step):
        counted.add(read_ledger(folder, partial(_rows, first=first)))  # a short snapshot each
    return {
        "queries": total,
        "states": states,
        "pairs": pairs,
        "counted": counted.queries,
        "is_exact": step == _BLOCK,
        **counted.as_json(),
    }


class _Counted:
    """What was counted so far, over queries that are ok."""

    def __init__(self) -> None:
        self.queries = 0
        self.pairs: Counter[int] = Counter()
        self.images: Counter[int] = Counter()
        self.question_words: Counter[int] = Counter()
        self.answer_words: Counter[int] = Counter()
        self.annotation_words: Counter[int] = Counter()
        self.openings: Counter[str] = Counter()

    def add(self, rows: list[Columns]) -> None:
        for text, image_ids, stored in rows:
            self.queries += 1
            pairs = load_pairs(stored or "[]")
            self.pairs[len(pairs)] += 1
            self.images[len(orjson.loads(image_ids))] += 1
            self.annotation_words[len(split_words(text))] += 1
            for pair in pairs:
                question = split_words(pair.instruction)
                self.question_words[len(question)] += 1
                self.answer_words[len(split_words(pair.answer))] += 1
                self.openings[" ".join(question[:_OPENING_WORDS]).lower()] += 1

    def as_json(self) -> dict[str, object]:
        named = {
            "pairs_per_query": self.pairs,
            "images_per_query": self.images,
            "question_words": self.question_words,
            "answer_words": self.answer_words,
            "annotation_words": self.annotation_words,
        }
        return {
            "distributions": {name: _distribution(each) for name, each in named.items()},
            "openings": [{"label": text, "value": count} for text, count in self.openings.most_common(_OPENINGS)],
        }


def _distribution(counter: Counter[int]) -> dict[str, object]:
    return {
        "mean": round(mean(counter), 2),
        "median": median(counter),
        "max": max(counter, default=0),
        "bars": [{"label": label, "value": count} for label, count in histogram(counter)],
    }


def _extent(store: Store) -> tuple[int, dict[str, int], int]:
    """Return the number of positions of the input, the queries by state, and the pairs."""
    highest = store.read_value("SELECT max(position) FROM query WHERE stage = ?", GENERATE)
    states = dict.fromkeys((state.value for state in State), 0)
    pairs = 0
    counted = store.read("SELECT kind, sum(times), sum(pairs) FROM tally WHERE stage = ? GROUP BY 1", GENERATE)
    for kind, times, found in counted:
        if kind in states:
            states[kind] += times
            pairs += found
    return (0 if highest is None else int(highest) + 1), states, pairs


def _rows(store: Store, first: int) -> list[Columns]:
    """Return annotation, image ids and pairs of the queries of a block that are ok."""
    return store.read(
        "SELECT a.text, a.image_ids, r.pairs FROM query q JOIN annotation a USING (n) LEFT JOIN result r USING (n) "
        "WHERE q.stage = ? AND q.position >= ? AND q.position < ? AND q.state = 'ok'",
        *(GENERATE, first, first + _BLOCK),
    )
