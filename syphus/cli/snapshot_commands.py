"""Continuing a run, also from a snapshot on another machine: `resume` and `snapshot`.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from syphus.cli.parameters import RunFolder, arguments, with_observer, with_options
from syphus.cli.streams import given_command, print_as_json, print_lines
from syphus.config.options import Options

if TYPE_CHECKING:
    from syphus.progress import PlainObserver

_PLACE = frozenset({"name", "output_dir", "dataset_version"})  #: options that say where a run is


@with_observer
@partial(with_options, without=_PLACE)
def resume(
    folder: RunFolder,
    options: Options,
    observer: PlainObserver,
    from_: Annotated[
        str, typer.Option("--from", metavar="URL|DIR", help="Make the folder from the newest snapshot there first.")
    ] = "",
) -> None:
    """Continue a run with its last command, from any folder. Options that are given replace those of the run."""
    from syphus import api
    from syphus.cli.closing_table import translation_summary
    from syphus.cli.summary import run_summary

    default = Options()
    given = {name: value for name, value in arguments(options, _PLACE).items() if value != getattr(default, name)}
    done = api.resume(folder, from_=from_, observer=observer, **given)
    if isinstance(done, api.CompletedRun):
        lines = run_summary(done.result, given_command())
    else:
        lines = translation_summary(done.result, given_command())
    observer.conclude(lines, failed=bool(done.exit_code))
    if options.json:
        print_as_json(done.report())
    raise typer.Exit(done.exit_code)


def snapshot(
    folder: RunFolder,
    place: Annotated[str, typer.Argument(metavar="URL|DIR", help="Where the snapshots of this run are kept.")],
) -> None:
    """Copy a run to another place, also while it works; `resume --from` continues from the copy."""
    from syphus.ledger.store import is_working
    from syphus.runs.snapshots import take_snapshot

    print_lines(take_snapshot(folder, place, ended=not is_working(folder)).line(place))
