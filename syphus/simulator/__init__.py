"""A chat endpoint that makes its answers up: for `--offline`, for tests, and for trying any OpenAI client without a
key.

    async with serve(Simulation(seed=1)) as server:
        client = AsyncOpenAI(base_url=server.url, api_key="any")

It speaks the OpenAI and the Azure chat routes over real HTTP on loopback, answers in the form that the prompt asks for,
always the same for the same seed and messages, enforces limits and plays faults. Everything that it answers says that
it is made up.
"""

from syphus.simulator.faults import FAULTS
from syphus.simulator.server import SimulatedServer, run_simulated, serve, serve_in_thread
from syphus.simulator.settings import Simulation, changed
from syphus.simulator.stats import CLIENT_LEFT, RequestRecord, ServerStats

__all__ = [
    "CLIENT_LEFT",
    "FAULTS",
    "RequestRecord",
    "ServerStats",
    "SimulatedServer",
    "Simulation",
    "changed",
    "run_simulated",
    "serve",
    "serve_in_thread",
]
