"""The user's browser, and the user's folder for what the viewer keeps."""

from __future__ import annotations

import contextlib
import os
import sys
from html import escape
from pathlib import Path
from webbrowser import Error, open_new_tab

_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


def cache_folder() -> Path:
    """Return the user's folder for what the viewer keeps and can make again; create it. Raises `OSError`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    parent = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    folder = parent / "syphus" / "viewer"
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    return folder


def open_browser(address: str) -> Path | None:
    """Open an address in the user's browser; return a file that is of no use once the browser has read it.

    The address has a token, and all users of a machine see the arguments of a program. So the browser gets a private
    file that leads to the address. Without a screen nothing happens: a browser for text would take the terminal.
    """
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return None
    try:
        path = cache_folder() / f"open-{os.getpid()}.html"
        path.touch(_PRIVATE_FILE)
        path.write_text(f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(address)}">\n', "utf-8")
    except OSError:
        return None
    with contextlib.suppress(Error):
        open_new_tab(path.as_uri())
    return path
