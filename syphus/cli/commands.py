"""The commands besides the main job. Each reads its options, calls one function, and prints what comes back.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from syphus.cli.parameters import (
    JUDGE_OPTIONS,
    CorpusPaths,
    arguments,
    with_fields,
    with_observer,
    with_options,
)
from syphus.cli.streams import given_command, print_as_json, print_lines, program, say
from syphus.config.options import ColdStartOptions, Options, QuoteOptions
from syphus.errors import ConfigError
from syphus.images.convert_options import ConvertOptions
from syphus.text import SIMULATED_NOTICE, align_columns

if TYPE_CHECKING:
    from syphus.progress import PlainObserver

FindingsFile = Annotated[
    Path, typer.Option("--list-in", metavar="FILE", help="File for all findings, if not all of them are printed.")
]
ShowAll = Annotated[bool, typer.Option("--all", help="Print all findings, not five of each kind.")]

#: Options of the main job that say which pairs to generate, or where to keep them.
_ROW_OPTIONS = frozenset({
    "name", "query_inputs_path", "example", "slice_start", "slice_end", "random_sample", "prompt_path", "datasets_dir",
    "output_dir", "dataset_version", "no_sharing", "pack", "retry_reason",
}) | JUDGE_OPTIONS  # fmt: skip
_TRANSLATION_NAMES = ("Translation.translate", "translate.Translation")  # of the first Syphus


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the dataset, such as Street.")],
    query_inputs_path: Annotated[
        str,
        typer.Option(
            "--query-inputs-path", "-in", metavar="FILE", help="Annotations: CSV, TSV, JSON, JSON Lines or Parquet."
        ),
    ],
    text: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the text, if the guess is wrong.")] = "",
    id_column: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="Column of the id; rows with the same id become one query.")
    ] = "",
) -> None:
    """Write a plugin and a prompt for a file of annotations."""
    from syphus.plugins.new_dataset import new_dataset

    made = new_dataset(name, query_inputs_path, text=text, id_column=id_column)
    print_lines(
        *made.lines,
        f"Look at the requests: {program()} preview --name {made.name} -n 1",
        f"Make the pairs:       {program()} --name {made.name} --num_threads 64",
    )


@with_observer
def verify(
    paths: CorpusPaths,
    observer: PlainObserver,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Image store, or folder of image files by id, in place of those found; can be repeated.",
        ),
    ] = None,
    decode: Annotated[
        Literal["quick", "full", "none"],
        typer.Option(help="How to check images: quick (head, checksums and end), full (decode them) or none."),
    ] = "quick",
    allow_unused: Annotated[
        bool, typer.Option("--allow-unused", help="Accept stores with images that no pair names.")
    ] = False,
    list_in: FindingsFile = Path("verify.jsonl"),
    show_all: ShowAll = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary and the findings as JSON.")] = False,
) -> None:
    """Check MIMIC-IT files from any source; exit 1 if something is wrong."""
    from syphus import api
    from syphus.cli.mimicit import FindingPrinter, verification_as_json, verification_line

    with FindingPrinter(json, list_in, show_all) as findings:
        done = api.verify(paths, images or (), decode=decode, allow_unused=allow_unused, on_finding=findings.show)
        line = verification_line(done.summary)
        findings.end(verification_as_json(done.summary), [*done.summary.notes, line])
    observer.record([line])
    raise typer.Exit(0 if done.ok else 1)


def mix(
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET...",
            help="Folders with MIMIC-IT files, or single datasets as "
            "[NAME=GROUP:]INSTRUCTIONS.json[,images=FILE][,train=FILE][,num_samples=N]; "
            "groups are IMAGE_TEXT, TEXT_ONLY, VIDEO_TEXT and IMAGE_TEXT_IN_CONTEXT.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE.yaml", help="Data yaml to write.")],
    list_in: FindingsFile = Path("mix.jsonl"),
    show_all: ShowAll = False,
    json: Annotated[bool, typer.Option("--json", help="Print the shares and the findings as JSON.")] = False,
) -> None:
    """Write a data yaml for Otter's loader, check its files, and show the share of each dataset."""
    from syphus.cli.mimicit import FindingPrinter, share_table, verification_as_json, verification_line
    from syphus.formats.mimicit.mix import mix as write

    with FindingPrinter(json, list_in, show_all) as findings:
        made = write(output, datasets, findings.show)
        numbers = {"shares": [share._asdict() for share in made.shares], **verification_as_json(made.summary)}
        findings.end(numbers, [*made.summary.notes, *share_table(made.shares), verification_line(made.summary)])
    raise typer.Exit(1 if made.summary.problems else 0)


