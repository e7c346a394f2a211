"""The command `run`: several commands in a row, from one file.

This module is loaded for `--help`: what the command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syphus.cli.parameters import with_observer
from syphus.cli.streams import given_command, print_as_json, print_lines

if TYPE_CHECKING:
    from syphus.progress import PlainObserver

_OWN = ("--dry-run", "--pass-gate")  # options that the main job does not have
_SUFFIXES = (".yaml", ".yml")


def without_run(words: Sequence[str]) -> Sequence[str]:
    """Return the words of a command line without a `run` that means the main job: many type it before its options."""
    if words[:1] != ["run"]:
        return words
    rest = words[1:]
    names_file = bool(rest) and not rest[0].startswith("-")
    names_file = names_file or any(word.partition("=")[0] in _OWN for word in rest)
    has_dataset = any(word.partition("=")[0] == "--name" for word in rest)
    is_last = bool(rest) and rest[-1].endswith(_SUFFIXES) and not has_dataset
    return words if names_file or is_last else rest


@with_observer
def run_pipeline(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="The stages and their options.")],
    observer: PlainObserver,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the stages and a quote. Sends nothing.")] = False,
    pass_gate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Pass this gate without the decisions that it needs; can be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without a question, whatever it may cost.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report of the run as JSON.")] = False,
) -> None:
    """Run the stages of a pipeline file: cold start, generate, judge, clean, translate, relate, export."""
    from syphus.formats.report import as_json
    from syphus.workflow.pipeline import run_pipeline as run_stages
    from syphus.workflow.plan_view import dry_run_lines, end_lines

    if dry_run:
        print_lines(*dry_run_lines(pipeline, observer))
        return
    command = given_command()
    end = run_stages(pipeline, passed_gates=pass_gate or (), yes=yes, command=command, observer=observer)
    observer.conclude(end_lines(end, command), failed=bool(end.exit_code))
    if json and end.report is not None:
        print_as_json(as_json(end.report))
    raise typer.Exit(end.exit_code)
