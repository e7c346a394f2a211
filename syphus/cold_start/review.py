"""Review of candidates by a person before the proof: accept, reject or edit. Each decision is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from syphus.answers.scoring import Candidate, Scored
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.types import State

ACCEPT, REJECT, EDIT = "accept", "reject", "edit"

_META = "cold start review"  # meta: {key of a candidate: [verb] or [verb, text]}


class Decision(NamedTuple):
    """What a person decides: ACCEPT, REJECT, or EDIT with the answer as it should be."""

    verb: str
    text: str = ""


class Reviewer(Protocol):
    """Asks a person. `problem` says why the last edited text can't be used, or is ""."""

    def decide(self, scored: Scored, number: int, count: int, problem: str) -> Decision:
        """Return the decision on candidate `number` of `count`. Raises `InterruptError` if the person quits."""
        ...


class Reviews:
    """The decisions in a run's ledger. Without a `reviewer`, nobody is asked.

    `make_candidate` makes a candidate from another one and the text that a person wrote instead.
    """

    def __init__(
        self, store: Store, reviewer: Reviewer | None, make_candidate: Callable[[Candidate, str], Candidate]
    ) -> None:
        self._store = store
        self._reviewer = reviewer
        self._make_candidate = make_candidate
        stored = orjson.loads(str(get_meta(store, _META) or "{}"))
        self._decisions = {key: Decision(*value) for key, value in stored.items()}

    @property
    def rejected(self) -> set[str]:
        """The keys of the rejected candidates."""
        return {key for key, decision in self._decisions.items() if decision.verb == REJECT}

    @property
    def edited(self) -> dict[str, str]:
        """The edited answers, by the keys of the original candidates."""
        return {key: decision.text for key, decision in self._decisions.items() if decision.verb == EDIT}

    def rewrite(self, candidate: Candidate, text: str) -> Candidate:
        """Return the candidate with the answer that a person wrote."""
        return self._make_candidate(candidate, text)

    def review(self, chosen: list[Scored]) -> bool:
        """Ask about the candidates without a decision; return whether all of these are accepted."""
        if self._reviewer is None:
            return True
        accepted = True
        for number, scored in enumerate(chosen, 1):
            key = scored.candidate.key
            if key in self._decisions:
                continue
            decision = self._decide(self._reviewer, scored, number, len(chosen))
            self._decisions[key] = decision
            stored = {name: list(each) for name, each in self._decisions.items()}
            set_meta(self._store, _META, orjson.dumps(stored).decode())
            self._store.commit()
            accepted = accepted and decision.verb == ACCEPT
        return accepted

    def _decide(self, reviewer: Reviewer, scored: Scored, number: int, count: int) -> Decision:
        problem = ""
        while True:
            decision = reviewer.decide(scored, number, count, problem)
            if decision.verb != EDIT:
                return decision
            edited = self._make_candidate(scored.candidate, decision.text)
            if edited.state is State.OK:
                return decision
            problem = edited.reason or edited.state
