"""The command `translate`. Thin, as those in cli.py."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from syphus.errors import ConfigError
from syphus.options import Options
from syphus.terminal.command_line import with_options
from syphus.terminal.streams import command_given, print_as_json

#: Options of the main job that say which pairs there are to be, or where they are kept.
_OF_ROWS = frozenset({
    "name", "query_inputs_path", "example", "slice_start", "slice_end", "random_sample", "prompt_path", "datasets_dir",
    "output_dir", "dataset_version", "no_sharing",
})  # fmt: skip
_NAMES = ("Translation.translate", "translate.Translation")  # of the first Syphus


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
    from syphus.formats.report import as_json
    from syphus.runs.translating.job import translate as run
    from syphus.terminal.progress import make_observer
    from syphus.terminal.translating import closing

    observer = make_observer()
    done = run(path, output, options, os.environ, observer)
    for line in closing(done, command_given()):
        observer.say(line)
    if options.json:
        print_as_json(as_json(done.report))
    raise typer.Exit(done.exit_code)
