"""Detects that an endpoint is down: if many different rows fail, the rows are not at fault.

A row that fails alone uses up its own attempts. If several different rows fail with no answer in between, the endpoint
is down. It is then probed with one request at a time, at growing intervals, and the failures cost no row an attempt. An
endpoint that gives no answer for too long is given up, with every row still pending; one that has never answered is
given up much sooner.

Only requests that were sent after the newest answer count. If a dozen requests hang among thousands of answers, all of
them end at the same moment, when nothing else is in flight any more; that says nothing about the endpoint.
"""

from __future__ import annotations

OUTAGE_THRESHOLD = 5  #: different rows that must fail without an answer in between
MAX_PROBE_INTERVAL = 60.0  #: seconds
MAX_FIRST_ATTEMPTS = 4  #: failed requests after which an endpoint that has never answered is given up


class EndpointHealth:
    """The health of one endpoint. Times are seconds of a monotonic clock."""

    def __init__(self, max_outage: float, first_wait: float, now: float) -> None:
        self._max_outage = max_outage
        self._first_wait = first_wait
        self.last_answer_at = now  # or the start
        self.blamed: set[int] = set()  #: rows that fail while others are answered: they say nothing about the endpoint
        self._failed_rows: set[int] = set()
        self._failures = 0
        self.has_answered = False
        self.down_since: float | None = None
        self.probe_at = 0.0  #: when the next request may be sent while the endpoint is down

    def record_answer(self, now: float) -> None:
        """Record an answer: the endpoint is up."""
        self.has_answered = True
        self.down_since = None
        self.last_answer_at = now
        self._failed_rows.clear()
        self._failures = 0

    def record_failure(self, row: int, sent_at: float, now: float) -> None:
        """Record that a request of `row`, sent at `sent_at`, got no answer, perhaps not because of the row."""
        if row in self.blamed:
            return
        if sent_at < (self.last_answer_at if self.down_since is None else self.down_since):
            return  # what has happened since is newer
        self._failures += 1
        self._failed_rows.add(row)
        if self.down_since is None and (len(self._failed_rows) >= OUTAGE_THRESHOLD or not self.has_answered):
            self.down_since = now
            self._failures = 1
        if self.down_since is not None:
            self.probe_at = now + min(MAX_PROBE_INTERVAL, self._first_wait * 2 ** min(self._failures, 12))

    def should_give_up(self, now: float) -> bool:
        """Return whether no row is likely to succeed here soon. Call it after a request without an answer."""
        if not self.has_answered and self._failures >= MAX_FIRST_ATTEMPTS:
            return True
        return self.seconds_since_answer(now) > self._max_outage

    def seconds_since_answer(self, now: float) -> float:
        """Return the seconds since the newest answer, or since the start."""
        return now - self.last_answer_at
