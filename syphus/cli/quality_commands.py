"""The command `balance`: chooses a subset of pairs that do not repeat each other.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syphus.cli.parameters import with_observer
from syphus.cli.streams import print_as_json, print_lines
from syphus.errors import ConfigError

if TYPE_CHECKING:
    from syphus.progress import PlainObserver
    from syphus.quality.balance import Balance

_AGAINST = "Leave out pairs that share words with this file, such as a benchmark's."
_GROUPS_SHOWN = 6  # of each kind


@with_observer
def balance(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A run's folder, or a MIMIC-IT file: XX_instructions.json.")
    ],
    observer: PlainObserver,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Train file (default: XX_balanced_train.json)."),
    ] = None,
    near_duplicates: Annotated[
        float,
        typer.Option(metavar="X", help="Leave out pairs that overlap with another by this (1 = keep all)."),
    ] = 0.7,
    against: Annotated[list[Path] | None, typer.Option(metavar="FILE", help=_AGAINST)] = None,
    most: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP=X", help="Largest share of a group, such as answer:yes=0.1 or opening=0.05."),
    ] = None,
    count: Annotated[int | None, typer.Option("-n", "--count", metavar="N", help="Choose at most N pairs.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice among pairs of a group.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Choose a balanced subset without near-duplicates or a benchmark's texts, and write it as a train file."""
    from syphus import api

    file, done = api.balance(
        path,
        output,
        near_duplicates=None if near_duplicates == 1 else near_duplicates,
        against=against or (),
        most=dict(_share(each) for each in most or ()),
        count=count,
        seed=seed,
        observer=observer,
    )
    if json:
        print_as_json({"file": str(file), **done._asdict()})
    else:
        print_lines(*balance_lines(done, file))


def _share(text: str) -> tuple[str, float]:
    group, _, share = text.rpartition("=")
    try:
        return group, float(share)
    except ValueError:
        raise ConfigError(f"--most {text}: write a group and its largest share, such as answer:yes=0.1.") from None


def balance_lines(done: Balance, file: Path) -> list[str]:
    """Return what was chosen and left out, for people."""
    left = [
        (done.repeated, "repeat another pair"),
        (done.contaminated, "share words with --against"),
        *((count, f"are above the share of {group}") for group, count in done.in_excess.items()),
        (done.not_needed, "are above -n"),
    ]
    lines = [f"{done.chosen:,} of {done.read:,} pairs chosen: {file}"]
    lines += [f"  left out: {count:,} {why}" for count, why in left if count]
    for kind, counts in done.groups.items():
        shown = [
            f"{value or 'none'} {count / done.chosen:.0%}" for value, count in list(counts.items())[:_GROUPS_SHOWN]
        ]
        lines.append(f"  {kind}: {', '.join(shown)}{' ...' if len(counts) > _GROUPS_SHOWN else ''}")
    return lines
