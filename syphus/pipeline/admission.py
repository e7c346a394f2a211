"""Where calls wait until they may go: for a free place, for the limits, for a pause to end, for the budget.

Only the first in line looks at the clock; the others queue up behind it on a lock. A thousand waiters that each poll
burn nearly half a core (measured with asyncio-throttle), one burns nothing, and the order is kept. A call that waits
here holds neither a place in flight nor a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from syphus.errors import BudgetError
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.endpoint_state import Call, EndpointState


class AdmissionClosedError(Exception):
    """No more calls are let through."""


class Permit(NamedTuple):
    """Leave to make one call: where, and what it has reserved."""

    endpoint_state: EndpointState
    call: Call
    reserved_cost: float


class AdmissionController:
    """Admits calls to one or several endpoints, each when its lane allows it."""

    def __init__(
        self,
        endpoint_states: Sequence[EndpointState],
        budget: Budget,
        estimate: TokenEstimate,
        clock: Callable[[], float],
    ) -> None:
        self.endpoint_states = endpoint_states
        self.budget = budget
        self.estimate = estimate
        self._clock = clock
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closed = False
        self.waiting_until = 0.0  #: when the first in line may go, if nothing changes before

    @property
    def in_flight(self) -> int:
        """Calls out at the moment."""
        return sum(lane.in_flight for lane in self.endpoint_states)

    async def admit(self, size: int) -> Permit:
        """Waits until a request of `size` bytes may go.

        Raises `BudgetError` where it never may, `GateClosedError` where nothing may any more.
        """
        prompt, most = self.estimate.prompt_tokens(size), self.estimate.max_tokens
        async with self._turn:
            while not self._closed:
                self._changed.clear()
                affordable = self.budget.can_afford(prompt, most)
                if not affordable and self.in_flight == 0:
                    raise self._budget_error()
                lane, wait = self._soonest(prompt + most)
                if affordable and wait <= 0:
                    return Permit(
                        lane, lane.start_call(prompt + most, self._clock()), self.budget.reserve(prompt, most)
                    )
                await self._wait(wait if affordable else math.inf)
        raise AdmissionClosedError

    def cancel(self, permit: Permit) -> None:
        """An admitted call will not be made after all."""
        permit.endpoint_state.cancel_call(permit.call)
        self.budget.cancel(permit.reserved_cost)
        self.notify()

    def notify(self) -> None:
        """A call came back, or a limit moved: whoever is first in line looks again."""
        self._changed.set()

    def close(self) -> None:
        """Lets nothing through any more, and sends away those who wait."""
        self._closed = True
        self._changed.set()

    def _soonest(self, worst: float) -> tuple[EndpointState, float]:
        """The lane that is free first; among free ones the one with the smallest part of its places taken."""
        now = self._clock()
        waits = [
            (lane.wait(worst, now), lane.in_flight / lane.max_in_flight, i)
            for i, lane in enumerate(self.endpoint_states)
        ]
        wait, _, i = min(waits)
        return self.endpoint_states[i], wait

    async def _wait(self, seconds: float) -> None:
        self.waiting_until = self._clock() + seconds if math.isfinite(seconds) else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._changed.wait()

    def _budget_error(self) -> BudgetError:
        budget = self.budget
        if budget.max_requests is not None and budget.requests >= budget.max_requests:
            return BudgetError(f"The budget of {budget.max_requests:,} requests is spent.", "requests")
        message = f"The next call might pass the budget of ${budget.max_cost:g}: ${budget.cost:.4f} are spent."
        return BudgetError(message, "cost")
