"""The commands that send pairs on: export, push.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syphus.cli.parameters import (
    ExportFormats,
    ExportLanguages,
    ImagePaths,
    MissingImages,
    MostImages,
    NoImageNames,
    PluginFolders,
    ReviewedChoice,
    RunFolder,
    SplitShares,
    SystemTurn,
    VideoFolder,
    with_observer,
)
from syphus.cli.streams import print_lines
from syphus.storage.addresses import as_url
from syphus.text import pluralize

if TYPE_CHECKING:
    from syphus.progress import PlainObserver
    from syphus.runs.push import PushResult


@with_observer
def export(
    folder: RunFolder,
    observer: PlainObserver,
    formats: ExportFormats,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER|URL", help="Target; each format gets a folder in it (default: FOLDER/export)."),
    ] = None,
    images: ImagePaths = None,
    videos: VideoFolder = None,
    max_images: MostImages = None,
    allow_missing_images: MissingImages = False,
    split: SplitShares = "",
    system: SystemTurn = "",
    languages: ExportLanguages = "",
    no_image_names: NoImageNames = False,
    reviewed: ReviewedChoice = "",
    datasets_dir: PluginFolders = None,
) -> None:
    """Write the pairs of a run in other formats, with or without their images, each with a dataset card."""
    from syphus.api_exports import export as to_folder
    from syphus.api_exports import publish

    url = as_url(output) if output is not None else ""
    write = partial(publish, folder, formats, url) if url else partial(to_folder, folder, formats, output)
    written = write(
        datasets_dir or (),
        images=images or (),
        on_note=observer.say,
        videos=videos,
        max_images=max_images,
        allow_missing_images=allow_missing_images,
        split=split,
        system=system,
        no_image_names=no_image_names,
        languages=languages,
        reviewed=reviewed,
    )
    observer.record(map(str, written))
    print_lines(*map(str, written))


@with_observer
def push(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A run's folder, or a format's folder that `export` wrote.")
    ],
    observer: PlainObserver,
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="Dataset repository; created if missing.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="Format to export a run in (default: parquet, with images trl)."),
    ] = "",
    images: ImagePaths = None,
    videos: VideoFolder = None,
    max_images: MostImages = None,
    allow_missing_images: MissingImages = False,
    split: SplitShares = "",
    system: SystemTurn = "",
    languages: ExportLanguages = "",
    no_image_names: NoImageNames = False,
    reviewed: ReviewedChoice = "",
    private: Annotated[bool, typer.Option("--private", help="Require or create a private repository.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="Existing branch (default: main).")] = None,
    allow_simulated: Annotated[bool, typer.Option("--allow-simulated", help="Also send simulated answers.")] = False,
    datasets_dir: PluginFolders = None,
) -> None:
    """Send the pairs of a run, with their card, to the Hugging Face Hub; unchanged files are not sent again."""
    from syphus import api

    done = api.push(
        *(folder, repo, form),
        private=private,
        revision=revision,
        allow_simulated=allow_simulated,
        datasets_dir=datasets_dir or (),
        progress=observer.is_live,
        images=images or (),
        on_note=observer.say,
        videos=videos,
        max_images=max_images,
        allow_missing_images=allow_missing_images,
        split=split,
        system=system,
        languages=languages,
        no_image_names=no_image_names,
        reviewed=reviewed,
    )
    line = _sent_line(done)
    observer.record([line])
    print_lines(line)


def _sent_line(done: PushResult) -> str:
    size = f" ({done.size / 1e6:,.1f} MB)" if done.sent else ""
    return f"{done.url}: {pluralize(len(done.sent), 'file')} sent{size}, {done.unchanged:,} unchanged"
