"""Decides whether a row that failed is retried, and how long it waits before that.

Backoff is exponential with full jitter: rows that failed together must not come back together. A server's own hint
(`Retry-After`) takes precedence, with a little jitter on top for the same reason. tenacity is not used here: it sleeps
inside the call, where a sleeping row would hold its worker, and draws from the global random generator.
"""

from __future__ import annotations

import random

from syphus.endpoints.classify import MAX_REFUSALS, ReplyVerdict

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
