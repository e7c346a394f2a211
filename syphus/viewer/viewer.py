"""What the routes of the viewer share: the runs, their numbers and events, and threads that read their ledgers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from syphus.ledger.store import Store
from syphus.viewer.events import EventStreams, Overviews
from syphus.viewer.image_reader import ImageReader
from syphus.viewer.ledger_access import LedgerAccess
from syphus.viewer.run_list import RunList, ViewedRun
from syphus.viewer.security import Guard, new_token
from syphus.viewer.side_index import SideIndexes

T = TypeVar("T")


class Viewer:
    """What the routes share: the runs, their newest numbers, their events, and threads that read their ledgers."""

    def __init__(
        self,
        paths: Sequence[Path],
        host: str = "127.0.0.1",
        *,
        images: Sequence[Path] = (),
        token: str = "",
        cache: Path | None = None,
    ) -> None:
        """Show the runs in some folders; `images` are stores and folders of their images besides those of the runs.

        `cache` is the folder for what the viewer keeps, by default the user's; `token` is random unless it is given.
        """
        self.runs = RunList(paths)
        self.host = host
        self.token = token or new_token()
        self.guard = Guard(host, self.token)
        self._access = LedgerAccess()
        self.overviews = Overviews(self._access)
        self.events = EventStreams(self.overviews)
        self.side_indexes = SideIndexes(cache)
        self.images = ImageReader(images)

    def run(self, request: web.Request) -> ViewedRun:
        """Return the run that a request is about. Raises `aiohttp.web.HTTPNotFound` for one that does not exist."""
        found = self.runs.get(request.match_info["run"])
        if found is None:
            raise web.HTTPNotFound(reason="There is no such run.")
        return found

    async def call(self, function: Callable[[], T]) -> T:
        """Call a function that blocks in a thread."""
        return await self._access.call(function)

    async def read(self, run: ViewedRun, function: Callable[[Store], T]) -> T:
        """Call a function with the ledger of a run, open for reading in one snapshot, in a thread."""
        return await self._access.read(run.folder, function)

    def close(self) -> None:
        """Stop everything that works for the viewer."""
        self.images.close()
        self.side_indexes.close()
        self._access.close()
