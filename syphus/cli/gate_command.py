"""The command `gate`: limits and a budget that runs on several hosts share.

This module is loaded for `--help`: what the command needs besides its declaration is imported in its function.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from syphus.cli.streams import say
from syphus.errors import ConfigError

_PORT = 8790  # unless the user names one


def gate(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address of this machine to listen on (port 0 = any free one).")
    ] = f"127.0.0.1:{_PORT}",
    max_cost: Annotated[
        float | None, typer.Option(metavar="X", min=0, help="Maximum cost in dollars of all runs together.")
    ] = None,
    max_requests: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Maximum requests of all runs together.")
    ] = None,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the record of what runs have spent, if there is a maximum.")
    ] = Path("gate"),
) -> None:
    """Serve shared rate limits and a budget to runs on several hosts (--share). Stop it with Ctrl-C."""
    import asyncio
    import secrets

    from syphus.cluster.gate_server import GateSettings, serve_until_stopped
    from syphus.cluster.messages import SECRET

    host, port = _address(listen)
    secret = os.environ.get(SECRET, "").strip()
    if not secret:
        secret = secrets.token_urlsafe(24)
        say(f"Runs need the secret of this gate: export {SECRET}={secret}")
    settings = GateSettings(host, port, secret, folder, max_cost, max_requests)
    asyncio.run(serve_until_stopped(settings, say))


def _address(text: str) -> tuple[str, int]:
    """Return host and port. Raises `ConfigError` for anything else."""
    found = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\s]*)):(?P<port>\d{1,5})", text)
    if found is None or int(found["port"]) > 65535:
        raise ConfigError(f"--listen {text}: must be HOST:PORT, such as 0.0.0.0:{_PORT}.")
    return found["six"] or found["host"], int(found["port"])
