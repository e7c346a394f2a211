"""One run's part in limits that it shares: it asks its gate for leases while a stage works."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from syphus.cluster.gate import group_name
from syphus.cluster.lease_holder import LeaseHolder, RunSpending, Terms
from syphus.cluster.messages import GateConnection, GateGoneError, LeaseRequest
from syphus.config.endpoint_settings import EndpointConfig
from syphus.errors import BudgetError, ConfigError, ProviderError
from syphus.pipeline.admission import AdmissionController
from syphus.pipeline.budget import Budget
from syphus.pipeline.concurrency import beside
from syphus.pipeline.endpoint_state import EndpointState
from syphus.pipeline.stage_run import SharingParts
from syphus.text import format_duration

_IDLE_FACTOR = 4  #: how much rarer messages are if there is nothing to send
_RETRY_SECONDS = 0.5  #: between messages to a gate that does not answer
_PATIENCE = 1.0  #: seconds until people hear that a gate does not answer
_SOON = 0.05  #: seconds between two messages about money
_LEAVING_SECONDS = 1.0  #: that saying goodbye may take


@dataclass(frozen=True, slots=True)
class SharedTerms:
    """What a run shares: its model, the run whose money it is, and the budget of all runs (dollars, requests)."""

    model: str
    run: str
    max_cost: float | None = None
    max_requests: int | None = None


def limits_name(endpoint: EndpointConfig, model: str) -> str:
    """Return the name of the limits of an endpoint, key and model. The key is in it only as a hash."""
    address = urlsplit(endpoint.base_url).netloc.rpartition("@")[2]
    return group_name(address, "\n".join(endpoint.secrets), endpoint.deployment or model)


class RunSharing:
    """Takes part for one stage; `Sharing` describes its use. `endpoints` are those of the config, in its order."""

    def __init__(
        self, gate: GateConnection, terms: SharedTerms, endpoints: Sequence[EndpointConfig], budget: Budget
    ) -> None:
        self._gate, self._terms, self._endpoints, self._budget = gate, terms, endpoints, budget
        self._clients: list[tuple[EndpointState, LeaseHolder]] = []
        self._clock: Callable[[], float] = time.monotonic  # until `join` brings that of the run
        self._wake = asyncio.Event()
        self._next_cost = 0.0
        self._asked_at = 0.0
        self._gone_since: float | None = None
        self._is_announced = False
        self.spent = ""

    def allows(self, dollars: float) -> bool:
        """Return whether the shared budget allows a request that may cost so much."""
        self._next_cost = dollars
        if self._clients[0][1].can_spend(self._spending(), dollars):
            return True
        if self._clock() - self._asked_at > _SOON:  # or else the answer is on its way, or has just come
            self._wake.set()
        return False

    async def join(
        self, states: Sequence[EndpointState], clock: Callable[[], float], opened: contextlib.AsyncExitStack
    ) -> None:
        """Join the gate, before anything is sent. Raises `ConfigError`, and `ProviderError` if it does not answer."""
        self._clock = clock
        opened.push_async_callback(self._gate.close)
        await self._gate.reach()
        name = uuid.uuid4().hex
        for number, (state, endpoint) in enumerate(zip(states, self._endpoints, strict=True)):
            terms = Terms(dict(state.user_limits), self._terms.max_cost, self._terms.max_requests)
            run = "" if number else self._terms.run  # there is one account
            holder = LeaseHolder(f"{name}-{number}", limits_name(endpoint, self._terms.model), terms, run)
            holder.wake = self._wake.set
            state.share(holder)
            self._clients.append((state, holder))
        self._budget.shared = self
        opened.push_async_callback(self._leave)
        try:
            for state, holder in self._clients:
                await self._ask(state, holder, 0)
        except GateGoneError as error:
            raise ProviderError(f"The gate at {self._gate.name} does not answer: {error}.") from error

    def joined(self, parts: SharingParts) -> contextlib.AbstractAsyncContextManager[None]:
        """Ask for leases while the block runs."""
        return beside(parts.loop, self._run(parts))

    async def _run(self, parts: SharingParts) -> None:
        while True:
            seconds = await self._ask_all(parts)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def _ask_all(self, parts: SharingParts) -> float:
        """Ask once for all endpoints; return the seconds until the next time."""
        self._wake.clear()
        admission, seconds = parts.admission, 1.0
        try:
            for state, holder in self._clients:
                await self._ask(state, holder, _sendable(state, admission))
                is_idle = not (admission.waiting or holder.in_flight)
                seconds = min(seconds, holder.lease.ask_again * (_IDLE_FACTOR if is_idle else 1))
        except GateGoneError as error:
            self._note_gone(str(error), parts)
            return _RETRY_SECONDS
        except (ConfigError, BudgetError) as error:
            parts.loop.stop(error)
            return 1.0
        self._note_back(parts)
        self._notify(admission)
        return seconds

    def _notify(self, admission: AdmissionController) -> None:
        if admission.waiting:
            admission.notify()

    async def _ask(self, state: EndpointState, holder: LeaseHolder, waiting: int) -> None:
        """Send one message. Raises what `GateConnection.exchange` does, and `BudgetError` without a known price."""
        asked_at = self._asked_at = self._clock()
        message = self._message(state, holder, asked_at, waiting)
        try:
            lease = await self._gate.exchange(message)
        except GateGoneError:
            holder.forget(message, self._clock())
            raise
        if lease.problem:
            raise ConfigError(f"--share {self._gate.name}: {lease.problem}.")
        holder.accept(lease, asked_at)
        if lease.pause:
            state.hear_pause(lease.paused_for, asked_at + lease.pause)
        if holder.run:
            self.spent = lease.spent
            if lease.cost_limit is not None and self._budget.why_unbounded:
                raise BudgetError(self._budget.why_unbounded, "price")

    def _message(
        self, state: EndpointState, holder: LeaseHolder, now: float, waiting: int, leaves: bool = False
    ) -> LeaseRequest:
        spending = self._spending() if holder.run else None
        return holder.message(now, state.threads, waiting, spending, leaves)

    def _spending(self) -> RunSpending:
        budget = self._budget
        return RunSpending(budget.committed, budget.reserved, budget.requests, self._next_cost)

    def _note_gone(self, why: str, parts: SharingParts) -> None:
        now = self._clock()
        self._gone_since = now if self._gone_since is None else self._gone_since
        if now - self._gone_since >= _PATIENCE and not self._is_announced:
            self._is_announced = True
            parts.announce(f"The gate at {self._gate.name} does not answer ({why}): nothing is sent until it does.")
        if now - self._gone_since > parts.max_outage:
            seconds = now - self._gone_since
            parts.loop.stop(ProviderError(f"No answer from the gate at {self._gate.name} for {seconds:.0f} s: {why}."))

    def _note_back(self, parts: SharingParts) -> None:
        if self._gone_since is None:
            return
        now = self._clock()
        if self._is_announced:
            seconds = format_duration(now - self._gone_since)
            parts.announce(f"The gate at {self._gate.name} answers again, after {seconds}.")
        for state, _ in self._clients:
            state.record_idle(now - self._gone_since, now)
        self._gone_since, self._is_announced = None, False

    async def _leave(self) -> None:
        """Leave the gate, so that the others need not wait until this run counts as dead."""
        self._budget.shared = None
        with contextlib.suppress(GateGoneError, ConfigError, TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                for state, holder in self._clients:
                    await self._gate.exchange(self._message(state, holder, self._clock(), 0, leaves=True))


def _sendable(state: EndpointState, admission: AdmissionController) -> int:
    """Return how many of the requests that wait could be sent now, so that none is reserved that can't be."""
    if admission.is_paused or state.disabled_by is not None:
        return 0
    if state.health.has_answered and state.health.down_since is None:
        return admission.waiting
    return min(admission.waiting, max(0, state.max_in_flight - state.in_flight))
