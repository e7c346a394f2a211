"""A stage and what it is run with. Ways to share limits, and machines that send, are plugged in here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.routes import ApiRoute
from syphus.formats.run_files import PairsFile
from syphus.ledger.records import Records
from syphus.ledger.store import Store
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import Budget
from syphus.pipeline.concurrency import Stoppable
from syphus.pipeline.endpoint_state import Endpoint, EndpointState
from syphus.pipeline.run_control import StageControl
from syphus.pipeline.session_context import SessionStats
from syphus.pipeline.stage import Stage


class Fleet(Protocol):
    """Machines that send the requests of a session, each of which was admitted here."""

    def running(self, say: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Return a context in which they work; `say` tells people when one comes or goes.

        Entering it raises `ProviderError` if none of them works.
        """
        ...

    def endpoints(self, config: EndpointConfig, redactor: SecretRedactor, route: ApiRoute) -> Sequence[Endpoint]:
        """Return an endpoint as they ask it. It is several if each machine asks its own. Raises `ConfigError`."""
        ...

    async def lost(self) -> str:
        """Wait until they can send nothing any more. Return why, and what to do, in one line."""
        ...


@dataclass(frozen=True, slots=True)
class SharingParts:
    """The parts of a stage that shared limits act on. `announce` tells people a line with its time."""

    loop: Stoppable
    admission: AdmissionController
    max_outage: float  #: seconds for which nothing is heard of the others until the stage stops
    clock: Callable[[], float]
    announce: Callable[[str], None]


class Sharing(Protocol):
    """A way to share limits with other runs."""

    async def join(
        self, states: Sequence[EndpointState], clock: Callable[[], float], opened: contextlib.AsyncExitStack
    ) -> None:
        """Reach the others before anything is sent; `opened` leaves them. `clock` is that of the run.

        Raises `ConfigError` or `ProviderError` if that fails.
        """
        ...

    def joined(self, parts: SharingParts) -> contextlib.AbstractAsyncContextManager[None]:
        """Return a context in which the stage has its share."""
        ...


@dataclass(frozen=True, slots=True)
class StageRun:
    """A stage and what it is run with."""

    stage: Stage
    route: ApiRoute
    store: Store
    records: Records
    pairs: PairsFile | None  #: grows with the answers, for people to watch
    budget: Budget
    stats: SessionStats
    redactor: SecretRedactor
    threads: int  #: maximum concurrent requests
    max_rounds: int  #: further answers for a row whose answer was rejected
    trusted: bool  #: the newest session had the same settings and endpoint, and the run has answers
    seed: int
    drain_seconds: float  #: how long requests in flight may take after a Ctrl-C
    control: StageControl | None = None  #: what people may change meanwhile
    sharing: Sharing | None = None  #: how it shares its limits with other runs
    pairs_wanted: int | None = None  #: accepted pairs after which nothing more is sent
    fleet: Fleet | None = None  #: sends the requests, instead of this process
