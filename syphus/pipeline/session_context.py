"""What the parts of one session share: stage, ledger, counters, clock, the user's limits, and waits before a retry.

Backoff is exponential with full jitter: rows that failed together must not come back together. A server's own hint
(`Retry-After`) takes precedence, with a little jitter on top for the same reason. tenacity is not used here: it sleeps
inside the call, where a sleeping row would hold its worker, and draws from the global random generator.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from syphus.endpoints.classify import MAX_REFUSALS, ReplyVerdict
from syphus.ledger.records import Records
from syphus.pipeline.stage import Stage
from syphus.pipeline.writer import Writer
from syphus.types import State, Usage

MAX_WAIT = 30.0  #: seconds; no wait is longer unless a server asks for it
RETRY_BUDGET = 100.0  #: retries that are available at the start, and at most
BUDGET_PER_ANSWER = 0.2  #: retries that each answer adds: in the long run a fifth of all requests
MAX_REQUESTS = 6  #: for a row that fails while others are answered
HINT_JITTER = 0.25  #: share of a hint that is added at random, at most


class RetryPolicy:
    """How many attempts a row has, and the waits between them. `first_wait` is in seconds.

    All rows share one budget of retries. If more requests fail than it covers, early retries would only add to the load
    that they fail under: then every wait is as long as possible.
    """

    def __init__(self, max_attempts: int, first_wait: float, rng: random.Random) -> None:
        self.max_attempts = max_attempts
        self._first_wait = first_wait
        self._rng = rng
        self._budget = RETRY_BUDGET

    def exhausted(self, attempts: int, verdict: ReplyVerdict, requests: int = 0, *, blamed: bool = False) -> bool:
        """Return whether a row that has failed `attempts` times, the last time with `verdict`, is not retried.

        `requests` is how many were sent for it, also those that count as no attempt because the endpoint seemed to be
        down; it is `blamed` if others were answered meanwhile.
        """
        if requests >= MAX_REQUESTS and (blamed or attempts >= MAX_REFUSALS):
            return True
        return attempts >= min(verdict.max_attempts or self.max_attempts, self.max_attempts)

    def record_answer(self) -> None:
        """Record an answer, which adds to the budget of retries."""
        self._budget = min(RETRY_BUDGET, self._budget + BUDGET_PER_ANSWER)

    def wait(self, attempts: int) -> float:
        """Return the seconds before the next attempt of a row that has failed `attempts` times."""
        if self._budget < 1:
            return self._rng.uniform(0.5, 1.0) * MAX_WAIT
        self._budget -= 1
        return self._rng.uniform(0.0, min(MAX_WAIT, self._first_wait * 2.0 ** min(attempts - 1, 16)))

    def pause(self, hint: float | None, refusals: int) -> float:
        """Return the seconds to pause an endpoint after `refusals` refusals in a row.

        `hint` is what the server asks for, in seconds; without one the pause grows with every refusal.
        """
        if hint is not None:
            return hint * (1 + self._rng.uniform(0.0, HINT_JITTER))
        return self._rng.uniform(0.5, 1.0) * min(MAX_WAIT, self._first_wait * 2.0 ** min(refusals, 16))


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The limits that the user sets. Times are in seconds."""

    threads: int  #: concurrent requests, at each endpoint and in total
    max_rounds: int  #: further answers for a row whose answer was rejected
    max_wait: float  #: the longest pause that a server may ask for
    max_outage: float  #: how long an endpoint may give no answer before it is disabled
    first_wait: float  #: before the first retry, and before the first probe of an endpoint that is down
    hedging: bool = True  #: whether a second request may be sent for one of the last rows


@dataclass(slots=True)
class SessionStats:
    """Counted by the loop; read by the progress display and the report."""

    total: int = 0  #: queries of the run
    states_before: Counter[State] = field(default_factory=Counter)  #: states when the session began
    states: Counter[State] = field(default_factory=Counter)  #: outcomes of this session
    pairs: int = 0
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)  #: requests without an answer, by cause
    usage: Usage = field(default_factory=Usage)
    asked_again: int = 0  #: answers that were rejected and requested once more
    stated_limits: dict[str, float] = field(default_factory=dict)  #: per minute, of all endpoints, once it has ended
    hedges: int = 0  #: second requests for rows whose first was still in flight

    @property
    def answers(self) -> int:
        """Requests that were answered."""
        return self.requests - self.errors.total()

    @property
    def done(self) -> int:
        """Outcomes of this session."""
        return self.states.total()

    def in_state(self, state: State) -> int:
        """Return the number of queries in this state now, over all sessions."""
        return self.states_before[state] + self.states[state]


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Shared by the loop, the sender and the writer for as long as a session lasts.

    `trusted` says that the same settings have brought answers before: if a row is then rejected, the row is at fault,
    even if it is the first one.
    """

    stage: Stage
    records: Records
    writer: Writer
    stats: SessionStats
    retry: RetryPolicy
    limits: SessionLimits
    trusted: bool
    clock: Callable[[], float]  #: seconds, monotonic
    say: Callable[[str], None] = lambda _: None  #: tells the person who runs it a line
