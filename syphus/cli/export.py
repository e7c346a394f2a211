"""The commands that take what a run has made elsewhere: export and push. Thin, as those in cli.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from syphus.cli.streams import print_lines
from syphus.text import pluralize

RunFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The run's folder: OUTPUT_DIR/NAME/DATASET_VERSION.")]
PluginFolders = Annotated[
    list[Path] | None,
    typer.Option("--datasets-dir", metavar="FOLDER", help="Another folder with plugins; may be given several times."),
]


def export(
    folder: RunFolder,
    formats: Annotated[
        str, typer.Option("--format", metavar="NAME,...", help="mimicit, llava, chat, alpaca, parquet; one or several.")
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; each format gets a folder. [FOLDER/export]")
    ] = None,
    datasets_dir: PluginFolders = None,
) -> None:
    """Writes the pairs of a run in other formats, each with a dataset card."""
    from syphus.runs.export import export_run

    names = [name.strip() for name in formats.split(",") if name.strip()]
    print_lines(*export_run(folder, names, output, datasets_dir or ()))


def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run's folder, or one that `export` has written for a format.")
    ],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="The dataset repository; made where there is none.")],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Of a run: the format to export it in. [parquet]")
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="Only for a repository that nobody else sees.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="A branch that is there. [main]")] = None,
    allow_simulated: Annotated[
        bool, typer.Option("--allow-simulated", help="Send what the simulated endpoint made up, too.")
    ] = False,
    datasets_dir: PluginFolders = None,
) -> None:
    """Sends the pairs of a run, with their card, to the Hugging Face Hub; what is there already is not sent again."""
    from syphus.runs.push import PushTarget
    from syphus.runs.push import push as send

    target = PushTarget(repo, private, revision)
    done = send(folder, form, target, allow_simulated, datasets_dir or (), sys.stderr.isatty())
    size = f" ({done.size / 1e6:,.1f} MB)" if done.sent else ""
    print_lines(f"{done.url}: {pluralize(len(done.sent), 'file')} sent{size}, {done.there:,} there already")
