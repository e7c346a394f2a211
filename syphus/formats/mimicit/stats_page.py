"""The numbers of MIMIC-IT files as one HTML page with small pictures, which needs no network and no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from syphus.formats.mimicit.stats import MimicitCounts, mean
from syphus.io.durable import replacing
from syphus.text import one_line

_BINS = 20  # bars of a picture, at the most
_WIDTH, _LABEL, _ROW = 340, 120, 18  # pixels
_LETTERS = 18  # of a label

_STYLE = """
:root { color-scheme: light dark; --bar: #4878a8; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); }
th, td { text-align: right; } th:first-child, td:first-child { text-align: left; }
p { overflow-wrap: anywhere; } .wide { overflow-x: auto; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem 3rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { max-width: 100%; }
svg rect { fill: var(--bar); } svg text { font-size: 12px; fill: currentColor; }
"""


def write_stats_page(
    path: Path, counted: Sequence[MimicitCounts], heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Writes the page, UTF-8: the table with `heads` and `rows`, and pictures of each file.

    Raises `StorageError` where the disk fails.
    """
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>MIMIC-IT in numbers</title>\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>MIMIC-IT in numbers</h1>\n",
        f'<div class="wide"><table>\n<tr>{_cells("th", heads)}</tr>\n',
        *(f"<tr>{_cells('td', row)}</tr>\n" for row in rows),
        "</table></div>\n",
        *(_section(each) for each in counted),
        "</body>\n</html>\n",
    ]
    with replacing(path) as file:
        file.write("".join(parts).encode())


def _cells(tag: str, cells: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)


def _section(counted: MimicitCounts) -> str:
    title = f"{counted.name} {counted.language}".strip()
    pictures = [
        _picture("Words of a question", histogram(counted.question_words)),
        _picture("Words of an answer", histogram(counted.answer_words)),
        _picture("Pairs per query", histogram(counted.pairs_per_query)),
        _picture("How questions begin", counted.openings.most_common(_BINS)),
    ]
    told = f"{counted.pairs:,} pairs, {mean(counted.pairs_per_query):.1f} per query. {counted.file}"
    return (
        f"<h2>{escape(title)}</h2>\n<p>{escape(told)}</p>\n"
        f'<div class="pictures">\n{"".join(pictures)}</div>\n'
    )  # fmt: skip


def histogram(counter: Counter[int]) -> list[tuple[str, int]]:
    """So few bars that they can be looked at; the last takes the longest hundredth, however long it is."""
    if not counter:
        return []
    first, end = min(counter), _highest(counter) + 1
    step = -(-(end - first) // _BINS)
    bars = []
    for low in range(first, end, step):
        last = low + step >= end
        times = sum(counter[value] for value in counter if low <= value and (last or value < low + step))
        high = max(counter) if last else low + step - 1
        bars.append((f"{low}" if low == high else f"{low} to {high}", times))
    return bars


def _highest(counter: Counter[int]) -> int:
    """The number that 99 of 100 do not pass."""
    left = counter.total() * 99 / 100
    for value in sorted(counter):
        left -= counter[value]
        if left <= 0:
            return value
    return max(counter)


def _picture(title: str, bars: Sequence[tuple[str, int]]) -> str:
    """A bar a line: its label, the bar, the number."""
    highest = max((times for _, times in bars), default=1)
    lines = []
    for row, (label, times) in enumerate(bars):
        y, width = row * _ROW, round(times / highest * (_WIDTH - _LABEL - 70))
        lines.append(
            f'<text x="{_LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(one_line(label, _LETTERS))}</text>'
            f'<rect x="{_LABEL}" y="{y + 2}" width="{width}" height="{_ROW - 4}"/>'
            f'<text x="{_LABEL + width + 6}" y="{y + 13}">{times:,}</text>\n'
        )
    height = max(1, len(bars)) * _ROW
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>\n"
        f'<svg width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n{"".join(lines)}</svg></figure>\n'
    )
