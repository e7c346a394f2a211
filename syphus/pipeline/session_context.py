"""What the parts of one session share: stage, ledger, counters, clock, the user's limits, and the policy of retries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from syphus.exchange import Usage
from syphus.ledger.records import Records
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.stage import Stage
from syphus.pipeline.writer import Writer
from syphus.types import State


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The limits that the user sets. Times are in seconds."""

    threads: int  #: concurrent requests, at each endpoint and in total
    max_rounds: int  #: further answers for a row whose answer was rejected
    max_wait: float  #: the longest pause that a server may ask for
    max_outage: float  #: how long an endpoint may give no answer before it is disabled
    first_wait: float  #: before the first retry, and before the first probe of an endpoint that is down
    hedging: bool = True  #: whether a second request may be sent for one of the last rows
    pairs: int | None = None  #: accepted pairs of this session after which nothing more is sent


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
    asked_again: int = 0  #: answers that were rejected and requested again
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

    @property
    def has_enough(self) -> bool:
        """Whether there are as many accepted pairs as are wanted."""
        return self.limits.pairs is not None and self.stats.pairs >= self.limits.pairs
