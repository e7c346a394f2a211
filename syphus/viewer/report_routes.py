"""What the pages about a cold start, a translation, the statistics of a run and the comparison of runs show."""

from __future__ import annotations

from functools import partial

import orjson
from aiohttp import web

from syphus.cold_start.results_json import RESULT_FILE
from syphus.ledger.sessions import read_cold_start
from syphus.ledger.store import Store
from syphus.viewer.comparison import MOST_RUNS, compare_rows
from syphus.viewer.ledger_access import read_ledger
from syphus.viewer.replies import as_reply, refusal
from syphus.viewer.run_list import ViewedRun
from syphus.viewer.run_statistics import read_statistics
from syphus.viewer.translation_numbers import TranslationNumbers
from syphus.viewer.viewer import Viewer

_COMPARED = ("key", "name", "counts", "total", "pairs", "money", "tokens", "models", "settings", "state", "simulated")
_MAX_RESULT = 64_000_000  #: bytes of a file with the result of a cold start


def routes(viewer: Viewer) -> list[web.RouteDef]:
    """Return the routes of this module."""
    translations = TranslationNumbers()

    async def cold_start(request: web.Request) -> web.Response:
        run = viewer.run(request)
        return as_reply(await viewer.call(partial(_cold_start, run)))

    async def translation(request: web.Request) -> web.Response:
        run = viewer.run(request)
        return as_reply(await viewer.call(partial(translations.newest, run.folder)))

    async def statistics(request: web.Request) -> web.Response:
        run = viewer.run(request)
        return as_reply(await viewer.call(partial(read_statistics, run.folder)))

    async def compare(request: web.Request) -> web.Response:
        keys = [key for key in request.query.get("runs", "").split(",") if key]
        runs = [viewer.runs.get(key) for key in keys[:MOST_RUNS]]
        found = [run for run in runs if run is not None]
        if len(found) < 2 or len(found) < len(runs):
            return refusal(400 if len(keys) < 2 else 404, "Choose two runs or more that exist.")
        numbers = [{"key": run.key, "name": run.name, **await viewer.overviews.newest(run)} for run in found]
        only = request.query.get("only") == "different"
        rows = await viewer.call(
            partial(compare_rows, [run.folder for run in found], request.query.get("after", ""), only=only)
        )
        return as_reply({"runs": [{name: each.get(name) for name in _COMPARED} for each in numbers], **rows})

    return [
        web.get("/api/runs/{run}/cold-start", cold_start),
        web.get("/api/runs/{run}/translation", translation),
        web.get("/api/runs/{run}/statistics", statistics),
        web.get("/api/compare", compare),
    ]


def _cold_start(run: ViewedRun) -> dict[str, object]:
    """Return what a cold start has found: its record in the ledger, and the file with all candidates and trials."""

    def read(store: Store) -> dict[str, object]:
        record = read_cold_start(store)
        stages = [
            {"name": stage, "queries": queries, "answered": done}
            for stage, queries, done in store.read(
                "SELECT stage, sum(times), sum(iif(kind = 'pending', 0, times)) FROM tally "
                "WHERE (stage = 'cold start' OR stage LIKE 'cold start %') AND kind NOT IN ('repair', 'shared') "
                "GROUP BY 1 ORDER BY 1"
            )
        ]
        return {"record": record._asdict() if record is not None else None, "stages": stages}

    found = read_ledger(run.folder, read)
    return {**found, "result": _result(run)}


def _result(run: ViewedRun) -> object:
    path = run.folder / RESULT_FILE
    try:
        if path.stat().st_size > _MAX_RESULT:
            return None
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError):  # not there yet, or damaged
        return None
