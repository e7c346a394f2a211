"""The counters of a session: what has happened so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from syphus.types import State, Usage


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

    @property
    def done(self) -> int:
        """Outcomes of this session."""
        return self.states.total()

    def in_state(self, state: State) -> int:
        """Return the number of queries in this state now, over all sessions."""
        return self.states_before[state] + self.states[state]
