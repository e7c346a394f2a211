"""What the pages read of runs: the list, the numbers of one, and its events."""

from __future__ import annotations

from aiohttp import web

from syphus.errors import SyphusError
from syphus.text import one_line
from syphus.viewer.replies import as_reply
from syphus.viewer.run_list import ViewedRun
from syphus.viewer.viewer import Viewer


def routes(viewer: Viewer) -> list[web.RouteDef]:
    """Return the routes of this module."""

    async def runs(_: web.Request) -> web.Response:
        found = await viewer.call(viewer.runs.all)
        return as_reply({"runs": [await _line(viewer, run) for run in found]})

    async def overview(request: web.Request) -> web.Response:
        return as_reply(await viewer.overviews.newest(viewer.run(request)))

    async def events(request: web.Request) -> web.StreamResponse:
        return await viewer.feeds.stream(request, viewer.run(request))

    return [
        web.get("/api/runs", runs),
        web.get("/api/runs/{run}/overview", overview),
        web.get("/api/runs/{run}/events", events, allow_head=False),
    ]


async def _line(viewer: Viewer, run: ViewedRun) -> dict[str, object]:
    """Return what the list says of a run, also of one that can't be read."""
    try:
        overview = await viewer.overviews.newest(run)
    except (SyphusError, OSError) as error:
        return {"key": run.key, "name": run.name, "state": "unreadable", "problem": one_line(str(error), 300)}
    line = overview["line"]
    assert isinstance(line, dict)
    return {"key": run.key, "name": run.name, **line}
