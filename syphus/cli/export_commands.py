"""The commands that send pairs on: export, push.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syphus.cli.parameters import ExportFormats, PluginFolders, RunFolder, with_made, with_observer
from syphus.cli.streams import print_lines
from syphus.config.option_types import ExportArguments
from syphus.storage.addresses import as_url
from syphus.text import pluralize

if TYPE_CHECKING:
    from syphus.progress import PlainObserver
    from syphus.runs.push import PushResult


def _export_arguments(
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Image store, or folder of image files by id, to export; can be repeated."),
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of videos; rows with frames of a video get the video instead."),
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(metavar="N", help="Keep at most N evenly spaced images per row.", min=1)
    ] = None,
    allow_missing_images: Annotated[
        bool, typer.Option("--allow-missing-images", help="Leave out queries whose images are missing.")
    ] = False,
    split: Annotated[
        str, typer.Option(metavar="NAME=SHARE,...", help="Split by query, as train=0.98,validation=0.02.")
    ] = "",
    system: Annotated[str, typer.Option(metavar="TEXT", help="System turn of each conversation.")] = "",
    languages: Annotated[str, typer.Option(metavar="CODE,...", help="Add translations, as de,zh; or all.")] = "",
    no_image_names: Annotated[
        bool, typer.Option("--no-image-names", help="Leave [image: id] out of texts without images.")
    ] = False,
    reviewed: Annotated[
        str,
        typer.Option(metavar="WHICH", help="Export only accepted, not-rejected or edited pairs, with their edits."),
    ] = "",
) -> ExportArguments:
    """Return the options that `export` and `push` share, as the Python API takes them."""
    return ExportArguments(
        images=images or (),
        videos=videos,
        max_images=max_images,
        allow_missing_images=allow_missing_images,
        split=split,
        system=system,
        languages=languages,
        no_image_names=no_image_names,
        reviewed=reviewed,
    )


@with_observer
@with_made(_export_arguments, "chosen")
def export(
    folder: RunFolder,
    observer: PlainObserver,
    formats: ExportFormats,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER|URL", help="Target; each format gets a folder in it (default: FOLDER/export)."),
    ] = None,
    *,
    chosen: ExportArguments,
    datasets_dir: PluginFolders = None,
) -> None:
    """Write the pairs of a run in other formats, with or without their images, each with a dataset card."""
    from syphus.api_exports import export as to_folder
    from syphus.api_exports import publish

    chosen["on_note"] = observer.say
    url = as_url(output) if output is not None else ""
    write = partial(publish, folder, formats, url) if url else partial(to_folder, folder, formats, output)
    written = write(datasets_dir or (), **chosen)
    observer.record(map(str, written))
    print_lines(*map(str, written))


@with_observer
@with_made(_export_arguments, "chosen")
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
    *,
    chosen: ExportArguments,
    private: Annotated[bool, typer.Option("--private", help="Require or create a private repository.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="Existing branch (default: main).")] = None,
    allow_simulated: Annotated[bool, typer.Option("--allow-simulated", help="Also send simulated answers.")] = False,
    datasets_dir: PluginFolders = None,
) -> None:
    """Send the pairs of a run, with their card, to the Hugging Face Hub; unchanged files are not sent again."""
    from syphus import api

    chosen["on_note"] = observer.say
    done = api.push(
        *(folder, repo, form),
        private=private,
        revision=revision,
        allow_simulated=allow_simulated,
        datasets_dir=datasets_dir or (),
        progress=observer.is_live,
        **chosen,
    )
    line = _sent_line(done)
    observer.record([line])
    print_lines(line)


def _sent_line(done: PushResult) -> str:
    size = f" ({done.size / 1e6:,.1f} MB)" if done.sent else ""
    return f"{done.url}: {pluralize(len(done.sent), 'file')} sent{size}, {done.unchanged:,} unchanged"
