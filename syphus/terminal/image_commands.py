"""The command that makes image stores: convert. Thin, as those in cli.py."""

from __future__ import annotations

import time

import typer

from syphus.images.conversion import Conversion
from syphus.terminal.command_line import with_fields
from syphus.terminal.streams import print_as_json, print_lines


@with_fields(Conversion)
def convert(options: Conversion) -> None:
    """Makes the image store of a dataset from its stills or videos; the same command goes on after a stop."""
    from syphus.runs.convert import convert as work
    from syphus.terminal.converting import ConversionMeter, as_json, closing

    meter, began = ConversionMeter(), time.monotonic()
    try:
        done = work(options, meter.tick, meter.say, meter.fetched)
    finally:
        meter.end()
    if options.json:
        print_as_json(as_json(done))
    else:
        print_lines(*closing(done, time.monotonic() - began))
    raise typer.Exit(1 if done.skipped else 0)
