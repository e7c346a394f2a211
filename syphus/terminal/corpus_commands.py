"""The commands about MIMIC-IT files: verify, mix and stats. Thin, as those in cli.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    decode: Annotated[
        Literal["quick", "full", "none"],
        typer.Option(help="How images are looked at: head, checksums and end; decoded; or not at all."),
    ] = "quick",
    allow_unused: Annotated[
        bool, typer.Option("--allow-unused", help="A store may hold images that no pair names.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print summary and findings as JSON.")] = False,
) -> None:
    """Checks MIMIC-IT files, whoever wrote them; exit 1 where something is wrong."""
    from syphus.corpus.finding import find_groups
    from syphus.corpus.pictures import Depth
    from syphus.corpus.verify import verify as check
    from syphus.terminal.corpus import Findings, as_json, checked

    groups, found = find_groups(paths, images or ())
    findings = Findings(json)
    summary = check(groups, found, findings.tell, Depth(decode), allow_unused)
    findings.end(as_json(summary), [checked(summary)])
    raise typer.Exit(1 if summary.problems else 0)


def mix(
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET...",
            help="Folders with MIMIC-IT files, or each as [NAME=GROUP:]INSTRUCTIONS.json[,images=FILE][,train=FILE]"
            "[,num_samples=N]; groups are IMAGE_TEXT, TEXT_ONLY, VIDEO_TEXT and IMAGE_TEXT_IN_CONTEXT.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FILE.yaml", help="The data yaml to write.")],
    json: Annotated[bool, typer.Option("--json", help="Print shares and findings as JSON.")] = False,
) -> None:
    """Writes a data yaml for Otter's loader, checks its files, and says how often each dataset will be drawn from."""
    from syphus.corpus.mix import mix as write
    from syphus.terminal.corpus import Findings, as_json, checked, mixture

    findings = Findings(json)
    made = write(output, datasets, findings.tell)
    numbers = {"shares": [share._asdict() for share in made.shares], **as_json(made.summary)}
    findings.end(numbers, [*mixture(made.shares), checked(made.summary)])
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
