"""A chat endpoint that makes its answers up: for `--offline`, for tests, and for trying any OpenAI client without a
key.

    async with serve(Simulation(seed=1)) as server:
        client = AsyncOpenAI(base_url=server.url, api_key="any")

It speaks the OpenAI and the Azure chat routes over real HTTP on loopback, answers in the form that the prompt asks for,
always the same for the same seed and messages, enforces limits and plays faults. Everything that it answers says that
it is made up.
"""

from syphus.endpoints.simulated.bill import CLIENT_LEFT, Record, Stats
from syphus.endpoints.simulated.faults import FAULTS
from syphus.endpoints.simulated.server import SimulatedServer, run_simulated, serve, serve_in_thread
from syphus.endpoints.simulated.settings import Simulation, changed

__all__ = [
    "CLIENT_LEFT",
    "FAULTS",
    "Record",
    "SimulatedServer",
    "Simulation",
    "Stats",
    "changed",
    "run_simulated",
    "serve",
    "serve_in_thread",
]
