"""The command `view`.

This module is loaded for `--help`: what a command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Folders of runs, or folders with runs below (default: output)."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Image store, or folder of image files, of the pairs; can be repeated."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65535, help="Port (0 = any free one; default: 8777, or a free one)."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address of this machine to listen on. Any but 127.0.0.1 lets others on the network reach the page; "
            "they still need the token, but it is sent without encryption.",
        ),
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser; the address is printed.")] = False,
) -> None:
    """Show runs on a local page, while they work and afterwards. Stop it with Ctrl-C."""
    from syphus import api

    api.view(paths or ["output"], images or (), port=port, host=host, browser=not no_browser)
