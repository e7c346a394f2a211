"""`syphus gate`: the gate of runs on several hosts, behind an address."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
from aiohttp import web

from syphus.cluster.gate import Gate
from syphus.cluster.gate_client import PATH, UNAVAILABLE
from syphus.cluster.messages import PROTOCOL, Lease, LeaseRequest, MessageError
from syphus.cluster.shared_budget import read_budget, write_budget
from syphus.errors import ConfigError, StorageError
from syphus.storage.network_disks import network_disk
from syphus.text import pluralize

_MAX_BODY = 1 << 16  # bytes of a message
_LOOK_EVERY = 1.0  # seconds between two looks at who is there


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How a gate listens and what it allows. `folder` keeps what was spent; it is used only if there is a budget."""

    host: str
    port: int
    secret: str
    folder: Path
    max_cost: float | None = None  #: dollars, of all runs together
    max_requests: int | None = None


class GateServer:
    """A gate with its routes. Raises `ConfigError` if the folder can't be used."""

    def __init__(self, settings: GateSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self._clock = settings, clock
        self.gate = Gate(settings.max_cost, settings.max_requests, is_fixed=True)
        self._fault = ""  # why what runs have spent can't be kept
        self._has_budget = settings.max_cost is not None or settings.max_requests is not None
        if self._has_budget:
            self._take_up()

    def _take_up(self) -> None:
        """Take up what was spent before."""
        folder = self.settings.folder
        if network := network_disk(folder):
            raise ConfigError(f"--folder {folder}: it is on a network file system ({network}). Use a local disk.")
        folder.mkdir(parents=True, exist_ok=True)
        kept = read_budget(folder)
        if kept is not None:
            kept.max_cost, kept.max_requests = self.settings.max_cost, self.settings.max_requests
            self.gate.budget = kept

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.add_routes([web.get(PATH, self._greet), web.post(PATH, self._exchange)])
        return app

    def _is_known(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {self.settings.secret}".encode())

    async def _greet(self, request: web.Request) -> web.Response:
        return _reply(Lease()) if self._is_known(request) else web.Response(status=401)

    async def _exchange(self, request: web.Request) -> web.Response:
        if not self._is_known(request):
            return web.Response(status=401)
        try:
            values = orjson.loads(await request.read())
            if isinstance(values, dict) and values.get("protocol") != PROTOCOL:
                return _reply(Lease(problem="its version differs"))  # the client says it better
            message = LeaseRequest.from_json(values)
        except (MessageError, orjson.JSONDecodeError) as error:
            return web.Response(status=400, text=str(error))
        gate = self.gate
        lease = gate.exchange(message, self._clock())
        if gate.has_promised:
            gate.budget.version += 1
            try:
                write_budget(self.settings.folder, gate.budget)  # first: what is promised must not be forgotten
            except StorageError as error:
                self._fault = str(error)
                return web.Response(status=UNAVAILABLE, text=self._fault)
            gate.has_promised, self._fault = False, ""
        return _reply(lease)

    async def watch(self, say: Callable[[str], None], stop: asyncio.Event) -> None:
        """Say how many runs there are when one comes or goes, and what is wrong, until `stop` is set."""
        runs: set[str] = set()
        fault = ""
        while not stop.is_set():
            self.gate.drop_dead(self._clock())
            now = {client for key in self.gate.keys.values() for client in key.clients}
            if now != runs:
                say(f"{pluralize(len(now), 'run')} {'shares' if len(now) == 1 else 'share'} its limits.")
                runs = now
            if self._fault != fault:
                fault = self._fault
                say(
                    f"{fault} Runs wait until it can."
                    if fault
                    else "The record of what runs have spent is written again."
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await stop.wait()


def _reply(lease: Lease) -> web.Response:
    return web.Response(body=orjson.dumps(lease.as_json()), content_type="application/json")


@contextlib.asynccontextmanager
async def serve_gate(server: GateServer) -> AsyncIterator[str]:
    """Serve a gate in the running event loop; yield its address. Raises `ConfigError` if the port can't be used."""
    settings = server.settings
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host or None, settings.port)
        try:
            await site.start()
        except OSError as error:
            reason = (error.strerror or str(error)).rpartition(": ")[2]
            raise ConfigError(f"--listen {settings.host}:{settings.port}: it can't be used ({reason}).") from error
        yield f"http://{_shown(settings.host)}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _shown(host: str) -> str:
    """Return the name by which other hosts know this one, if it listens at all its addresses."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


async def serve_until_stopped(settings: GateSettings, say: Callable[[str], None]) -> None:
    """Serve a gate until Ctrl-C or SIGTERM; `say` shows the address. Raises `ConfigError` as `serve_gate` does."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    server = GateServer(settings)
    async with serve_gate(server) as address:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or another thread
                loop.add_signal_handler(number, stop.set)
        say(f"The gate listens at {address}; runs use it with --share {address}. Stop it with Ctrl-C.")
        await server.watch(say, stop)
        say("Stopped. Its runs wait until it is back.")
