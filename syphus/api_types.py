"""What the functions of the Python API take and return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from syphus.config.option_types import EndpointValues, RunValues
from syphus.errors import SyphusError
from syphus.images.convert_options import ConversionValues
from syphus.io.text_files import local_file

if TYPE_CHECKING:
    from syphus.formats.report import RunResult, TranslationResult
    from syphus.plugins.contract import AbstractDataset
    from syphus.progress import PlainObserver
    from syphus.runs.reader import PairRecord

StrPath: TypeAlias = str | Path
Dataset: TypeAlias = "str | type[AbstractDataset]"


class DisplayOptions(TypedDict, total=False):
    """What is shown: `quiet` nothing, `verbose` each request, `log_file` all lines; an `observer` gets all instead."""

    quiet: bool
    verbose: bool
    log_file: StrPath | None
    observer: PlainObserver | None


class EndpointOptions(DisplayOptions, EndpointValues, total=False):
    """Options of everything that asks a model; see docs/commands.md for what each means."""


class RunOptions(EndpointOptions, RunValues, total=False):
    """Options of a run."""


class QuotedOptions(RunOptions, total=False):
    """Options of a quote."""

    pilot: int | None
    models: str | Sequence[str]


class ConversionOptions(DisplayOptions, ConversionValues, total=False):
    """Options of an image conversion."""


@dataclass(frozen=True)
class CompletedRun:
    """How a run ended. `counts` are its queries by state, `cost` is in dollars, None if a price is unknown.

    `stopped_by` is what stopped it early, else None; `exit_code` is that of the command.
    """

    folder: Path
    counts: Mapping[str, int]
    cost: float | None
    requests: int
    exit_code: int
    stopped_by: SyphusError | None
    files: tuple[Path, ...] = field(repr=False)
    result: RunResult = field(repr=False)

    def pairs(self) -> Iterator[PairRecord]:
        """Iterate over the accepted pairs of the run, in the order of the input."""
        from syphus.runs.reader import RunReader

        with RunReader(self.folder) as run_reader:
            yield from run_reader.pairs()

    def report(self) -> dict[str, object]:
        """Return what `report.json` holds."""
        from syphus.formats.report import as_json

        translated = self.result.translated
        report = self.result.report
        return as_json(report._replace(translation=translated.report.translation) if translated else report)


@dataclass(frozen=True)
class CompletedTranslation:
    """How a translation ended. `counts` are the pairs of each language by state; see `CompletedRun` for the rest."""

    counts: Mapping[str, Mapping[str, int]]
    cost: float | None
    requests: int
    exit_code: int
    stopped_by: SyphusError | None
    files: tuple[Path, ...] = field(repr=False)
    result: TranslationResult = field(repr=False)

    def report(self) -> dict[str, object]:
        """Return what `report.json` holds."""
        from syphus.formats.report import as_json

        return as_json(self.result.report)


def as_paths(paths: StrPath | Sequence[StrPath]) -> list[Path]:
    """Return one path or several as a list; a URL is fetched, and becomes the path of its local copy."""
    return [Path(local_file(path)) for path in ([paths] if isinstance(paths, str | Path) else paths)]
