"""What the pages read of runs: the list, the numbers of one, its events, its queries and their images."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from syphus.errors import SyphusError
from syphus.ledger.store import Store
from syphus.text import one_line
from syphus.viewer.image_reader import image_type
from syphus.viewer.ledger_access import read_ledger
from syphus.viewer.query_detail import read_query
from syphus.viewer.query_filter import PageRequest, parse_request
from syphus.viewer.query_list import read_page
from syphus.viewer.replies import as_reply, refusal
from syphus.viewer.run_list import ViewedRun
from syphus.viewer.side_index import SideIndex
from syphus.viewer.viewer import Viewer

_DIGITS = 19  #: of a number, fewer than this
_FOREVER = "private, max-age=31536000, immutable"


def routes(viewer: Viewer) -> list[web.RouteDef]:
    """Return the routes of this module."""

    async def runs(_: web.Request) -> web.Response:
        found = await viewer.call(viewer.runs.all)
        return as_reply({"runs": [await _line(viewer, run) for run in found]})

    async def overview(request: web.Request) -> web.Response:
        return as_reply(await viewer.overviews.newest(viewer.run(request)))

    async def events(request: web.Request) -> web.StreamResponse:
        return await viewer.events.stream(request, viewer.run(request))

    async def queries(request: web.Request) -> web.Response:
        wanted, run = parse_request(request.query), viewer.run(request)
        return as_reply(await viewer.call(partial(_page, viewer, run, wanted)))

    async def query(request: web.Request) -> web.Response:
        run, n = viewer.run(request), _number(request, "n")
        found = await viewer.read(run, partial(_query, viewer, n=n, address=f"/api/runs/{run.key}/images/{n}"))
        if found is None:
            raise web.HTTPNotFound(reason="There is no such query.")
        return as_reply(found)

    return [
        web.get("/api/runs", runs),
        web.get("/api/runs/{run}/queries", queries),
        web.get("/api/runs/{run}/queries/{n}", query),
        web.get("/api/runs/{run}/images/{n}/{k}", partial(_image, viewer)),
        web.get("/api/runs/{run}/overview", overview),
        web.get("/api/runs/{run}/events", events, allow_head=False),
    ]


async def _image(viewer: Viewer, request: web.Request) -> web.Response:
    run, n, k = viewer.run(request), _number(request, "n"), _number(request, "k")
    size = request.query.get("size", "")
    pixels = int(size) if size.isdecimal() and size.isascii() and len(size) < _DIGITS else 0
    job = await viewer.read(run, partial(viewer.images.job, folder=run.folder, n=n, k=k, size=pixels))
    if job is None:
        raise web.HTTPNotFound(reason="There is no such image.")
    data = await viewer.images.read(job)
    if isinstance(data, str):
        return refusal(404, data)
    kind = image_type(data)
    if not kind:
        return refusal(415, "Browsers can't show an image of this type.")
    named = job.image.digest and request.query.get("digest") == job.image.digest  # its address names its content
    return web.Response(body=data, content_type=kind, headers={"Cache-Control": _FOREVER} if named else None)


def _page(viewer: Viewer, run: ViewedRun, wanted: PageRequest) -> dict[str, object]:
    with viewer.side_indexes.reader(run.folder) as side:
        return read_ledger(run.folder, partial(_rows, viewer, wanted=wanted, side=side))


def _rows(viewer: Viewer, store: Store, wanted: PageRequest, side: SideIndex) -> dict[str, object]:
    found = read_page(store, wanted, side)
    viewer.images.clear_addresses(store, found.rows)
    return found.as_json()


def _query(viewer: Viewer, store: Store, n: int, address: str) -> dict[str, object] | None:
    found = read_query(store, n, address)
    viewer.images.clear_addresses(store, [found] if found is not None else [])
    return found


def _number(request: web.Request, name: str) -> int:
    """Return a number of an address. Raises `HTTPNotFound` for anything else."""
    text = request.match_info[name]
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise web.HTTPNotFound(reason="There is nothing at this address.")
    return int(text)


async def _line(viewer: Viewer, run: ViewedRun) -> dict[str, object]:
    """Return what the list says of a run, also of one that can't be read."""
    try:
        overview = await viewer.overviews.newest(run)
    except (SyphusError, OSError) as error:
        return {"key": run.key, "name": run.name, "state": "unreadable", "problem": one_line(str(error), 300)}
    line = overview["line"]
    assert isinstance(line, dict)
    return {"key": run.key, "name": run.name, **line}
