"""The output of the commands about MIMIC-IT files: checks, mixtures, statistics, and conversions of images."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

import orjson

from syphus.cli.streams import print_lines, print_text
from syphus.formats.mimicit.data_yaml import Finding
from syphus.formats.mimicit.images import DecodeLevel
from syphus.formats.mimicit.mix import MixtureShare
from syphus.formats.mimicit.stats import MimicitCounts, mean
from syphus.formats.mimicit.verify import VerifySummary
from syphus.io.durable import replace_file
from syphus.text import align_columns, one_line, pluralize, short_path

if TYPE_CHECKING:
    from syphus.images.convert import ConversionResult

_DECODED = {DecodeLevel.NONE: "not decoded", DecodeLevel.QUICK: "checked", DecodeLevel.FULL: "decoded"}
_REASONS = 4  # of skipped images that are shown
SHOWN = 5  #: findings of each kind that are printed
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
    """Prints findings as they come, and the rest at the end: lines, or one JSON object with all findings.

    There may be millions, so of each kind a few lines are printed, and once there are more, all findings go into
    `path`, one JSON object a line. With `show_all` each is printed. Use it as a context manager.
    """

    def __init__(self, json: bool, path: Path, show_all: bool = False) -> None:
        self._json = json
        self._path = path
        self._show_all = show_all or json
        self._shown: list[Finding] = []
        self._kinds: Counter[str] = Counter()
        self._opened = contextlib.ExitStack()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FindingPrinter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, traceback)

    def show(self, finding: Finding) -> None:
        """Print one finding, or keep it for the file."""
        self._kinds[finding.kind] += 1
        if self._json:
            begin = "," if self._kinds.total() > 1 else _HEAD
            print_text(f"{begin}\n{orjson.dumps(finding._asdict()).decode()}")
        elif self._show_all or self._kinds[finding.kind] <= SHOWN:
            print_lines(str(finding))
            if self._file is not None:
                self._write(finding)
            elif not self._show_all:
                self._shown.append(finding)
        else:
            if self._file is None:
                self._file = self._opened.enter_context(replace_file(self._path))
                for each in self._shown:
                    self._write(each)
            self._write(finding)

    def _write(self, finding: Finding) -> None:
        assert self._file is not None
        self._file.write(orjson.dumps(finding._asdict(), option=orjson.OPT_APPEND_NEWLINE))

    def end(self, numbers: Mapping[str, object], lines: Sequence[str]) -> None:
        """End the object with the numbers; or print how many were not shown, and the lines."""
        if self._json:
            print_text(f"{'' if self._kinds else _HEAD}\n],\n{orjson.dumps(numbers).decode()[1:]}\n")
            return
        if self._file is not None:
            self._opened.close()
            more = [f"... {count - SHOWN:,} more: {kind}" for kind, count in self._kinds.most_common() if count > SHOWN]
            where = f"All {self._kinds.total():,} are in {short_path(self._path)}; --all prints them."
            print_lines(*more, where)
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


def conversion_summary(done: ConversionResult, seconds: float) -> list[str]:
    """Return the numbers and files of a conversion."""
    parts = f" in {pluralize(done.parts, 'part')}" if done.parts > 1 else ""
    size = f"{done.bytes / 1e6:,.1f} MB" if done.bytes < 1e9 else f"{done.bytes / 1e9:,.2f} GB"
    each = f", {done.bytes / done.images / 1000:,.1f} kB each" if done.images else ""
    why = [f"{one_line(reason, 60)} ({count:,})" for reason, count in done.reasons.items()]
    shown = [
        *why[:_REASONS],
        *([f"{len(why) - _REASONS} more reasons"] * (len(why) > _REASONS)),
    ]
    reasons = f": {', '.join(shown)}" if shown else ""
    lines = [f"{pluralize(done.images, 'image')}{parts}, {size}{each}; {done.skipped:,} skipped{reasons}"]
    if done.new:
        lines.append(f"{done.new:,} of them new, {done.new / max(seconds, 1e-9):,.0f}/s")
    else:
        lines.append("Nothing to do: all images are already converted.")
    lines.append(f"Files: {', '.join(map(str, done.files))}")
    return lines


def conversion_as_json(done: ConversionResult) -> dict[str, object]:
    """Return the same as JSON values."""
    return {**done._asdict(), "files": [str(file) for file in done.files], "reasons": dict(done.reasons)}
