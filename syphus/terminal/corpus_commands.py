"""The commands about MIMIC-IT files: verify, mix and stats. Thin, as those in cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syphus.terminal.streams import print_as_json, print_lines

CorpusPaths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Folders with MIMIC-IT files, instruction files, data yamls.")
]


def verify(
    paths: CorpusPaths,
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="An image store, parquet or JSON; may be given several times."),
    ] = None,
    allow_unused: Annotated[
        bool, typer.Option("--allow-unused", help="A store may hold images that no pair names.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, without the findings.")] = False,
) -> None:
    """Checks MIMIC-IT files, whoever wrote them; exit 1 where something is wrong."""
    from syphus.corpus.finding import find_groups
    from syphus.corpus.verify import verify as check
    from syphus.terminal.corpus import as_json, checked

    groups, found = find_groups(paths, images or ())
    summary = check(groups, found, lambda finding: None if json else print_lines(str(finding)), allow_unused)
    if json:
        print_as_json(as_json(summary))
    else:
        print_lines(checked(summary))
    raise typer.Exit(1 if summary.problems else 0)


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

    made = write(out, datasets, lambda finding: None if json else print_lines(str(finding)))
    if json:
        print_as_json([share._asdict() for share in made.shares])
    else:
        print_lines(*mixture(made.shares), checked(made.summary))
    raise typer.Exit(1 if made.summary.problems else 0)


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
        print_as_json([as_json(each) for each in counted])
    else:
        print_lines(*columns([HEADS, *rows], 2))
