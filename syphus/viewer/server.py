"""The viewer's server: it collects the routes of the other modules, and serves its pages until it is stopped.

A module of this room that answers requests has a function `routes(viewer)`, and is listed in `_MODULES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from webbrowser import Error, open_new_tab

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from syphus.errors import ConfigError
from syphus.viewer import control_routes, report_routes, reviews_api, run_routes
from syphus.viewer.replies import with_errors
from syphus.viewer.side_index import cache_folder
from syphus.viewer.viewer import Viewer

PORT = 8777  #: if it is free and the user names none
_SHUTDOWN_SECONDS = 0.5
_MAX_BODY = 1 << 20  #: bytes that a page may send
_BACKLOG = 64  #: connections that are accepted at once
_MOST_CONNECTIONS = 256  #: before others are refused; a browser opens six
_M_ARENA_MAX = -8  #: of malloc.h
_PRIVATE_FILE = 0o600
_IDLE_SECONDS = 20.0  #: that a connection may take to send a request
_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".png": "image/png",
    ".json": "application/json",
}
_PAGES = ("queries", "pairs", "review", "worth", "cold-start", "translation", "statistics", "control")
_MODULES = (run_routes, reviews_api, control_routes, report_routes)  #: those that answer requests


def make_app(viewer: Viewer) -> web.Application:
    """Return the application with the routes of all modules."""
    app = web.Application(middlewares=[viewer.guard.middleware, with_errors], client_max_size=_MAX_BODY)
    app.on_response_prepare.append(viewer.guard.set_headers)
    for module in _MODULES:
        app.add_routes(module.routes(viewer))
    app.add_routes(_page_routes())
    return app


def _page_routes() -> list[web.RouteDef]:
    files = {
        path.relative_to(_STATIC).as_posix(): path
        for path in sorted(_STATIC.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }

    async def page(_: web.Request) -> web.Response:
        return await _file(_STATIC / "index.html")

    async def static(request: web.Request) -> web.Response:
        path = files.get(request.match_info["name"])  # no other file can be asked for
        if path is None:
            raise web.HTTPNotFound(reason="There is no such file.")
        return await _file(path)

    pages = ["/", "/compare", "/runs/{run}", "/runs/{run}/queries/{n}", *(f"/runs/{{run}}/{name}" for name in _PAGES)]
    return [*(web.get(path, page) for path in pages), web.get("/static/{name:.+}", static)]


async def _file(path: Path) -> web.Response:
    body = await asyncio.get_running_loop().run_in_executor(None, path.read_bytes)
    return web.Response(body=body, content_type=_TYPES[path.suffix], charset="utf-8")


@asynccontextmanager
async def serve(viewer: Viewer, ports: Iterable[int]) -> AsyncIterator[str]:
    """Serve in the running event loop, at the first port that is free; yield the address with the token.

    Raises `OSError` if none is free.
    """
    runner = web.AppRunner(
        make_app(viewer),
        access_log=None,
        logger=_logger(),
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=_IDLE_SECONDS,
    )
    await runner.setup()
    server = None
    try:
        server = await _bind(runner, viewer.host, [*ports])
        port = int(server.sockets[0].getsockname()[1])
        viewer.guard.port = port
        yield f"http://{_in_address(viewer.host)}:{port}/?token={viewer.token}"
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()
        viewer.close()


def _logger() -> logging.Logger:
    """Return the log of the server. Requests that are not HTTP are left out: they could fill the terminal."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_fault)
    return logger


def _is_fault(record: logging.LogRecord) -> bool:
    return not (isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], HttpProcessingError))


class _Refusal(asyncio.Protocol):
    """What a connection gets if there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


async def _bind(runner: web.AppRunner, host: str, ports: Sequence[int]) -> asyncio.Server:
    handlers = runner.server
    assert handlers is not None

    def protocol() -> asyncio.BaseProtocol:
        return _Refusal() if len(handlers.connections) >= _MOST_CONNECTIONS else handlers()

    loop = asyncio.get_running_loop()
    for port in ports:
        try:
            return await loop.create_server(protocol, host or None, port, backlog=_BACKLOG, reuse_address=True)
        except OSError:
            if port == ports[-1]:
                raise
    raise AssertionError


def _in_address(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def view_runs(paths: Sequence[Path], images: Sequence[Path], host: str, port: int | None, browser: bool) -> None:
    """Serve the runs in some folders until Ctrl-C or SIGTERM; print the address, and open it in a browser if wanted.

    Raises `RunError` if there is no run, `ConfigError` if the port can't be used.
    """
    _share_one_heap()
    viewer = Viewer(paths, host, images=images)
    viewer.runs.check()
    try:
        asyncio.run(_view(viewer, port, browser))
    except KeyboardInterrupt:
        return
    except OSError as error:
        reason = (error.strerror or str(error)).rpartition(": ")[2]
        raise ConfigError(
            f"Port {port} of {viewer.host} can't be used ({reason}). Choose another with --port."
        ) from error


def _share_one_heap() -> None:
    """Let all threads allocate from one heap, where the C library is glibc: each heap keeps megabytes that it freed."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


async def _view(viewer: Viewer, port: int | None, browser: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serve(viewer, (PORT, 0) if port is None else (port,)) as address:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, stop.set)
            except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not in the main thread
                continue
        sys.stdout.write(f"{address}  stop with Ctrl-C\n")
        sys.stdout.flush()
        opened = await loop.run_in_executor(None, open_browser, address) if browser else None
        await stop.wait()
        if opened is not None:
            opened.unlink(missing_ok=True)


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
