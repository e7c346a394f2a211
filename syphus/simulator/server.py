"""Run a simulated endpoint on a loopback socket: in the caller's event loop, in a thread, or in the foreground."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Thread

from aiohttp import web

from syphus.errors import ConfigError
from syphus.simulator.endpoint import SimulatedEndpoint
from syphus.simulator.settings import Simulation
from syphus.simulator.stats import RequestRecord, ServerStats

_HOST = "127.0.0.1"
_SHUTDOWN_SECONDS = 0.2  # for closed connections; open requests are cancelled before
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class SimulatedServer:
    """A running simulated endpoint. Any thread may read `stats` and `requests`."""

    port: int
    endpoint: SimulatedEndpoint

    @property
    def host_url(self) -> str:
        """The address without a path, for AZURE_OPENAI_ENDPOINT."""
        return f"http://{_HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, for OPENAI_BASE_URL."""
        return f"{self.host_url}/v1"

    @property
    def stats(self) -> ServerStats:
        """The counters."""
        return self.endpoint.stats

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """The latest finished requests, oldest first."""
        return list(self.endpoint.requests)

    def configure(self, **options: object) -> None:
        """Change settings by name while it runs. Raises `ValueError` as `Simulation` does."""
        self.endpoint.configure(options)

    def advance(self, seconds: float) -> None:
        """Advance the clock of files and batches by `seconds`."""
        self.endpoint.batches.clock.advance(seconds)

    def reset(self) -> None:
        """Forget all requests. The settings stay."""
        self.endpoint.reset()


@asynccontextmanager
async def serve(
    simulation: Simulation | None = None, port: int = 0, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[SimulatedServer]:
    """Run a simulated endpoint on 127.0.0.1 in the running event loop, at `port` or any free port.

    `clock` is that of its limits, of its prompt cache, and of batches.
    Leaving the context closes it at once, even if connections are still waiting. Raises `OSError` if the port is taken.
    """
    endpoint = SimulatedEndpoint(simulation or Simulation(), clock)
    server = web.Server(endpoint.handle, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, port, backlog=_BACKLOG).start()
        yield SimulatedServer(runner.addresses[0][1], endpoint)
    finally:
        endpoint.stop()
        await runner.cleanup()


@contextmanager
def serve_in_thread(
    simulation: Simulation | None = None, port: int = 0, clock: Callable[[], float] = time.monotonic
) -> Iterator[SimulatedServer]:
    """Run a simulated endpoint in a thread with its own event loop, for synchronous callers."""
    started: Future[tuple[SimulatedServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(simulation, port, clock) as server:
            started.set_result((server, asyncio.get_running_loop(), stop))
            await stop.wait()

    def main() -> None:
        try:
            asyncio.run(run())
        except OSError as error:
            started.set_exception(error)

    thread = Thread(target=main, name="simulated endpoint", daemon=True)
    thread.start()
    server, loop, stop = started.result()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def run_simulated(simulation: Simulation, port: int) -> None:
    """Print one line with the addresses, and serve until Ctrl-C or SIGTERM.

    Raises `ConfigError` if the port can't be used.
    """
    try:
        asyncio.run(_run(simulation, port))
    except KeyboardInterrupt:
        return
    except OSError as error:
        raise ConfigError(
            f"Port {port} of {_HOST} can't be used ({error.strerror}). Choose another with --port."
        ) from error


async def _run(simulation: Simulation, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serve(simulation, port) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, stop.set)
            except NotImplementedError:  # Windows, where Ctrl-C arrives as KeyboardInterrupt
                continue
        key = "(the one you set)" if simulation.key else "any"
        sys.stdout.write(
            f"Simulated endpoint (no model, made-up answers): OPENAI_BASE_URL={server.url} OPENAI_API_KEY={key} "
            f"OPENAI_MODEL=chat  Azure: {server.host_url}  counters: {server.host_url}/stats  stop with Ctrl-C\n"
        )
        sys.stdout.flush()
        await stop.wait()
