"""Steer a run from its page, and offer the numbers of all runs to Prometheus."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

from aiohttp import web

from syphus.errors import ConfigError, RunError
from syphus.ledger.control_desk import ControlName
from syphus.ledger.store import FILE
from syphus.runs.control import ControlState, change_run, control_state, user_name
from syphus.runs.metrics import CONTENT_TYPE, read_samples, text_of_runs
from syphus.text import one_line
from syphus.viewer.replies import as_reply, body_of, refusal
from syphus.viewer.viewer import Viewer

_WAIT_SECONDS = 4.0  #: for the reply of the run; the page asks again
_LONGEST_NAME = 60  #: characters of a person's name


def routes(viewer: Viewer) -> list[web.RouteDef]:
    """Return the routes of this module."""

    async def show(request: web.Request) -> web.Response:
        run = viewer.run(request)
        return as_reply(_reply(await viewer.call(partial(control_state, run.folder))))

    async def change(request: web.Request) -> web.Response:
        run, wanted = viewer.run(request), await body_of(request)
        stop, who = wanted.pop("stop", False) is True, _who(wanted.pop("who", ""))
        unknown = [name for name in wanted if name not in list(ControlName)]
        if unknown or not (wanted or stop):
            return refusal(400, f"No such setting: {', '.join(unknown)}." if unknown else "There is nothing to change.")
        try:
            state = await viewer.call(partial(change_run, run.folder, wanted, stop, who, _WAIT_SECONDS))
        except RunError as error:  # no process works on it
            return refusal(409, str(error).replace(str(run.folder), run.name))
        except ConfigError as error:
            return refusal(400, str(error))
        return as_reply(_reply(state))

    async def metrics(_: web.Request) -> web.Response:
        text = await viewer.call(partial(_metrics, viewer))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    return [
        web.get("/api/runs/{run}/control", show),
        web.post("/api/runs/{run}/control", change),
        web.get("/metrics", metrics),
    ]


def _reply(state: ControlState) -> dict[str, object]:
    changes = [{**each._asdict(), "text": each.describe()} for each in reversed(state.changes)]
    applied = [each.describe() for each in state.applied]
    return {**state.as_json(), "changes": changes, "applied": applied}


def _who(name: object) -> str:
    """Return who changes a run: the name that a person gives, and the user whose viewer it is."""
    given = one_line(str(name or ""), _LONGEST_NAME).strip()
    return f"{given} ({user_name()}, page)" if given else f"{user_name()} (page)"


def _metrics(viewer: Viewer) -> str:
    """Return the metrics of the runs, those that were used last first."""
    runs = sorted(viewer.runs.all(), key=lambda run: -_used(run.folder))
    return text_of_runs((run.name, partial(read_samples, run.folder, run.name)) for run in runs)


def _used(folder: Path) -> float:
    """Return when a run was written last, in seconds since the epoch; 0 if that is not known."""
    newest = 0.0
    for name in (FILE, f"{FILE}-wal"):
        with contextlib.suppress(OSError):
            newest = max(newest, (folder / name).stat().st_mtime)
    return newest
