"""The commands. Thin: each reads its options, calls one function, and prints what comes back.

Heavy modules are imported where a command needs them, so that `--help` is there at once. Results go to stdout,
everything that is said about them to stderr.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from syphus.errors import ConfigError, InterruptError, SyphusError, UsageError
from syphus.options import Options
from syphus.terminal.command_line import with_options
from syphus.terminal.streams import flush_streams, prepare_streams, say, write_out
from syphus.text import printable
from syphus.version import __version__

RunFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The run's folder: OUTPUT_DIR/NAME/DATASET_VERSION.")]
PluginFolders = Annotated[
    list[Path] | None,
    typer.Option("--datasets-dir", metavar="FOLDER", help="Another folder with plugins; may be given several times."),
]
CorpusPaths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Folders with MIMIC-IT files, instruction files, data yamls.")
]

app = typer.Typer(
    name="syphus",
    help="Turns visual annotations into instruction-response pairs. Without a command, it runs the main job.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["--help", "-h"],
        "token_normalize_func": lambda token: token.replace("_", "-"),  # --num_threads is --num-threads
    },
)


def main() -> None:
    """The entry point: what is wrong becomes one line on stderr and an exit code, never a traceback."""
    gc.set_threshold(100_000, 20, 50)  # looking for garbage in what is only just being imported takes a tenth of it
    prepare_streams()
    try:
        sys.exit(app(standalone_mode=False))
    except SyphusError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except typer.TyperException as error:  # the command line itself
        say(f"{error.format_message().rstrip('.')}. See {_program()} --help.")
        sys.exit(UsageError.exit_code)
    finally:
        flush_streams()


@app.callback(invoke_without_command=True)
@with_options
def main_job(
    context: typer.Context,
    options: Options,
    version: Annotated[bool, typer.Option("--version", help="Print the version, and nothing else.")] = False,
) -> None:
    """Asks the model about every query of a dataset, and ends with a MIMIC-IT dataset."""
    if version:
        _print(__version__)
        return
    command = context.invoked_subcommand
    if command is not None and options != Options():
        raise ConfigError(f"Options go behind the command: {_program()} {command} --name ...")
    if command is not None:
        return
    from syphus.formats.report import as_json
    from syphus.runs.job import run
    from syphus.terminal.progress import make_observer
    from syphus.terminal.telling import closing

    observer = make_observer()
    try:
        finished = run(options, os.environ, observer)
    except KeyboardInterrupt:  # before or after the loop, which listens for it itself
        raise InterruptError(f"Stopped. Go on with the same command: {_command()}") from None
    for line in closing(finished, _command()):
        observer.say(line)
    if options.json:
        _print_as_json(as_json(finished.report))
    raise typer.Exit(finished.exit_code)


@app.command()
def datasets(
    datasets_dir: PluginFolders = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Lists the datasets that there are, broken ones with their error."""
    from syphus.plugins.finding import list_plugins
    from syphus.terminal.telling import listing

    plugins = list_plugins(datasets_dir or ())
    if json:
        _print_as_json([{name: getattr(plugin, name) for name in plugin.__slots__} for plugin in plugins])
    else:
        _print(*listing(plugins))


@app.command()
@with_options
def preview(
    options: Options,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Queries to show.")] = 3,
) -> None:
    """Prints the exact messages that would go out; sends nothing."""
    from syphus.runs.preview import preview as show

    show(options, os.environ, count, sys.stdout)


@app.command()
def status(
    folder: RunFolder,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    query: Annotated[
        str, typer.Option(metavar="ID", help="Show one query: its outcome, its raw answer, where it came from.")
    ] = "",
) -> None:
    """Tells where a run stands, while it works or afterwards."""
    from syphus.formats.report import as_json
    from syphus.runs.status import read_query, read_status
    from syphus.terminal.telling import standing

    if query:
        _print_as_json(read_query(folder, query))
        return
    report = read_status(folder)
    if json:
        _print_as_json(as_json(report))
    else:
        _print(*standing(report))


