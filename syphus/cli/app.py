"""The commands. Thin: each reads its options, calls one function, and prints what comes back.

Heavy modules are imported in the functions that need them, so that `--help` appears at once. Results go to stdout,
everything else to stderr.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Protocol, cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from syphus.cli.commands import (
    cold_start,
    compare,
    convert,
    describe,
    is_translation,
    mix,
    new,
    quote,
    stats,
    translate,
    translate_as_dataset,
    verify,
)
from syphus.cli.export_commands import export, push
from syphus.cli.gate_command import gate
from syphus.cli.parameters import (
    GROUPS,
    LogFile,
    PluginFolders,
    Quiet,
    RunFolder,
    Verbose,
    arguments,
    with_batch_value,
    with_observer,
    with_options,
)
from syphus.cli.pipeline_commands import run_pipeline, without_run
from syphus.cli.quality_commands import balance
from syphus.cli.run_commands import failures, rows, runs, status, try_rows
from syphus.cli.snapshot_commands import resume, snapshot
from syphus.cli.streams import (
    flush_streams,
    given_command,
    prepare_streams,
    print_as_json,
    print_lines,
    print_text,
    program,
    say,
    uses_colours,
)
from syphus.cli.viewer_commands import batches, control, view
from syphus.config.options import ColdStartOptions, Options, QuoteOptions
from syphus.errors import (
    BudgetError,
    ConfigError,
    InterruptError,
    OutputError,
    ProviderError,
    StorageError,
    SyphusError,
    UsageError,
    machine_faults,
)
from syphus.images.convert_options import ConvertOptions
from syphus.version import __version__

if TYPE_CHECKING:
    from syphus.progress import PlainObserver

#: Commands that resume where they were stopped; None is the main job.
_RESUMABLE = {
    None,
    "cold-start",
    "compare",
    "convert",
    "describe",
    "push",
    "quote",
    "resume",
    "run",
    "translate",
    "try",
}


#: The sections of `--help`, in the order in which somebody new needs the commands.
_COMMAND_GROUPS = {
    "Start a dataset": "new datasets preview try quote cold-start compare",
    "Run and watch": "run resume status view rows failures runs control batches snapshot gate simulate",
    "Improve and extend pairs": "clean balance translate describe",
    "Write and check datasets": "export push convert verify mix stats",
}


class _HelpFormatter(Protocol):
    """What `--help` is written with."""

    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...


def _write_groups(command: TyperCommand | TyperGroup, context: typer.Context, formatter: _HelpFormatter) -> None:
    """Write the arguments and options of a command, a section for each group."""
    groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    groups |= {name: [] for kind in (ColdStartOptions, QuoteOptions, Options, ConvertOptions) for name in GROUPS[kind]}
    for parameter in command.get_params(context):
        default = "Arguments" if isinstance(parameter, TyperArgument) else "Options"
        row = parameter.get_help_record(context)
        if row is not None:
            groups[getattr(parameter, "rich_help_panel", None) or default].append(row)
    for name, records in groups.items():
        if records:
            with formatter.section(name):
                formatter.write_dl(records)


def _first_sentence(text: str | None) -> str:
    """Return the first sentence of a help text, whole, without its full stop."""
    return " ".join((text or "").split()).partition(". ")[0].rstrip(".")


class _Command(TyperCommand):
    """A command whose `--help` shows its options in groups."""

    def format_options(self, ctx: typer.Context, formatter: _HelpFormatter) -> None:  # type: ignore[override]  # see below
        _write_groups(self, ctx, formatter)


class _Commands(TyperGroup):
    """The commands, each of which can be stopped: the loop of the main job handles that itself."""

    def format_options(self, ctx: typer.Context, formatter: _HelpFormatter) -> None:  # type: ignore[override]  # see below
        for title, names in _COMMAND_GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, _first_sentence(self.commands[name].help)) for name in names.split()])
        _write_groups(self, ctx, formatter)

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own class, by its public name
        try:
            with machine_faults():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            resumable = ctx.invoked_subcommand in _RESUMABLE
            resume = f" Resume with the same command: {given_command()}" if resumable else ""
            raise InterruptError(f"Stopped.{resume}") from None
        except (ProviderError, BudgetError, StorageError, InterruptError) as error:
            # What the Hub refuses says itself what to do.
            if ctx.invoked_subcommand not in _RESUMABLE - {"push"} or isinstance(error, OutputError):
                raise
            from syphus.cli.summary import resume_line

            say(str(error))
            say(resume_line(error, given_command()))
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=_Commands,
    name="syphus",
    help="Turn visual annotations into instruction-response pairs. Without a command, it runs the main job.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["--help", "-h"],
        "token_normalize_func": lambda token: token.replace("_", "-"),  # --num_threads is --num-threads
    },
)


def main() -> None:
    """Run a command. Errors print as one line on stderr and become an exit code, never a traceback."""
    gc.set_threshold(100_000, 20, 50)  # collecting garbage among modules that are being imported takes a tenth of it
    prepare_streams()
    for name in {"SIGTERM", "SIGHUP", "SIGUSR1"} & set(dir(signal)):  # Slurm's --signal=USR1 comes before the limit
        if signal.getsignal(number := signal.Signals[name]) == signal.SIG_DFL:  # nohup ignores SIGHUP, and so do we
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C
    try:
        sys.exit(execute(sys.argv[1:]))
    finally:
        flush_streams()


@cache
def all_commands() -> TyperCommand | TyperGroup:
    """Return the commands with all their options. To build them takes longer than many commands do."""
    return cast("TyperCommand | TyperGroup", typer.main.get_command(app))


def execute(arguments: Sequence[str]) -> int:
    """Run the command that these arguments name, and return its exit code. An error is one line on stderr."""
    arguments = with_batch_value(without_run(arguments))
    try:
        with machine_faults():
            return int(all_commands()(list(arguments), standalone_mode=False) or 0)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except SyphusError as error:
        say(str(error))
        return error.exit_code
    except typer.TyperException as error:  # the command line itself
        from syphus.cli.usage import usage_problem

        say(usage_problem(error, arguments))
        return UsageError.exit_code


@app.callback(invoke_without_command=True)
@with_options
def main_job(
    context: typer.Context,
    options: Options,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Send every query of a dataset to the model, and write the pairs as a MIMIC-IT dataset."""
    if version:
        print_lines(__version__)
        return
    command = context.invoked_subcommand
    if command is not None and (options != Options() or quiet or verbose or log_file):
        raise ConfigError(f"Put options after the command: {program()} {command} ...")
    if command is None:
        with_observer(_run)(options=options, quiet=quiet, verbose=verbose, log_file=log_file)


