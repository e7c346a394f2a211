"""Limits and a budget that several runs share, as the loop of each sees them; `syphus.cluster` implements them.

Without it, the loop keeps all of them itself: `EndpointState.shared` and `Budget.shared` are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SharedLimits(Protocol):
    """What several runs may send to one endpoint. Times are seconds of the run's clock, tokens are worst cases."""

    @property
    def slots(self) -> float:
        """Requests that this run may have in flight; infinity if the limits per minute say enough."""
        ...

    @property
    def per_minute(self) -> Mapping[str, float]:
        """The limits of all runs together, by "requests" and "tokens"."""
        ...

    @property
    def runs(self) -> int:
        """The number of runs that share them."""
        ...

    @property
    def is_ample(self) -> bool:
        """Whether a request beyond the necessary ones would delay no other run."""
        ...

    def wait(self, tokens: float, now: float) -> float:
        """Return 0 if a request may be sent now, infinity if not before something changes."""
        ...

    def take(self, tokens: float) -> None:
        """Count a request that is sent now."""
        ...

    def cancel(self, tokens: float) -> None:
        """Undo `take` for a request that was not sent."""
        ...

    def end(self, tokens: float, used: float | None, headers: Mapping[str, str], sent_at: float) -> None:
        """Count a request that has ended; `used` tokens is what an answer took, None without one."""
        ...

    def refuse(self, limit: str, wait: float, sent_at: float, now: float) -> None:
        """Tell all runs to pause for `wait` seconds; `limit` is what was exceeded, "" if unknown."""
        ...

    def time_out(self, sent_at: float, answers: int) -> None:
        """Record that a request timed out in a queue in which `answers` came meanwhile."""
        ...

    def change_limits(self, limits: Mapping[str, float]) -> None:
        """Replace the limits that the users have set, for all runs."""
        ...


class SharedMoney(Protocol):
    """The budget of several runs."""

    @property
    def spent(self) -> str:
        """Why no run can pay for a request any more, or ""."""
        ...

    def allows(self, dollars: float) -> bool:
        """Return whether the run may send a request that may cost so much."""
        ...
