"""The commands. Thin: each reads its options, calls one function, and prints what comes back.

Heavy modules are imported where a command needs them, so that `--help` is there at once. Results go to stdout,
everything that is said about them to stderr.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from syphus.cli.commands import (
    PluginFolders,
    RunFolder,
    cold_start,
    compare,
    convert,
    describe,
    export,
    is_translation,
    mix,
    push,
    stats,
    translate,
    translate_as_dataset,
    verify,
)
from syphus.cli.parameters import with_options
from syphus.cli.streams import (
    command_given,
    flush_streams,
    prepare_streams,
    print_as_json,
    print_lines,
    print_text,
    program,
    say,
)
from syphus.config.options import Options
from syphus.errors import (
    BudgetError,
    ConfigError,
    InterruptError,
    OutputError,
    ProviderError,
    StorageError,
    SyphusError,
    UsageError,
)
from syphus.version import __version__

#: Commands that go on where they were stopped; None is the main job.
_GO_ON = {None, "cold-start", "compare", "convert", "describe", "push", "translate"}


class _Commands(TyperGroup):
    """The commands, each of which can be stopped: the loop of the main job listens for that itself."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own class, by its public name
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            goes_on = ctx.invoked_subcommand in _GO_ON
            go_on = f" Go on with the same command: {command_given()}" if goes_on else ""
            raise InterruptError(f"Stopped.{go_on}") from None
        except (ProviderError, BudgetError, StorageError, InterruptError) as error:
            # What the Hub refuses says itself what to do.
            if ctx.invoked_subcommand not in _GO_ON - {"push"} or isinstance(error, OutputError):
                raise
            from syphus.cli.summary import going_on

            say(str(error))
            say(going_on(error, command_given()))
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=_Commands,
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
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        if signal.getsignal(number := signal.Signals[name]) == signal.SIG_DFL:  # nohup's word counts
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C
    try:
        sys.exit(app(standalone_mode=False))
    except SyphusError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except typer.TyperException as error:  # the command line itself
        message = error.format_message().rstrip(".")
        context: typer.Context | None = getattr(error, "ctx", None)
        command = f" {context.info_name}" if context is not None and context.parent is not None else ""
        say(f"{message}{'' if message.endswith('?') else '.'} See {program()}{command} --help.")
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
        print_lines(__version__)
        return
    command = context.invoked_subcommand
    if command is not None and options != Options():
        raise ConfigError(f"Options go behind the command: {program()} {command} --name ...")
    if command is not None:
        return
    if is_translation(options.name):  # as the first Syphus has it
        translate_as_dataset(options)
    from syphus.cli.summary import closing, translation_summary
    from syphus.formats.report import as_json
    from syphus.main_job import run
    from syphus.progress import make_observer

    observer = make_observer()
    finished = run(options, os.environ, observer)
    for line in closing(finished, command_given()):
        observer.say(line)
    report = finished.report
    if finished.translated is not None:
        report = report._replace(translation=finished.translated.report.translation)
        for line in translation_summary(finished.translated, command_given()):
            observer.say(line)
    if options.json:
        print_as_json(as_json(report))
    raise typer.Exit(finished.exit_code)


@app.command()
def datasets(
    datasets_dir: PluginFolders = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Lists the datasets that there are, broken ones with their error."""
    from syphus.cli.summary import listing
    from syphus.plugins.discovery import list_plugins

    plugins = list_plugins(datasets_dir or ())
    if json:
        print_as_json([{name: getattr(plugin, name) for name in plugin.__slots__} for plugin in plugins])
    else:
        print_lines(*listing(plugins))


@app.command()
@with_options
def preview(
    options: Options,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Queries to show.")] = 3,
) -> None:
    """Prints the exact messages that would go out; sends nothing."""
    from syphus.cli.summary import as_text, sizes_as_text
    from syphus.runs.preview import PreviewedQuery
    from syphus.runs.preview import preview as look

    if options.json:
        every: list[PreviewedQuery] = []
        look(options, os.environ, count, every.append)
        print_as_json([shown._asdict() for shown in every])
        return
    colours = sys.stdout.isatty()
    print_text(sizes_as_text(look(options, os.environ, count, lambda shown: print_text(as_text(shown, colours)))))


@app.command()
def status(
    folder: RunFolder,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    query: Annotated[
        str, typer.Option(metavar="ID", help="Show one query: its outcome, its raw answer, where it came from.")
    ] = "",
) -> None:
    """Tells where a run stands, while it works or afterwards."""
    from syphus.cli.summary import standing
    from syphus.formats.report import as_json
    from syphus.runs.reader import is_running, read_query, read_status

    if query:
        print_as_json(read_query(folder, query))
        return
    report = read_status(folder)
    if json:
        print_as_json(as_json(report))
    else:
        print_lines(*standing(report, is_running(folder, report)))


@app.command()
def clean(
    folder: RunFolder,
    datasets_dir: PluginFolders = None,
    json: Annotated[bool, typer.Option("--json", help="Print both reports as JSON.")] = False,
) -> None:
    """Judges every answer of a run again, by today's rules and plugin; sends nothing."""
    from syphus.cli.summary import cleaning
    from syphus.formats.report import as_json
    from syphus.progress import make_observer
    from syphus.runs.clean import clean_run

    done = clean_run(folder, datasets_dir or (), make_observer())
    if json:
        print_as_json({"before": as_json(done.before), "after": as_json(done.after), "changed": done.changed})
    else:
        print_lines(*cleaning(done))


@app.command()
def simulate(
    port: Annotated[int, typer.Option(metavar="PORT", help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; `--set help` lists them.")
    ] = None,
) -> None:
    """Runs the simulated endpoint alone: a server that makes its answers up, for any OpenAI client."""
    from syphus.simulator import run_simulated
    from syphus.simulator.settings import describe_settings, parse_settings

    if "help" in (setting or ()):
        print_lines(*describe_settings())
    else:
        run_simulated(parse_settings(setting or ()), port)


for _elsewhere in (cold_start, compare, describe, translate, export, push, convert, verify, mix, stats):
    app.command()(_elsewhere)