def _run(options: Options, observer: PlainObserver) -> None:
    if is_translation(options.name):  # as in the first Syphus
        translate_as_dataset(options, observer)
    from syphus import api
    from syphus.cli.closing_table import run_table
    from syphus.cli.summary import run_summary

    done = api.run(options.name, observer=observer, **arguments(options))
    if observer.is_live:
        lines = run_table(done.result, given_command(), done.folder)
    else:
        lines = run_summary(done.result, given_command())
    observer.conclude(lines, failed=bool(done.exit_code))
    if options.json:
        print_as_json(done.report())
    raise typer.Exit(done.exit_code)


@app.command(cls=_Command)
def datasets(
    datasets_dir: PluginFolders = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List all datasets. Broken ones are listed with their error."""
    from syphus.cli.summary import plugin_table
    from syphus.plugins.discovery import list_plugins

    plugins = list_plugins(datasets_dir or ())
    if json:
        print_as_json([{name: getattr(plugin, name) for name in plugin.__slots__} for plugin in plugins])
    else:
        fits = sys.stdout.isatty() or "COLUMNS" in os.environ
        print_lines(*plugin_table(plugins, shutil.get_terminal_size().columns if fits else 0))


@app.command(cls=_Command)
@with_options
def preview(
    options: Options,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Number of queries to show.")] = 3,
    sample: Annotated[
        bool, typer.Option("--sample", help="Random rows, by --seed, instead of the first ones.")
    ] = False,
) -> None:
    """Print the exact messages that a run would send, and what all rows would cost. Sends nothing."""
    from syphus import api
    from syphus.cli.summary import preview_text, total_lines

    given = arguments(options)
    if options.json:
        shown = api.preview(options.name, count, sample=sample, **given)
        print_as_json([query._asdict() for query in shown.queries])
        return
    colours = uses_colours(sys.stdout)
    shown = api.preview(
        *(options.name, count), sample=sample, show=lambda query: print_text(preview_text(query, colours)), **given
    )
    print_lines(*total_lines(shown.total, options.offline))


@app.command(cls=_Command)
@with_observer
def clean(
    folder: RunFolder,
    observer: PlainObserver,
    datasets_dir: PluginFolders = None,
    json: Annotated[bool, typer.Option("--json", help="Print both reports as JSON.")] = False,
) -> None:
    """Check all answers of a run again by the current rules and plugin. Sends no requests."""
    from syphus.cli.summary import cleaning_summary
    from syphus.formats.report import as_json
    from syphus.runs.clean import clean_run

    done = clean_run(folder, datasets_dir or (), observer)
    observer.record(cleaning_summary(done))
    if json:
        print_as_json({"before": as_json(done.before), "after": as_json(done.after), "changed": done.changed})
    else:
        print_lines(*cleaning_summary(done))


@app.command(cls=_Command)
def simulate(
    port: Annotated[int, typer.Option(metavar="PORT", help="Port on 127.0.0.1 (0 = any free port).")] = 8000,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; `--set help` lists them."),
    ] = None,
) -> None:
    """Run the simulated endpoint as a server for any OpenAI client."""
    from syphus.simulator import run_simulated
    from syphus.simulator.settings import describe_settings, parse_settings

    if "help" in (setting or ()):
        print_lines(*describe_settings())
    else:
        run_simulated(parse_settings(setting or ()), port)


for _command in (
    new,
    quote,
    cold_start,
    compare,
    describe,
    translate,
    export,
    push,
    convert,
    verify,
    mix,
    stats,
    status,
    balance,
    rows,
    failures,
    runs,
    resume,
    snapshot,
    view,
    control,
    batches,
    gate,
):
    app.command(cls=_Command)(_command)
app.command("try", cls=_Command)(try_rows)
app.command("run", cls=_Command)(run_pipeline)
