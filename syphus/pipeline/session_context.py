"""What the parts of one session share: the stage, the ledger, the counters, the clock, and the user's limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from syphus.ledger.records import Records
from syphus.pipeline.retry import RetryPolicy
from syphus.pipeline.session_stats import SessionStats
from syphus.pipeline.stage import Stage
from syphus.pipeline.writer import Writer


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The limits that the user sets. Times are in seconds."""

    threads: int  #: concurrent requests, at each endpoint and in total
    max_rounds: int  #: further answers for a row whose answer was rejected
    max_wait: float  #: the longest pause that a server may ask for
    max_outage: float  #: how long an endpoint may give no answer before it is disabled
    first_wait: float  #: before the first retry, and before the first probe of an endpoint that is down


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
