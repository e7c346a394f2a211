"""Holds each request back until the rate limits, a pause, and the budget allow it to be sent.

Only the first in line looks at the clock; the others queue behind it on a lock. A thousand waiters that each poll use
nearly half a core (measured with asyncio-throttle), one uses nothing, and the order is kept. A request that waits here
holds neither a slot in flight nor a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from syphus.endpoints.request import output_limit
from syphus.errors import BudgetError
from syphus.exchange import Request, SharedPrefix
from syphus.pipeline.budget import Budget, TokenEstimate
from syphus.pipeline.endpoint_state import Call, EndpointState
from syphus.pipeline.parameters import RowChanges


class AdmissionClosedError(Exception):
    """No more requests are admitted."""


class Permit(NamedTuple):
    """Permission to send one request: to which endpoint, the dollars reserved for it, and how it is sent there."""

    endpoint_state: EndpointState
    call: Call
    reserved_cost: float
    request: Request


class AdmissionController:
    """Admits requests to one or several endpoints, in the order in which they ask."""

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
        self._first_in_line = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closed = False
        self._waiting = 0
        self.is_paused = False  #: by a person; nothing is sent
        self.max_in_flight: float = math.inf  #: at all endpoints together
        self.rows_to_come: Callable[[], float] = lambda: math.inf  #: rows that no worker has taken yet
        self.note_reservation: Callable[[float], Awaitable[object]] | None = None  #: makes reserved dollars durable
        self.waiting_until = 0.0  #: when the first in line may go unless something changes before; 0 if unknown

    @property
    def waiting(self) -> int:
        """Requests that wait to be admitted."""
        return self._waiting

    @property
    def in_flight(self) -> int:
        """Requests in flight at the moment."""
        return sum(state.in_flight for state in self.endpoint_states)

    async def admit(self, request: Request, changes: RowChanges | None = None) -> Permit:
        """Wait until a request may be sent. `changes` are those that its row needs.

        Raises `BudgetError` if the budget can never afford it, and `AdmissionClosedError` after `close`.
        """
        self._waiting += 1
        try:
            return await self._admit(request, changes)
        finally:
            self._waiting -= 1

    async def _admit(self, request: Request, changes: RowChanges | None) -> Permit:
        budget = self.budget
        max_tokens = self.max_tokens(request)
        worst_case = self.estimate.prompt_tokens(request.size) + max_tokens
        async with self._first_in_line:
            while not self._closed:
                self._changed.clear()
                if self.is_paused or self.in_flight >= self.max_in_flight:
                    await self._wait_for_change(math.inf)
                    continue
                now, demand = self._clock(), self._demand(request.prefix)
                state, wait = self._first_available(worst_case, request.prefix, now, demand)
                sent = state.parameters.adapt(request, changes) if wait <= 0 else request
                limit = max_tokens if sent is request else self.max_tokens(sent)
                bound = budget.bound(sent, limit)  # each time, since an answer may have raised it
                affordable = not budget.problem and budget.can_afford(bound)
                if not affordable and (self.in_flight == 0 or budget.problem):
                    raise self.budget_error(bound)
                if affordable and budget.shared is not None and not budget.shared.allows(bound):
                    if budget.shared.spent and self.in_flight == 0:
                        raise BudgetError(budget.shared.spent, "shared")
                    await self._wait_for_change(math.inf)
                    continue
                if affordable and wait <= 0 and not (budget.is_blind and self.in_flight):
                    call = state.start_call(worst_case, now, request.prefix, demand)
                    permit = Permit(state, call, budget.reserve(bound), sent)
                    if self.note_reservation is not None and budget.max_cost is not None:
                        await self._note_reservation(permit)
                    return permit
                await self._wait_for_change(wait if affordable and wait > 0 else math.inf)
        raise AdmissionClosedError

    def admit_spare(self, request: Request, changes: RowChanges | None, open_rows: int) -> Permit | None:
        """Return a permit for a request beyond the necessary ones, or None if it would be in anybody's way.

        The budget must also last for one more request of each of `open_rows`. Nobody waits here.
        """
        if self._closed or self._first_in_line.locked() or self.is_paused or self.in_flight >= self.max_in_flight:
            return None
        budget = self.budget
        worst_case = self.estimate.prompt_tokens(request.size) + self.max_tokens(request)
        now, prefix = self._clock(), request.prefix
        state, wait = self._first_available(worst_case, prefix, now, self._demand(prefix))
        if wait > 0 or not state.can_spare(worst_case, now, prefix):
            return None
        sent = state.parameters.adapt(request, changes)
        bound = budget.bound(sent, self.max_tokens(sent))
        if budget.problem or not budget.can_afford(bound, 1 + open_rows) or not budget.is_noted(bound):
            return None
        if budget.shared is not None and not budget.shared.allows((1 + open_rows) * bound):
            return None
        call = state.start_call(worst_case, now, prefix)
        return Permit(state, call, budget.reserve(bound), sent)

    def max_tokens(self, request: Request) -> int:
        """Return the most tokens that the answer to a request may have, reasoning included, as the request says."""
        if not self.estimate.max_tokens:
            return 0
        limit = output_limit(request.body)
        if limit is None:
            self.budget.why_unbounded = "The server takes no limit of an answer's tokens, so --max-cost can't be kept."
        return self.estimate.max_tokens if limit is None else limit

    async def _note_reservation(self, permit: Permit) -> None:
        """Let the ledger know how much is reserved, if that is more than it knows."""
        dollars = self.budget.reservation_to_note()
        if dollars is None or self.note_reservation is None:
            return
        try:
            await self.note_reservation(dollars)
        except BaseException:
            self.cancel(permit)
            raise
        self.budget.noted = dollars

    def cancel(self, permit: Permit) -> None:
        """Take back a permit: its request will not be sent."""
        permit.endpoint_state.cancel_call(permit.call)
        self.budget.cancel(permit.reserved_cost)
        self.notify()

    def notify(self) -> None:
        """Let the first in line look again: a request has ended, or a limit has changed."""
        self._changed.set()

    def close(self) -> None:
        """Admit nothing more; whoever waits gets an `AdmissionClosedError`."""
        self._closed = True
        self._changed.set()

    def _demand(self, prefix: SharedPrefix | None) -> int:
        """Return how many requests will want to be sent soon: those that wait, and the next after each in flight.

        Only the prompt cache asks, so without a `prefix` it is not counted.
        """
        if prefix is None:
            return 1
        return self._waiting + int(min(self.in_flight, max(0.0, self.rows_to_come())))

    def _first_available(
        self, worst_case: float, prefix: SharedPrefix | None, now: float, demand: int
    ) -> tuple[EndpointState, float]:
        """Return the endpoint that is free first, and the seconds until then; of several, the least busy one."""
        if len(self.endpoint_states) == 1:
            only = self.endpoint_states[0]
            return only, only.wait(worst_case, now, prefix, demand)
        waits = [
            (state.wait(worst_case, now, prefix, demand), state.in_flight / state.max_in_flight, i)
            for i, state in enumerate(self.endpoint_states)
        ]
        wait, _, i = min(waits)
        return self.endpoint_states[i], wait

    async def _wait_for_change(self, seconds: float) -> None:
        self.waiting_until = self._clock() + seconds if math.isfinite(seconds) else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._changed.wait()

    def budget_error(self, bound: float) -> BudgetError:
        """Return why a request that may cost `bound` dollars does not fit into the budget."""
        budget = self.budget
        if budget.max_requests is not None and budget.requests >= budget.max_requests:
            spent = f"The budget of {budget.max_requests:,} requests is spent"
            over = f": {budget.requests:,} were made" if budget.requests > budget.max_requests else ""
            return BudgetError(f"{spent}{over}.", "requests")
        if budget.problem:
            return BudgetError(budget.problem, "price")
        lost = ""
        if budget.maybe_billed:
            lost = f", of which ${budget.maybe_billed:.4f} may have been billed without an answer"
        spent = f"${budget.cost + budget.maybe_billed:.4f} is spent{lost}"
        left = f"what is left of the budget of ${budget.max_cost:g}"
        return BudgetError(f"A request may cost up to ${bound:.4f}, more than {left}: {spent}.", "cost")
