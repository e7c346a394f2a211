"""The command that makes image stores: convert. Thin, as those in cli.py."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from syphus.errors import ConfigError
from syphus.terminal.streams import print_as_json, print_lines

_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")


def convert(
    output: Annotated[
        Path, typer.Option(metavar="PATH", help="The store: XX.parquet, XX.json, or a folder of parts for large ones.")
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", help="The dataset: YourDataset.your_dataset.")] = "",
    image_path: Annotated[
        str, typer.Option(metavar="PATH", help="The folder of its images or videos, or the file that lists them.")
    ] = "",
    image_root: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Another folder that may be read, and where paths start; several times."),
    ] = None,
    query_inputs_path: Annotated[
        str,
        typer.Option(
            "--query-inputs-path", "-in", metavar="PATH", help="Annotations: only the images that their rows name."
        ),
    ] = "",
    source: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="Another store, whose images go over as they are.")
    ] = None,
    size: Annotated[str, typer.Option(metavar="N|WxH", help="Pixels of an image.")] = "224",
    keep_aspect: Annotated[bool, typer.Option("--keep-aspect", help="Fit it into this size, undistorted.")] = False,
    original: Annotated[bool, typer.Option("--original", help="Leave images at their size.")] = False,
    image_format: Annotated[str, typer.Option(metavar="jpeg|png", help="What images are encoded as.")] = "",
    quality: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="Of JPEG.")] = 90,
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="base64 for Otter, datasets for raw bytes with the Image feature.")
    ] = "base64",
    part_mb: Annotated[int, typer.Option(metavar="N", help="Megabytes of images in a part.")] = 256,
    num_threads: Annotated[int, typer.Option(metavar="N", help="Processes that decode; 0 is one for each core.")] = 0,
    max_bad: Annotated[
        float, typer.Option(metavar="SHARE", help="Stop where more than this share can't be taken; 1 never does.")
    ] = 1.0,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Take CMYK, 16 bit, and the first picture of animations, too.")
    ] = False,
    max_pixels: Annotated[int, typer.Option(metavar="N", min=1, help="That an image may have.")] = 50_000_000,
    timeout: Annotated[float, typer.Option(metavar="X", help="Seconds that an image may take.")] = 60.0,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, and write over what is there.")] = False,
    datasets_dir: Annotated[
        list[Path] | None,
        typer.Option(
            "--datasets-dir", metavar="FOLDER", help="Another folder with plugins; may be given several times."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Makes the image store of a dataset from its stills or videos; the same command goes on after a stop."""
    from syphus.images.look import make_look
    from syphus.runs.conversion import Conversion
    from syphus.runs.convert import convert as work
    from syphus.terminal.converting import ConversionMeter, as_json, closing

    look = make_look(None if original else _size(size), keep_aspect, image_format, quality, max_pixels, lenient)
    wish = Conversion(
        output=output,
        name=name,
        image_path=image_path,
        image_roots=tuple(image_root or ()),
        annotations=query_inputs_path,
        source=source,
        look=look,
        layout=layout,
        part_mb=part_mb,
        processes=num_threads,
        max_bad=max_bad,
        seconds=timeout,
        restart=restart,
        datasets_dir=tuple(datasets_dir or ()),
    )
    meter, began = ConversionMeter(), time.monotonic()
    try:
        done = work(wish, meter.tick, meter.say)
    finally:
        meter.end()
    if json:
        print_as_json(as_json(done))
    else:
        print_lines(*closing(done, time.monotonic() - began))
    raise typer.Exit(1 if done.skipped else 0)


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if not found or not int(found[1]) or found[2] == "0":
        raise ConfigError(f"--size {text}: a number of pixels, or two as in 336x224.")
    return int(found[1]), int(found[2] or found[1])