def stats(
    paths: CorpusPaths,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with charts of lengths and first words.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Count images, pairs, queries and words of MIMIC-IT files."""
    from syphus.cli.mimicit import STATS_HEADER, stats_rows
    from syphus.formats.mimicit.discovery import find_groups
    from syphus.formats.mimicit.stats import as_json, count_files, write_stats_page

    counted = count_files(find_groups(paths, with_stores=False)[0])
    rows = stats_rows(counted)
    if html is not None:
        write_stats_page(html, counted, STATS_HEADER, rows)
    if json:
        print_as_json([as_json(each) for each in counted])
    else:
        print_lines(*align_columns([STATS_HEADER, *rows], 2))


@with_observer
@with_fields(ConvertOptions)
def convert(options: ConvertOptions, observer: PlainObserver) -> None:
    """Make the image store of a dataset from its images or videos. Run the same command again to resume."""
    from syphus import api
    from syphus.cli.mimicit import conversion_as_json, conversion_summary

    began = time.monotonic()
    done = api.convert(options.name, observer=observer, **arguments(options))
    lines = conversion_summary(done, time.monotonic() - began)
    observer.close()
    observer.record(lines)
    if options.json:
        print_as_json(conversion_as_json(done))
    else:
        print_lines(*lines)
    raise typer.Exit(1 if done.skipped else 0)


@with_observer
@with_options
@with_fields(QuoteOptions, parameter="quote_options")
def quote(options: Options, quote_options: QuoteOptions, observer: PlainObserver) -> None:
    """Estimate the tokens, dollars and minutes of the rest of a run. Sends nothing without --pilot."""
    from syphus import api
    from syphus.cli.summary import resume_line
    from syphus.runs.cost_text import quote_lines

    done = api.quote(options.name, observer=observer, **arguments(quote_options), **arguments(options))
    if options.json:
        print_as_json(done.as_json())
    else:
        print_lines(*quote_lines(done))
    observer.record(quote_lines(done))
    if done.simulated and done.known_answers:
        observer.say(SIMULATED_NOTICE)
    if done.stopped_by is not None:
        observer.conclude([str(done.stopped_by), resume_line(done.stopped_by, given_command())], failed=True)
        raise typer.Exit(done.exit_code)


@with_observer
@partial(with_options, without=JUDGE_OPTIONS)
@with_fields(ColdStartOptions, parameter="search_options")
def cold_start(options: Options, search_options: ColdStartOptions, observer: PlainObserver) -> None:
    """Search for in-context examples for a prompt, and test whether they help; exit 1 if they do not."""
    from syphus.cli.summary import cold_start_summary
    from syphus.cold_start.command import cold_start as search
    from syphus.cold_start.plan import SearchPlan
    from syphus.cold_start.results_json import as_json
    from syphus.cold_start.review import TerminalReviewer

    reviewer = TerminalReviewer(say) if search_options.review else None
    plan = SearchPlan.from_options(search_options, options.seed)
    ended = search(options, plan, os.environ, observer, reviewer)
    observer.conclude(cold_start_summary(ended, given_command()), failed=bool(ended.exit_code))
    if options.json:
        print_as_json(as_json(ended.found, ended.report))
    raise typer.Exit(ended.exit_code)


@with_observer
@with_options
def compare(
    options: Options,
    observer: PlainObserver,
    prompt: Annotated[list[str], typer.Option(metavar="FILE", help="Prompt file; repeat for each prompt.")],
    model: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Model; can be repeated.")] = None,
    sample: Annotated[
        int, typer.Option("-n", "--sample", metavar="N", help="Queries to send with each prompt and model.")
    ] = 40,
    show: Annotated[int, typer.Option(metavar="N", min=0, help="Print the N queries whose scores differ most.")] = 0,
) -> None:
    """Send the same queries with several prompts or models, and compare answers, quality and cost."""
    from syphus.cli.summary import comparison_table, resume_line
    from syphus.cold_start import compare as comparison

    done = comparison.compare(options, prompt, model or [], sample, os.environ, observer)
    if done.variants:
        observer.record(comparison_table(done))
    if options.json:
        print_as_json(comparison.as_json(done))
    elif done.variants:
        print_lines(*done.answer_lines(show), *comparison_table(done))
    if done.simulated:
        observer.say(SIMULATED_NOTICE)
    if done.files:
        observer.say(f"Files: {', '.join(done.files)}")
    if done.stopped_by is not None:
        observer.conclude([str(done.stopped_by), resume_line(done.stopped_by, given_command())], failed=True)
        raise typer.Exit(done.stopped_by.exit_code)


@with_observer
@with_options
def describe(
    options: Options,
    observer: PlainObserver,
    sample: Annotated[
        int, typer.Option("-n", "--sample", metavar="N", help="Maximum number of pairs to show to the model.")
    ] = 30,
    into: Annotated[
        str,
        typer.Option("--into", metavar="DATA.yaml", help="Write the descriptions into this data yaml."),
    ] = "",
) -> None:
    """Have the model describe the task of a finished run's pairs, briefly and at length."""
    from syphus.runs.describe import describe as describe_task

    done = describe_task(options, sample, into, os.environ, observer)
    lines = [f"Short: {done.short}", f"Long: {done.long}"]
    observer.record(lines)
    if options.json:
        print_as_json({"short": done.short, "long": done.long, "simulated": done.simulated})
    else:
        print_lines(*lines)
    if done.simulated:
        observer.say(SIMULATED_NOTICE)
    observer.say(f"Files: {', '.join(done.files)}")


@with_observer
@partial(with_options, without=_ROW_OPTIONS)
def translate(
    path: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="A run's folder, or any XX_instructions.json of MIMIC-IT.")
    ],
    options: Options,
    observer: PlainObserver,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for a file's translations and ledger (default: beside the file)."),
    ] = None,
) -> None:
    """Translate the pairs of a run or of a MIMIC-IT file, and check each translation."""
    _translate(path, output_dir, options, observer)


def is_translation(name: str) -> bool:
    """Return whether `--name` names the translation, which was a dataset in the first Syphus."""
    return name in _TRANSLATION_NAMES


def translate_as_dataset(options: Options, observer: PlainObserver) -> NoReturn:
    """Translate as the first Syphus did: `--name Translation.translate -in XX_instructions.json`."""
    if not options.query_inputs_path:
        raise ConfigError(f"Which pairs? --name {options.name} needs -in XX_instructions.json.")
    output = options.output_dir / _TRANSLATION_NAMES[0] / options.dataset_version
    _translate(Path(options.query_inputs_path), output, options, observer)


def _translate(path: Path, output: Path | None, options: Options, observer: PlainObserver) -> NoReturn:
    from syphus import api
    from syphus.cli.closing_table import translation_summary

    done = api.translate(path, output, observer=observer, **arguments(options, _ROW_OPTIONS))
    observer.conclude(translation_summary(done.result, given_command()), failed=bool(done.exit_code))
    if options.json:
        print_as_json(done.report())
    raise typer.Exit(done.exit_code)
