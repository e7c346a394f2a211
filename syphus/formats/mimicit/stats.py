"""Counts the images, pairs, queries and words of MIMIC-IT files, as JSON and as an HTML page.

Each file is read once. The page has a table and charts, and needs no network and no script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from syphus.formats.html_page import Html, card, table, tag, write_document
from syphus.formats.mimicit.data_yaml import MixtureGroup
from syphus.formats.mimicit.discovery import file_language, file_prefix
from syphus.formats.mimicit.entries import entry_text, read_entries, text_list
from syphus.formats.mimicit.ids import IdSet
from syphus.text import one_line, split_words

_OPENING_WORDS = 2  # of an instruction

_MAX_BARS = 20  # of a chart
_WIDTH, _LABEL_WIDTH, _BAR_HEIGHT = 340, 120, 18  # pixels
_LABEL_LENGTH = 18  # characters


class MimicitCounts(NamedTuple):
    """The counts of one instruction file. A counter maps a number of pairs, or words, to how often it occurs.

    A query is a row of neighbouring pairs with the same images and the same id up to its last "_".
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
        """The number of queries."""
        return sum(self.pairs_per_query.values())


def count_files(groups: Iterable[MixtureGroup]) -> list[MimicitCounts]:
    """Count each file of the groups once. Raises `InputError` if a file or a pair can't be read."""
    parts = {part.instructions: part for group in groups for part in group.parts}
    return [count_file(path) for path in parts]


def count_file(path: Path) -> MimicitCounts:
    """Count one file. Raises `InputError` if the file or a pair can't be read."""
    pairs, pairs_of_query, last = 0, 0, ([""], "")
    per_query, questions, answers = Counter[int](), Counter[int](), Counter[int]()
    openings = Counter[str]()
    with IdSet() as images:
        for name, entry in read_entries(path):
            pairs += 1
            question = split_words(entry_text(path, name, entry, "instruction"))
            questions[len(question)] += 1
            answers[len(split_words(entry_text(path, name, entry, "answer")))] += 1
            openings[" ".join(question[:_OPENING_WORDS]).lower()] += 1
            image_ids = text_list(entry, "image_ids")
            query = (image_ids, name.rpartition("_")[0])
            if query != last:
                per_query[pairs_of_query] += 1
                images.add_all(image_ids)
                pairs_of_query, last = 0, query
            pairs_of_query += 1
        per_query[pairs_of_query] += 1
        del per_query[0]  # counted before the first pair
        return MimicitCounts(
            *(file_prefix(path), file_language(path), str(path), len(images), pairs),
            *(per_query, questions, answers, openings),
        )


def mean(counter: Counter[int]) -> float:
    """Return the mean of the counted numbers; 0 if there are none."""
    total = counter.total()
    return sum(value * times for value, times in counter.items()) / total if total else 0.0


def median(counter: Counter[int]) -> int:
    """Return the lower median of the counted numbers; 0 if there are none."""
    left = (counter.total() + 1) // 2
    for value in sorted(counter):
        left -= counter[value]
        if left <= 0:
            return value
    return 0


def as_json(counted: MimicitCounts) -> dict[str, object]:
    """Return the counts as JSON values."""
    return {
        "dataset": counted.name,
        "language": counted.language or None,
        "file": counted.file,
        "images": counted.images,
        "instructions": counted.pairs,
        "queries": counted.queries,
        "pairs_per_query": _distribution(counted.pairs_per_query),
        "question_words": _distribution(counted.question_words),
        "answer_words": _distribution(counted.answer_words),
        "openings": dict(counted.openings.most_common(20)),
    }


def _distribution(counter: Counter[int]) -> dict[str, float]:
    return {"mean": round(mean(counter), 2), "median": median(counter), "max": max(counter, default=0)}


def write_stats_page(
    path: Path, counted: Sequence[MimicitCounts], heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Write the page in UTF-8: a table with `heads` and `rows`, and charts for each file.

    Raises `StorageError` if the disk fails.
    """
    numbers = card("", table(heads, rows, "Files", first_number=1))
    write_document(path, "MIMIC-IT statistics", [numbers, *map(_section, counted)])


def _section(counted: MimicitCounts) -> Html:
    charts = [
        _chart("Words per question", histogram(counted.question_words)),
        _chart("Words per answer", histogram(counted.answer_words)),
        _chart("Pairs per query", histogram(counted.pairs_per_query)),
        _chart("First words of questions", counted.openings.most_common(_MAX_BARS)),
    ]
    summary = f"{counted.pairs:,} pairs, {mean(counted.pairs_per_query):.1f} per query. {counted.file}"
    heading = f"{counted.name} {counted.language}".strip()
    return card(heading, tag("p", {"class": "note"}, summary), tag("div", {"class": "charts"}, charts))


def histogram(counter: Counter[int]) -> list[tuple[str, int]]:
    """Return at most 20 bars as (label, count). The last bar also takes the highest hundredth of the numbers."""
    if not counter:
        return []
    first, end = min(counter), _percentile_99(counter) + 1
    step = -(-(end - first) // _MAX_BARS)
    bars = []
    for low in range(first, end, step):
        last = low + step >= end
        times = sum(counter[value] for value in counter if low <= value and (last or value < low + step))
        high = max(counter) if last else low + step - 1
        bars.append((f"{low}" if low == high else f"{low} to {high}", times))
    return bars


def _percentile_99(counter: Counter[int]) -> int:
    left = counter.total() * 99 / 100
    for value in sorted(counter):
        left -= counter[value]
        if left <= 0:
            return value
    return max(counter)


def _chart(title: str, bars: Sequence[tuple[str, int]]) -> Html:
    """Draw one bar per line: label, bar, count."""
    highest = max((times for _, times in bars), default=1)
    lines = []
    for row, (label, times) in enumerate(bars):
        y, width = row * _BAR_HEIGHT, round(times / highest * (_WIDTH - _LABEL_WIDTH - 70))
        at = {"y": str(y + 13)}
        bar = {"y": str(y + 2), "width": str(width), "height": str(_BAR_HEIGHT - 4), "rx": "2"}
        lines += [
            tag("text", {"x": str(_LABEL_WIDTH - 8), "text-anchor": "end", **at}, one_line(label, _LABEL_LENGTH)),
            tag("rect", {"x": str(_LABEL_WIDTH), **bar}),
            tag("text", {"x": str(_LABEL_WIDTH + width + 6), **at}, times),
        ]
    height = max(1, len(bars)) * _BAR_HEIGHT
    drawing = {"width": str(_WIDTH), "height": str(height), "viewBox": f"0 0 {_WIDTH} {height}", "role": "img"}
    return tag("figure", None, tag("figcaption", None, title), tag("svg", {**drawing, "aria-label": title}, lines))
