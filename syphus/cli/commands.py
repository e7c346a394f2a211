"""The commands besides the main job. Each reads its options, calls one function, and prints what comes back."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from syphus.cli.parameters import with_fields, with_options
from syphus.cli.streams import command_given, print_as_json, print_lines
from syphus.config.options import ColdStartOptions, Options
from syphus.errors import ConfigError
from syphus.images.convert_options import ConvertOptions
from syphus.text import SIMULATED_NOTICE, align_columns, pluralize

CorpusPaths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Folders with MIMIC-IT files, instruction files, data yamls.")
]


#: Options of the main job that say which pairs there are to be, or where they are kept.
_OF_ROWS = frozenset({
    "name", "query_inputs_path", "example", "slice_start", "slice_end", "random_sample", "prompt_path", "datasets_dir",
    "output_dir", "dataset_version", "no_sharing",
})  # fmt: skip


_NAMES = ("Translation.translate", "translate.Translation")  # of the first Syphus


RunFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The run's folder: OUTPUT_DIR/NAME/DATASET_VERSION.")]


PluginFolders = Annotated[
    list[Path] | None,
    typer.Option("--datasets-dir", metavar="FOLDER", help="Another folder with plugins; may be given several times."),
]


def verify(
    paths: CorpusPaths,
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="An image store, parquet or JSON; may be given several times."),
    ] = None,
    decode: Annotated[
        Literal["quick", "full", "none"],
        typer.Option(help="How images are looked at: head, checksums and end; decoded; or not at all."),
    ] = "quick",
    allow_unused: Annotated[
        bool, typer.Option("--allow-unused", help="A store may hold images that no pair names.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print summary and findings as JSON.")] = False,
) -> None:
    """Checks MIMIC-IT files, whoever wrote them; exit 1 where something is wrong."""
    from syphus.cli.mimicit import FindingPrinter, as_json, checked
    from syphus.formats.mimicit.discovery import find_groups
    from syphus.formats.mimicit.images import DecodeLevel
    from syphus.formats.mimicit.verify import verify as check

    groups, found = find_groups(paths, images or ())
    findings = FindingPrinter(json)
    summary = check(groups, found, findings.tell, DecodeLevel(decode), allow_unused)
    findings.end(as_json(summary), [checked(summary)])
    raise typer.Exit(1 if summary.problems else 0)


def mix(
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET...",
            help="Folders with MIMIC-IT files, or each as [NAME=GROUP:]INSTRUCTIONS.json[,images=FILE][,train=FILE]"
            "[,num_samples=N]; groups are IMAGE_TEXT, TEXT_ONLY, VIDEO_TEXT and IMAGE_TEXT_IN_CONTEXT.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE.yaml", help="The data yaml to write.")],
    json: Annotated[bool, typer.Option("--json", help="Print shares and findings as JSON.")] = False,
) -> None:
    """Writes a data yaml for Otter's loader, checks its files, and says how often each dataset will be drawn from."""
    from syphus.cli.mimicit import FindingPrinter, as_json, checked, mixture
    from syphus.formats.mimicit.mix import mix as write

    findings = FindingPrinter(json)
    made = write(output, datasets, findings.tell)
    numbers = {"shares": [share._asdict() for share in made.shares], **as_json(made.summary)}
    findings.end(numbers, [*mixture(made.shares), checked(made.summary)])
    raise typer.Exit(1 if made.summary.problems else 0)