@app.command()
def clean(
    folder: RunFolder,
    datasets_dir: PluginFolders = None,
    json: Annotated[bool, typer.Option("--json", help="Print both reports as JSON.")] = False,
) -> None:
    """Judges every answer of a run again, by today's rules and plugin; sends nothing."""
    from syphus.formats.report import as_json
    from syphus.runs.clean import clean_run
    from syphus.terminal.progress import make_observer
    from syphus.terminal.telling import cleaning

    done = clean_run(folder, datasets_dir or (), make_observer())
    if json:
        _print_as_json({"before": as_json(done.before), "after": as_json(done.after), "changed": done.changed})
    else:
        _print(*cleaning(done))


@app.command()
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
    _print(*export_run(folder, names, output, datasets_dir or ()))


@app.command()
def verify(
    paths: CorpusPaths,
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="An image store, parquet or JSON; may be given several times."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, without the findings.")] = False,
) -> None:
    """Checks MIMIC-IT files, whoever wrote them; exit 1 where something is wrong."""
    from syphus.corpus.finding import find_groups
    from syphus.corpus.verify import verify as check
    from syphus.terminal.corpus import as_json, checked

    groups, found = find_groups(paths, images or ())
    summary = check(groups, found, lambda finding: None if json else _print(str(finding)))
    if json:
        _print_as_json(as_json(summary))
    else:
        _print(checked(summary))
    raise typer.Exit(1 if summary.problems else 0)


@app.command()
def mix(
    out: Annotated[Path, typer.Argument(metavar="OUT.yaml", help="The data yaml to write.")],
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET...",
            help="Each as NAME=GROUP:INSTRUCTIONS.json[,images=FILE][,train=FILE][,num_samples=N]; groups are "
            "IMAGE_TEXT, TEXT_ONLY, VIDEO_TEXT and IMAGE_TEXT_IN_CONTEXT.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the shares as JSON, without the findings.")] = False,
) -> None:
    """Writes a data yaml for Otter's loader, checks its files, and says how often each dataset will be drawn from."""
    from syphus.corpus.mix import mix as write
    from syphus.terminal.corpus import checked, mixture

    made = write(out, datasets, lambda finding: None if json else _print(str(finding)))
    if json:
        _print_as_json([share._asdict() for share in made.shares])
    else:
        _print(*mixture(made.shares), checked(made.summary))
    raise typer.Exit(1 if made.summary.problems else 0)


@app.command()
def stats(
    paths: CorpusPaths,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures of lengths and openings.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Counts images, pairs, queries and words of MIMIC-IT files."""
    from syphus.corpus.finding import find_groups
    from syphus.corpus.page import write_page
    from syphus.corpus.stats import as_json, count
    from syphus.terminal.corpus import HEADS, columns, numbers

    counted = count(find_groups(paths)[0])
    rows = numbers(counted)
    if html is not None:
        write_page(html, counted, HEADS, rows)
    if json:
        _print_as_json([as_json(each) for each in counted])
    else:
        _print(*columns([HEADS, *rows], 2))


@app.command()
def simulate(
    port: Annotated[int, typer.Option(metavar="PORT", help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; `--set help` lists them.")
    ] = None,
) -> None:
    """Runs the simulated endpoint alone: a server that makes its answers up, for any OpenAI client."""
    from syphus.terminal.simulate import explanation
    from syphus.terminal.simulate import simulate as serve

    if "help" in (setting or ()):
        _print(*explanation())
    else:
        serve(port, setting or ())


def _print_as_json(value: object) -> None:
    import orjson

    write_out(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _command() -> str:
    """The command as it was given, to be given again."""
    return f"{_program()} {shlex.join(sys.argv[1:])}"


def _program() -> str:
    """How Syphus was called: `python main.py`, or `syphus`."""
    script = sys.argv[0]
    return f"python {shlex.quote(script)}" if script.endswith(".py") else Path(script).name


def _print(*lines: str) -> None:
    text = "".join(f"{printable(line)}\n" for line in lines)
    write_out(text.encode(sys.stdout.encoding, "replace"))
