"""A person's word on candidates before the proof: accepted, rejected or edited. It is kept, and asked for only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from syphus.answers.scoring import Candidate, Scored
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.types import State

ACCEPT, REJECT, EDIT = "accept", "reject", "edit"

_META = "cold start review"  # meta: {key of a candidate: [word] or [word, text]}


class Decision(NamedTuple):
    """What a person says of a candidate: ACCEPT, REJECT, or EDIT with the answer as it should be."""

    word: str
    text: str = ""


class Reviewer(Protocol):
    """Whoever is asked. `problem` says why an edited text can't be used, where it is asked about once more."""

    def decide(self, scored: Scored, number: int, count: int, problem: str) -> Decision:
        """The decision on candidate `number` of `count`. Raises `InterruptError` where the person leaves."""
        ...


class Reviews:
    """Decisions, in the ledger; `reviewer` is None where nobody is to be asked."""

    def __init__(self, store: Store, reviewer: Reviewer | None, by_hand: Callable[[Candidate, str], Candidate]) -> None:
        self._store = store
        self._reviewer = reviewer
        self._by_hand = by_hand
        kept = orjson.loads(str(get_meta(store, _META) or "{}"))
        self._decisions = {key: Decision(*value) for key, value in kept.items()}

    @property
    def rejected(self) -> set[str]:
        """The keys of candidates that a person has rejected."""
        return {key for key, decision in self._decisions.items() if decision.word == REJECT}

    @property
    def edited(self) -> dict[str, str]:
        """The answers that a person has edited, by the keys of the candidates that they were."""
        return {key: decision.text for key, decision in self._decisions.items() if decision.word == EDIT}

    def rewritten(self, candidate: Candidate, text: str) -> Candidate:
        """The candidate with another answer, by a person's hand."""
        return self._by_hand(candidate, text)

    def ask(self, chosen: list[Scored]) -> bool:
        """Asks about those that were not decided on yet; True where all may stay as they are."""
        if self._reviewer is None:
            return True
        settled = True
        for number, scored in enumerate(chosen, 1):
            key = scored.candidate.key
            if key in self._decisions:
                continue
            decision = self._decide(self._reviewer, scored, number, len(chosen))
            self._decisions[key] = decision
            kept = {name: list(each) for name, each in self._decisions.items()}
            set_meta(self._store, _META, orjson.dumps(kept).decode())
            self._store.commit()
            settled = settled and decision.word == ACCEPT
        return settled

    def _decide(self, reviewer: Reviewer, scored: Scored, number: int, count: int) -> Decision:
        problem = ""
        while True:
            decision = reviewer.decide(scored, number, count, problem)
            if decision.word != EDIT:
                return decision
            edited = self._by_hand(scored.candidate, decision.text)
            if edited.state is State.OK:
                return decision
            problem = edited.reason or edited.state