def stats(
    paths: CorpusPaths,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures of lengths and openings.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Counts images, pairs, queries and words of MIMIC-IT files."""
    from syphus.cli.mimicit import HEADS, numbers
    from syphus.formats.mimicit.discovery import find_groups
    from syphus.formats.mimicit.stats import as_json, count_files, write_stats_page

    counted = count_files(find_groups(paths)[0])
    rows = numbers(counted)
    if html is not None:
        write_stats_page(html, counted, HEADS, rows)
    if json:
        print_as_json([as_json(each) for each in counted])
    else:
        print_lines(*align_columns([HEADS, *rows], 2))


@with_fields(ConvertOptions)
def convert(options: ConvertOptions) -> None:
    """Makes the image store of a dataset from its stills or videos; the same command goes on after a stop."""
    from syphus.cli.summary import conversion_as_json, conversion_summary
    from syphus.images.convert import ConversionProgressFormatter
    from syphus.images.convert import convert as work
    from syphus.progress import make_observer

    observer, began = make_observer(), time.monotonic()
    meter = ConversionProgressFormatter(observer.converting)
    try:
        done = work(options, meter.update, observer.say, meter.update_download)
    finally:
        observer.close()
    if options.json:
        print_as_json(conversion_as_json(done))
    else:
        print_lines(*conversion_summary(done, time.monotonic() - began))
    raise typer.Exit(1 if done.skipped else 0)


@with_options
@with_fields(ColdStartOptions, parameter="search_options")
def cold_start(options: Options, search_options: ColdStartOptions) -> None:
    """Search for in-context examples for a prompt, and prove that they help; exit 1 if they do not."""
    from syphus.cli.cold_start import TerminalReviewer, searched
    from syphus.cold_start.command import cold_start as search
    from syphus.cold_start.plan import SearchPlan
    from syphus.cold_start.results_json import as_json
    from syphus.progress import make_observer

    observer, reviewer = make_observer(), TerminalReviewer() if search_options.review else None
    plan = SearchPlan.from_options(search_options, options.seed)
    ended = search(options, plan, os.environ, observer, reviewer)
    for line in searched(ended, command_given()):
        observer.say(line)
    if options.json:
        print_as_json(as_json(ended.found, ended.report))
    raise typer.Exit(ended.exit_code)


@with_options
def compare(
    options: Options,
    prompt: Annotated[list[str], typer.Option(metavar="FILE", help="A prompt file; given several times.")],
    model: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A model; may be given several times.")
    ] = None,
    sample: Annotated[int, typer.Option(metavar="N", help="Queries that each is asked.")] = 40,
) -> None:
    """Asks the same queries with several prompts or models: which answers are better, and what do they cost?"""
    from syphus.cli.cold_start import compared
    from syphus.cold_start.compare import as_json
    from syphus.cold_start.compare import compare as measure
    from syphus.progress import make_observer

    observer = make_observer()
    done = measure(options, prompt, model or [], sample, os.environ, observer)
    if options.json:
        print_as_json(as_json(done))
    elif done.variants:
        print_lines(*compared(done))
    if done.simulated:
        observer.say(SIMULATED_NOTICE)
    if done.stopped_by is not None:
        observer.say(str(done.stopped_by))
        from syphus.cli.summary import going_on

        observer.say(going_on(done.stopped_by, command_given()))
        raise typer.Exit(done.stopped_by.exit_code)


@with_options
def describe(
    options: Options,
    sample: Annotated[int, typer.Option(metavar="N", help="Pairs that the model is shown, at the most.")] = 30,
    into: Annotated[
        str, typer.Option("--into", metavar="DATA.yaml", help="A data yaml; this run's dataset gets the descriptions.")
    ] = "",
) -> None:
    """Has the model describe the task of a finished run's pairs, in short and at length."""
    from syphus.progress import make_observer
    from syphus.runs.describe import describe as ask

    observer = make_observer()
    done = ask(options, sample, into, os.environ, observer)
    if options.json:
        print_as_json({"short": done.short, "long": done.long, "simulated": done.simulated})
    else:
        print_lines(f"Short: {done.short}", f"Long: {done.long}")
    if done.simulated:
        observer.say(SIMULATED_NOTICE)
    observer.say(f"Files: {', '.join(done.files)}")


@partial(with_options, without=_OF_ROWS)
def translate(
    path: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="A run's folder, or any XX_instructions.json of MIMIC-IT.")
    ],
    options: Options,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the translations of a file and their ledger go. [beside the file]"),
    ] = None,
) -> None:
    """Translates the pairs of a run or of a MIMIC-IT file, and checks each translation."""
    _carry_out(path, output_dir, options)


def is_translation(name: str) -> bool:
    """Whether `--name` names what was a dataset in the first Syphus."""
    return name in _NAMES


def translate_as_dataset(options: Options) -> NoReturn:
    """The same, told as the main job: `--name Translation.translate -in XX_instructions.json`."""
    if not options.query_inputs_path:
        raise ConfigError(f"Which pairs? --name {options.name} needs -in XX_instructions.json.")
    output = options.output_dir / _NAMES[0] / options.dataset_version
    _carry_out(Path(options.query_inputs_path), output, options)


def _carry_out(path: Path, output: Path | None, options: Options) -> NoReturn:
    from syphus.cli.summary import translation_summary
    from syphus.formats.report import as_json
    from syphus.progress import make_observer
    from syphus.translation.job import translate as run

    observer = make_observer()
    done = run(path, output, options, os.environ, observer)
    for line in translation_summary(done, command_given()):
        observer.say(line)
    if options.json:
        print_as_json(as_json(done.report))
    raise typer.Exit(done.exit_code)


def export(
    folder: RunFolder,
    formats: Annotated[
        str, typer.Option("--format", metavar="NAME,...", help="mimicit, llava, chat, alpaca, parquet; one or several.")
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; each format gets a folder. [FOLDER/export]")
    ] = None,
    datasets_dir: PluginFolders = None,
) -> None:
    """Writes the pairs of a run in other formats, each with a dataset card."""
    from syphus.runs.export import export_run

    names = [name.strip() for name in formats.split(",") if name.strip()]
    print_lines(*export_run(folder, names, output, datasets_dir or ()))


def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run's folder, or one that `export` has written for a format.")
    ],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="The dataset repository; made where there is none.")],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Of a run: the format to export it in. [parquet]")
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="Only for a repository that nobody else sees.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="A branch that is there. [main]")] = None,
    allow_simulated: Annotated[
        bool, typer.Option("--allow-simulated", help="Send what the simulated endpoint made up, too.")
    ] = False,
    datasets_dir: PluginFolders = None,
) -> None:
    """Sends the pairs of a run, with their card, to the Hugging Face Hub; what is there already is not sent again."""
    from syphus.runs.push import PushTarget
    from syphus.runs.push import push as send

    target = PushTarget(repo, private, revision)
    done = send(folder, form, target, allow_simulated, datasets_dir or (), sys.stderr.isatty())
    size = f" ({done.size / 1e6:,.1f} MB)" if done.sent else ""
    print_lines(f"{done.url}: {pluralize(len(done.sent), 'file')} sent{size}, {done.unchanged:,} there already")
