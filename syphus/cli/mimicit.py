"""The output of the commands about MIMIC-IT files: the result of a check, the shares of a mixture, the statistics."""

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

_DECODED = {DecodeLevel.NONE: "not decoded", DecodeLevel.QUICK: "checked", DecodeLevel.FULL: "decoded"}
_HEAD = '{"findings": ['
STATS_HEADER = (
    "dataset",
    "language",
    "images",
    "instructions",
    "pairs per query",
    "words per question",
    "per answer",
)


class FindingPrinter:
    """Prints findings as they come, as there may be millions, and the rest at the end: lines, or one JSON object."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._printed = 0

    def show(self, finding: Finding) -> None:
        """Print one finding."""
        if self._json:
            print_text(f"{',' if self._printed else _HEAD}\n{orjson.dumps(finding._asdict()).decode()}")
            self._printed += 1
        else:
            print_lines(str(finding))

    def end(self, numbers: Mapping[str, object], lines: Sequence[str]) -> None:
        """End the object with the numbers, or print the lines."""
        if self._json:
            print_text(f"{'' if self._printed else _HEAD}\n],\n{orjson.dumps(numbers).decode()[1:]}\n")
        else:
            print_lines(*lines)


def verification_line(summary: VerifySummary) -> str:
    """Return what was checked and what was found, in one line."""
    pairs = sum(part.pairs for part in summary.parts)
    images = "images not checked"
    if summary.images is not None:
        images = f"{pluralize(summary.images, 'image')} {_DECODED[summary.decode]}"
    checked = f"{pluralize(pairs, 'pair')} in {pluralize(len(summary.parts), 'file')}, {images}"
    found = ", ".join(f"{times:,} {kind}" for kind, times in summary.problems.most_common())
    return f"{checked}: {pluralize(summary.problems.total(), 'problem')}{f' ({found})' if found else ''}"


def verification_as_json(summary: VerifySummary) -> dict[str, object]:
    """Return the same as JSON values."""
    return {
        "pairs": sum(part.pairs for part in summary.parts),
        "files": [str(part.part.instructions) for part in summary.parts],
        "images": summary.images,
        "decode": summary.decode.value,
        "problems": dict(summary.problems.most_common()),
        **({"notes": list(summary.notes)} if summary.notes else {}),
    }


def share_table(shares: Sequence[MixtureShare]) -> list[str]:
    """Return a line for each dataset: its pairs, the samples of an epoch, and its share of all samples."""
    rows = [("group", "dataset", "pairs", "samples", "share")]
    rows += [(s.group, s.name, f"{s.pairs:,}", f"{s.samples:,}", f"{s.ratio:.1%}") for s in shares]
    return align_columns(rows, 2)


def stats_rows(counted: Sequence[MimicitCounts]) -> list[tuple[str, ...]]:
    """Return a row for each file, as `STATS_HEADER` names its columns."""
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
