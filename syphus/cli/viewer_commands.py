"""The commands that open a page on a run, or change what it does: `view`, `control` and `batches`.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syphus.cli.parameters import RunFolder, with_observer
from syphus.cli.streams import print_as_json, print_lines
from syphus.errors import ConfigError

if TYPE_CHECKING:
    from syphus.ledger.control_desk import ControlValues
    from syphus.progress import PlainObserver

_HOST = (
    "Address of this machine to listen on. Any but 127.0.0.1 lets others on the network reach the page; they still "
    "need the token, but it is sent without encryption."
)
_WRITE = "Write a page of the run to this file, which needs no network, and serve nothing."
_PAGE = "Page to write, as in its address: overview, pairs, queries?state=invalid, queries/37 ..."
_FONTS = "Font, or folder of fonts, for the letters of a written page; can be repeated."


def view(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Folders of runs, or folders with runs below (default: output)."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Image store, or folder of image files, of the pairs; can be repeated."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Port (0 = any free one; default: 8777, or a free one)."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help=_HOST),
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    write: Annotated[Path | None, typer.Option(metavar="FILE.html", help=_WRITE)] = None,
    page: Annotated[str, typer.Option(metavar="PAGE", help=_PAGE)] = "overview",
    fonts: Annotated[list[Path] | None, typer.Option(metavar="PATH", help=_FONTS)] = None,
) -> None:
    """Show runs on a local page, while they work and afterwards. Stop it with Ctrl-C."""
    from syphus import api

    written = api.view(
        paths or ["output"],
        images or (),
        port=port,
        host=host,
        browser=not no_browser,
        write=write,
        page=page,
        fonts=fonts or (),
    )
    if written is not None:
        typer.echo(written.path)
        for line in written.remarks():
            typer.echo(line, err=True)


def control(
    folder: RunFolder,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Maximum concurrent requests.")] = None,
    rpm: Annotated[str, typer.Option(metavar="N|none", help="Requests per minute at each endpoint.")] = "",
    tpm: Annotated[str, typer.Option(metavar="N|none", help="Tokens per minute at each endpoint.")] = "",
    max_cost: Annotated[str, typer.Option(metavar="X|none", help="Maximum cost of the run in dollars.")] = "",
    max_requests: Annotated[str, typer.Option(metavar="N|none", help="Maximum requests of the run.")] = "",
    pause: Annotated[bool, typer.Option("--pause", help="Send nothing more until --resume.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Send again after --pause.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the run as Ctrl-C does; twice stops it at once.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the settings and the changes as JSON.")] = False,
) -> None:
    """Change a run while it works: threads, limits, budget, pause, stop. Without options, show its settings."""
    from syphus import api
    from syphus.runs.control import control_lines, reply_lines

    if pause and resume:
        raise ConfigError("--pause and --resume: use one of them.")
    limits = {"rpm": rpm, "tpm": tpm, "max_cost": max_cost, "max_requests": max_requests}
    changes: ControlValues = {name: _limit(name, text) for name, text in limits.items() if text}  # type: ignore[assignment]  # by name
    if threads is not None:
        changes["threads"] = threads
    if pause or resume:
        changes["paused"] = pause
    state = api.control(folder, stop=stop, **changes)
    if json:
        print_as_json(state.as_json())
    else:
        print_lines(*(reply_lines(state) if changes or stop else control_lines(state)))
    raise typer.Exit(1 if state.is_waiting else 0)


def _limit(name: str, text: str) -> float | None:
    """Return a limit, None to lift it. Raises `ConfigError` for anything else."""
    if text.strip().lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--{name.replace('_', '-')} {text}: must be a number, or none.") from None


@with_observer
def batches(
    folder: RunFolder,
    observer: PlainObserver,
    cancel: Annotated[
        bool,
        typer.Option("--cancel", help="Cancel open batches; what is answered already is billed and collected."),
    ] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Free the rows of batches that can't be found or read any more.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file with the endpoint (default: that of the run).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the batches as JSON.")] = False,
) -> None:
    """Show the batches of a run: state, age, requests, results and what they may cost."""
    from syphus.runs.batches import as_json, batch_lines
    from syphus.runs.batches import batches as batches_of

    found = batches_of(folder, cancel=cancel, give_up=give_up, config=config, observer=observer)
    if json:
        print_as_json([as_json(shard) for shard in found])
    else:
        print_lines(*(batch_lines(found, time.time()) if found else [f"{folder} has no batches."]))
