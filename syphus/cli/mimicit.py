"""The commands about MIMIC-IT files: verify, mix and stats. Thin, as those in cli.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from syphus.cli.streams import print_lines, print_text
from syphus.formats.mimicit.data_yaml import Finding
from syphus.formats.mimicit.images import DecodeLevel
from syphus.formats.mimicit.mix import MixtureShare
from syphus.formats.mimicit.stats import MimicitCounts, mean
from syphus.formats.mimicit.verify import VerifySummary
from syphus.text import align_columns, pluralize

# FOLDED from corpus.py:
# What people read about MIMIC-IT files: the summary of a check, the shares of a mixture, the table of numbers.

LOOKED = {DecodeLevel.NONE: "not decoded", DecodeLevel.QUICK: "looked at", DecodeLevel.FULL: "decoded"}
_HEAD = '{"findings": ['
HEADS = ("dataset", "language", "images", "instructions", "pairs per query", "words of a question", "of an answer")


class FindingPrinter:
    """Tells findings as they come, which may be millions, and the rest at the end: as lines, or as one JSON object."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._told = 0

    def tell(self, finding: Finding) -> None:
        """Tells one."""
        if self._json:
            print_text(f"{',' if self._told else _HEAD}\n{orjson.dumps(finding._asdict()).decode()}")
            self._told += 1
        else:
            print_lines(str(finding))

    def end(self, numbers: Mapping[str, object], lines: Sequence[str]) -> None:
        """Ends the object with the numbers, or tells the lines."""
        if self._json:
            print_text(f"{'' if self._told else _HEAD}\n],\n{orjson.dumps(numbers).decode()[1:]}\n")
        else:
            print_lines(*lines)


def checked(summary: VerifySummary) -> str:
    """What was looked at, and what was found, in one line."""
    pairs = sum(part.pairs for part in summary.parts)
    images = "images not checked"
    if summary.images is not None:
        images = f"{pluralize(summary.images, 'image')} {LOOKED[summary.decode]}"
    seen = f"{pluralize(pairs, 'pair')} in {pluralize(len(summary.parts), 'file')}, {images}"
    found = ", ".join(f"{times:,} {kind}" for kind, times in summary.problems.most_common())
    return f"{seen}: {pluralize(summary.problems.total(), 'problem')}{f' ({found})' if found else ''}"


def as_json(summary: VerifySummary) -> dict[str, object]:
    """The same for programs."""
    return {
        "pairs": sum(part.pairs for part in summary.parts),
        "files": [str(part.part.instructions) for part in summary.parts],
        "images": summary.images,
        "decode": summary.decode.value,
        "problems": dict(summary.problems.most_common()),
    }


def mixture(shares: Sequence[MixtureShare]) -> list[str]:
    """One line a dataset: what can be drawn, how many samples that was made, and its share of all."""
    rows = [("group", "dataset", "pairs", "samples", "share")]
    rows += [(s.group, s.name, f"{s.pairs:,}", f"{s.samples:,}", f"{s.ratio:.1%}") for s in shares]
    return align_columns(rows, 2)


def numbers(counted: Sequence[MimicitCounts]) -> list[tuple[str, ...]]:
    """The table without its heads: a row for each file."""
    return [
        (
            each.name,
            each.language or "-",
            f"{each.images:,}",
            f"{each.pairs:,}",
            f"{mean(each.pairs_per_query):.1f}",
            f"{mean(each.question_words):.1f}",
            f"{mean(each.answer_words):.1f}",
        )
        for each in counted
    ]
