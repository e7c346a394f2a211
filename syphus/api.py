"""The public Python API: what the commands do, as functions for scripts and notebooks.

Each function takes the options of its command by their names, with underscores for dashes. Only `yes` has another
default: a script is not asked whether it may spend money. A `SyphusError` is what ends the command with exit code 2. A
run that stopped early returns a result, and `stopped_by` says why. All work inside a running event loop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from syphus.api_exports import balance as balance
from syphus.api_exports import export as export
from syphus.api_exports import push as push
from syphus.api_exports import verify as verify
from syphus.api_types import CompletedRun as CompletedRun
from syphus.api_types import CompletedTranslation as CompletedTranslation
from syphus.api_types import ConversionOptions as ConversionOptions
from syphus.api_types import Dataset, EndpointOptions, QuotedOptions, StrPath, as_paths
from syphus.api_types import DisplayOptions as DisplayOptions
from syphus.api_types import RunOptions as RunOptions
from syphus.config.options import Options, QuoteOptions, make_options
from syphus.errors import machine_faults
from syphus.images.convert_options import ConvertOptions

if TYPE_CHECKING:
    from syphus.images.convert import ConversionResult
    from syphus.pipeline.observer import Observer
    from syphus.progress import PlainObserver
    from syphus.runs.control import ControlState, ControlValues
    from syphus.runs.preview import Preview, PreviewedQuery
    from syphus.runs.quote import Quote
    from syphus.runs.reader import RunReader, RunSummary
    from syphus.runs.rows import TriedRows
    from syphus.viewer.write_page import WrittenFile


@machine_faults()
def run(dataset: Dataset, **options: Unpack[RunOptions]) -> CompletedRun:
    """Generate the pairs of a dataset, or resume an interrupted run.

    `dataset` is the name of a plugin, such as "SpotTheDifference.change", or a plugin class. Raises `UsageError` if
    nothing could be sent, and `StorageError` if the ledger is lost.
    """
    from syphus.pipeline.observer import call

    with _display(options) as observer:
        return call(partial(_run, dataset, options), observer)


async def run_async(dataset: Dataset, **options: Unpack[RunOptions]) -> CompletedRun:
    """Do what `run` does, without blocking the event loop.

    When it is cancelled, it sends nothing more, waits up to `drain` seconds for the requests in flight, and saves them.
    """
    from syphus.pipeline.observer import call_async

    with machine_faults(), _display(options) as observer:
        return await call_async(partial(_run, dataset, options), observer)


def _run(dataset: Dataset, values: RunOptions, observer: Observer) -> CompletedRun:
    from syphus.main_job import run as run_main_job
    from syphus.plugins.discovery import dataset_name, find_plugin

    options = make_options(Options, {"yes": True, **_without_display(values), "name": dataset_name(dataset)})
    result = run_main_job(options, os.environ, observer)
    name = find_plugin(options.name, options.datasets_dir).name  # in the order Class.module
    report, translated = result.report, result.translated
    return CompletedRun(
        folder=options.output_dir / name / options.dataset_version,
        counts={state.value: count for state, count in report.counts.states.items()},
        cost=translated.report.cost if translated else report.cost,
        requests=(translated.report if translated else report).spending.requests,
        exit_code=result.exit_code,
        stopped_by=result.stopped_by or (translated.stopped_by if translated else None),
        files=tuple(map(Path, (*result.files, *(translated.files if translated else ())))),
        result=result,
    )


@machine_faults()
def quote(dataset: Dataset, **options: Unpack[QuotedOptions]) -> Quote:
    """Say what a run has already, and what the rest takes in tokens, dollars and minutes, with 90% intervals.

    The options are those of `run`. It sends nothing and needs no key, unless `pilot` is given: so many rows are asked
    first, and the run then has their answers. `models` are other models to quote. Raises `UsageError` if a model has no
    price, or if a run could not begin either; `StorageError` if the ledger is lost.
    """
    from syphus.pipeline.observer import call

    with _display(options) as observer:
        return call(partial(_quote, dataset, options), observer)


def _quote(dataset: Dataset, values: QuotedOptions, observer: Observer) -> Quote:
    from syphus.main_job import quote as quote_main_job
    from syphus.plugins.discovery import dataset_name

    given = _without_display(values)
    own: dict[str, object] = {name: given.pop(name) for name in ("pilot", "models") if name in given}
    options = make_options(Options, {**given, "name": dataset_name(dataset)})
    return quote_main_job(options, make_options(QuoteOptions, own), os.environ, observer)


@machine_faults()
def preview(
    dataset: Dataset,
    count: int = 3,
    *,
    sample: bool = False,
    show: Callable[[PreviewedQuery], None] | None = None,
    **options: Unpack[RunOptions],
) -> Preview:
    """Return the exact messages of a few rows, and what all rows take. It sends nothing, and needs no key.

    The rows are the first `count`, or a random `sample` by the seed; each goes to `show`, if given, instead of into the
    result. Options are those of `run`. Raises `UsageError`, also if two different rows have the same id.
    """
    from syphus.plugins.discovery import dataset_name
    from syphus.runs.preview import Preview
    from syphus.runs.preview import preview as preview_rows

    queries: list[PreviewedQuery] = []
    chosen = make_options(Options, {**_without_display(options), "name": dataset_name(dataset)})
    total = preview_rows(chosen, os.environ, count, show or queries.append, sample)
    return Preview(tuple(queries), total)


@machine_faults()
def try_rows(dataset: Dataset, count: int = 3, *, sample: bool = False, **options: Unpack[RunOptions]) -> TriedRows:
    """Ask about a few rows and return them with answers, pairs, verdicts and cost; the run then has these answers.

    The rows are the first `count`, or a random `sample` by the seed. Options and errors are those of `run`.
    """
    from syphus.main_job import try_rows as try_some
    from syphus.pipeline.observer import call
    from syphus.plugins.discovery import dataset_name

    values = {"yes": True, **_without_display(options), "name": dataset_name(dataset)}
    with _display(options) as observer:
        return call(partial(try_some, make_options(Options, values), count, sample, os.environ), observer)


@machine_faults()
def resume(
    folder: StrPath, *, from_: StrPath = "", **options: Unpack[RunOptions]
) -> CompletedRun | CompletedTranslation:
    """Continue the newest command of a run, a run or its translation, from any folder.

    `options` replace those that it was given. With `from_`, the folder is made from the newest snapshot at that path or
    URL first, and snapshots continue there. Raises what `run` does, and `RunError` if the run keeps no command, or if
    there is no snapshot.
    """
    from syphus.pipeline.observer import call
    from syphus.runs.run_settings import RUN, pipeline_of, resumed_options
    from syphus.text import short_path

    with _display(options) as observer:
        if from_:
            from syphus.runs.snapshots import restore

            for line in restore(Path(folder).absolute(), str(from_)):
                observer.say(line)
            options.setdefault("snapshot", str(from_))
        command, chosen = resumed_options(Path(folder), _without_display(options))
        if pipeline := pipeline_of(Path(folder)):
            everything = f"syphus run {short_path(Path(pipeline))}"
            observer.say(f"This goes on with the newest stage of a pipeline alone; with all of them: {everything}")
        values: Any = {each.name: getattr(chosen, each.name) for each in fields(chosen)}  # as the functions below do
        if command == RUN:
            return call(partial(_run, values.pop("name"), values), observer)
        return call(partial(_translate, Path(folder), None, values), observer)


@machine_faults()
def list_runs(output: StrPath = "output") -> list[RunSummary]:
    """Return the runs in and below a folder: state, counts, cost, age and command.

    Raises `RunError` if there is no such folder.
    """
    from syphus.runs.reader import find_runs, summarize_run

    return [summarize_run(folder) for folder in find_runs(Path(output))]


@machine_faults()
def translate(
    path: StrPath, output_dir: StrPath | None = None, **options: Unpack[EndpointOptions]
) -> CompletedTranslation:
    """Translate the pairs of a run's folder, or of a MIMIC-IT file, or resume an interrupted translation.

    `output_dir` is the folder for the translations of a file, by default beside it. Raises what `run` does.
    """
    from syphus.pipeline.observer import call

    with _display(options) as observer:
        return call(partial(_translate, Path(path), output_dir, options), observer)


def _translate(
    path: Path, output_dir: StrPath | None, values: EndpointOptions, observer: Observer
) -> CompletedTranslation:
    from syphus.translation.job import translate as translate_pairs

    options = make_options(Options, {"yes": True, **_without_display(values)})
    result = translate_pairs(path, Path(output_dir) if output_dir is not None else None, options, os.environ, observer)
    languages = result.report.translation.languages if result.report.translation else []
    return CompletedTranslation(
        counts={each.code: {s.value: n for s, n in each.counts.states.items()} for each in languages},
        cost=result.report.cost,
        requests=result.report.spending.requests,
        exit_code=result.exit_code,
        stopped_by=result.stopped_by,
        files=tuple(map(Path, result.files)),
        result=result,
    )


@machine_faults()
def convert(dataset: Dataset = "", **options: Unpack[ConversionOptions]) -> ConversionResult:
    """Make the image store of a dataset from its stills or videos, or of another store with `from_`.

    Raises `UsageError` for options that do not fit, and if too many images are bad; `StorageError` if the disk fails.
    """
    from syphus.pipeline.observer import call

    with _display(options) as observer:
        return call(partial(_convert, dataset, options), observer)


def _convert(dataset: Dataset, values: ConversionOptions, observer: Observer) -> ConversionResult:
    from syphus.images.convert import ConversionProgressFormatter
    from syphus.images.convert import convert as convert_images
    from syphus.images.convert_options import check_options, with_copies
    from syphus.plugins.discovery import dataset_name

    options = make_options(ConvertOptions, {**_without_display(values), "name": dataset_name(dataset)})
    check_options(options)
    options = with_copies(options)
    progress = ConversionProgressFormatter(observer.converting)
    callbacks = progress.update, observer.say, progress.update_download
    if not options.ray:
        return convert_images(options, *callbacks)
    from syphus.cluster.ray_convert import ray_pool  # loaded only for --ray

    return convert_images(options, *callbacks, open_pool=ray_pool(options))


@machine_faults()
def open_run(folder: StrPath) -> RunReader:
    """Open the run in a folder for reading; use it in a `with` block. Raises `RunError` if the folder holds no run."""
    from syphus.runs.reader import RunReader

    return RunReader(folder)


@machine_faults()
def control(folder: StrPath, *, stop: bool = False, who: str = "", **changes: Unpack[ControlValues]) -> ControlState:
    """Change a run while it works, or stop it; without changes, return the settings in force and what was changed.

    None lifts a limit; `who` is the person. Raises `RunError` if it is not working, `ConfigError` for wrong values.
    """
    from syphus.runs.control import change_run, control_state

    return change_run(Path(folder), changes, stop, who) if changes or stop else control_state(Path(folder))


@machine_faults()
def view(
    paths: StrPath | Sequence[StrPath] = "output",
    images: StrPath | Sequence[StrPath] = (),
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    browser: bool = False,
    write: StrPath | None = None,
    page: str = "overview",
    fonts: StrPath | Sequence[StrPath] = (),
) -> WrittenFile | None:
    """Show runs on a local page until Ctrl-C; its address, with a token, is printed, and opened in a browser if wanted.

    With `write`, it writes one `page` of a run, such as `overview` or `queries?state=invalid`, as an HTML file that
    stands alone; `fonts` have letters that readers may lack. `paths` are folders of runs, or with runs below, `images`
    those of images. Raises `RunError` if there is no run, `ConfigError` if the port (default: 8777) can't be used.
    """
    from syphus.viewer.server import view_runs
    from syphus.viewer.write_page import write_page

    if write is not None:
        return write_page(as_paths(paths), Path(write), page, as_paths(fonts), as_paths(images))
    view_runs(as_paths(paths), as_paths(images), host, port, browser)
    return None


def _without_display(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name not in DisplayOptions.__annotations__}


@contextlib.contextmanager
def _display(options: DisplayOptions) -> Iterator[PlainObserver]:
    from syphus.progress import open_observer

    if (observer := options.get("observer")) is not None:
        yield observer
        return
    path = None if (log_file := options.get("log_file")) is None else Path(log_file)
    with open_observer(options.get("quiet", False), options.get("verbose", False), path) as opened:
        yield opened
