"""How often a row is asked, and how long it waits in between.

Backoff is exponential with full jitter: all the rows that failed together must not come back together. A server's own
hint goes first, with a little jitter on top for the same reason. tenacity's policies are not used in the loop: they
sleep inside the call, where a sleeping row would hold its worker, and draw from the global random generator.
"""

from __future__ import annotations

import random

from syphus.endpoints.classify import ReplyVerdict

MAX_WAIT = 30.0  #: seconds; no wait is longer, unless a server asks for it
BUDGET, REFILL = 100.0, 0.2  #: retries that are free, and how many each answer earns: a fifth of all calls in the end
HINT_JITTER = 0.25  #: of a hint is added at random


class RetryPolicy:
    """The policy: how many attempts a row gets, and the waits between them.

    All rows together have a budget of retries. Where more calls fail than it covers, retrying at once would only add to
    the load that they fail under: waits are then as long as they get.
    """

    def __init__(self, max_attempts: int, first_wait: float, rng: random.Random) -> None:
        self.max_attempts = max_attempts
        self._first = first_wait
        self._rng = rng
        self._budget = BUDGET

    def exhausted(self, attempts: int, verdict: ReplyVerdict) -> bool:
        """Whether a row that has failed `attempts` times gets no other try."""
        return attempts >= (min(verdict.max_attempts, self.max_attempts) if verdict.max_attempts else self.max_attempts)

    def record_answer(self) -> None:
        """An answer came."""
        self._budget = min(BUDGET, self._budget + REFILL)

    def wait(self, attempts: int) -> float:
        """Seconds before the next attempt of a row that has failed `attempts` times."""
        if self._budget < 1:
            return self._rng.uniform(0.5, 1.0) * MAX_WAIT
        self._budget -= 1
        return self._rng.uniform(0.0, min(MAX_WAIT, self._first * 2.0 ** min(attempts - 1, 16)))

    def pause(self, hint: float | None, refusals: int) -> float:
        """Seconds that an endpoint is left alone: its hint, or else longer with every refusal in a row."""
        if hint is not None:
            return hint * (1 + self._rng.uniform(0.0, HINT_JITTER))
        return self._rng.uniform(0.5, 1.0) * min(MAX_WAIT, self._first * 2.0 ** min(refusals, 16))
