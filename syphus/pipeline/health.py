"""Whether an endpoint is down: what many different rows run into is not their fault.

A row that fails alone burns its own attempts. When several different rows fail one after the other with no answer in
between, the endpoint is down: it is then tried with one request at a time, at growing intervals, and the failures cost
no row an attempt. An endpoint that gives no answer for too long stops the run, with every row still pending; one that
has never given any, much sooner.

Only calls that left after the newest answer count: a dozen calls that hang among thousands of answers all end at the
same moment, when nothing else is in flight any more, and say nothing about the endpoint.
"""

from __future__ import annotations

OUTAGE_THRESHOLD = 5  #: different rows that must fail in a row
MAX_PROBE_INTERVAL = 60.0  #: seconds between two tries while it is down
MAX_FIRST_ATTEMPTS = 4  #: tries at an endpoint that was never reached


class EndpointHealth:
    """The health of one endpoint. Times are seconds of a monotonic clock."""

    def __init__(self, max_outage: float, first_wait: float, now: float) -> None:
        self._max_outage = max_outage
        self._first_wait = first_wait
        self._good_at = now  # the newest answer, or the start
        self._failed: set[int] = set()
        self._failures = 0
        self.has_answered = False  #: it has answered at least once
        self.down_since: float | None = None
        self.probe_at = 0.0  #: while it is down: not before then

    def record_answer(self, now: float) -> None:
        """An answer came."""
        self.has_answered = True
        self.down_since = None
        self._good_at = now
        self._failed.clear()
        self._failures = 0

    def record_failure(self, row: int, sent_at: float, now: float) -> None:
        """`row` got no answer to a call that left at `sent`, and perhaps not through its own fault."""
        if sent_at < (self._good_at if self.down_since is None else self.down_since):
            return  # what happened since is newer
        self._failures += 1
        if len(self._failed) < OUTAGE_THRESHOLD:
            self._failed.add(row)
        if self.down_since is None and (len(self._failed) >= OUTAGE_THRESHOLD or not self.has_answered):
            self.down_since = now
            self._failures = 1
        if self.down_since is not None:
            self.probe_at = now + min(MAX_PROBE_INTERVAL, self._first_wait * 2 ** min(self._failures, 12))

    def should_give_up(self, now: float) -> bool:
        """No row will succeed here soon; ask after a call without an answer."""
        if not self.has_answered and self._failures >= MAX_FIRST_ATTEMPTS:
            return True
        return self.seconds_since_answer(now) > self._max_outage

    def seconds_since_answer(self, now: float) -> float:
        """Seconds since the last answer."""
        return now - self._good_at
