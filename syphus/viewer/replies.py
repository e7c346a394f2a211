"""Replies of the viewer, and what its pages send, as JSON."""

from __future__ import annotations

import asyncio
import sys
import traceback

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from syphus.errors import SyphusError
from syphus.text import one_line

_LONGEST_ERROR = 500  #: characters
_BODY_SECONDS = 15.0  #: that a page may take to send what it sends


def as_reply(value: object, status: int = 200) -> web.Response:
    """Return JSON values as a reply."""
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def refusal(status: int, error: str) -> web.Response:
    """Return one line that says why a request is refused."""
    return as_reply({"error": one_line(error, _LONGEST_ERROR)}, status)


async def body_of(request: web.Request) -> dict[str, object]:
    """Return the JSON object that a page has sent. Raises `aiohttp.web.HTTPBadRequest` for anything else."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            value = orjson.loads(await request.read())
    except ValueError:
        value = None
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason="The request takes too long.") from error
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(reason="The request is not a JSON object.")
    return value


@web.middleware
async def with_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into one line of JSON."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return refusal(error.status, error.reason)
    except SyphusError as error:
        return refusal(400, str(error))
    except Exception:  # noqa: BLE001 - the viewer continues; the page gets one line, the terminal all of it
        traceback.print_exc(file=sys.stderr)
        return refusal(500, "The viewer failed; its terminal says more.")
