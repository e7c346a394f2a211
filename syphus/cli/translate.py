"""The command `translate`. Thin, as those in cli.py."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from syphus.cli.options import with_options
from syphus.cli.streams import command_given, print_as_json
from syphus.cli.summary import closing_files, cost, going_on, numbers, without_retry
from syphus.config.options import Options
from syphus.errors import ConfigError
from syphus.formats.report import TranslationResult
from syphus.text import MADE_UP, pluralize
from syphus.types import State

# FOLDED from translating.py:
# The sentences that people read after translating.

_BY_LANGUAGE = re.compile(r"(.*)_([a-z]{2})(\.[a-z]+)")


def closing(done: TranslationResult, command: str) -> list[str]:
    """How it ended: the cause if it was stopped, the languages, the files, and the command that goes on."""
    report = done.report
    lines = [str(done.stopped_by)] if done.stopped_by is not None else []
    assert report.translation is not None
    lines += [
        *numbers(report.translation),
        f"{cost(report)} over {pluralize(len(report.sessions), 'session')}, in all.",
    ]
    if report.simulated:
        lines.append(MADE_UP)
    gaps = sum(done.with_gaps.values())
    if gaps:
        what = pluralize(gaps, "translated round lacks", "translated rounds lack")
        kept = "kept, as --partial says" if done.partial else "left out; --partial keeps them"
        lines.append(f"{what} earlier rounds in the same language: {kept}.")
    lines += closing_files(_together(done.files))
    states = {state: sum(each.counts.states[state] for each in report.translation.languages) for state in State}
    if done.stopped_by is not None:
        lines.append(going_on(done.stopped_by, command))
    elif bad := [
        state.value for state in (State.INVALID, State.TRUNCATED, State.REFUSED, State.FAILED) if states[state]
    ]:
        lines.append(f"Ask those again: {without_retry(command)} --retry {','.join(bad)}")
    return lines


def _together(files: Sequence[str]) -> list[str]:
    """`SD_instructions_zh.json` and the others of its kind as `SD_instructions_{zh,ja}.json`."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for file in files:
        found = _BY_LANGUAGE.fullmatch(file)
        kinds.setdefault((found[1], found[3]) if found else (file, ""), []).append(found[2] if found else "")
    return [
        f"{name}_{{{','.join(codes)}}}{end}" if len(codes) > 1 else f"{name}_{codes[0]}{end}" if codes[0] else name
        for (name, end), codes in kinds.items()
    ]


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
    from syphus.cli.progress import make_observer
    from syphus.formats.report import as_json
    from syphus.translation.job import translate as run

    observer = make_observer()
    done = run(path, output, options, os.environ, observer)
    for line in closing(done, command_given()):
        observer.say(line)
    if options.json:
        print_as_json(as_json(done.report))
    raise typer.Exit(done.exit_code)
