"""Proving a set: the held-out queries are asked with it, without any example, and without each of its examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from syphus.runs.cold_start.examples import with_examples
from syphus.runs.cold_start.plan import NAME, Plan
from syphus.runs.cold_start.scoring import Scorer
from syphus.runs.cold_start.trials import Trials
from syphus.selection import Hurt, Proof, Scored, hurting, proven
from syphus.types import Prefix, Query


class Proven(NamedTuple):
    """A proof, and the answers that it was made from."""

    proof: Proof
    with_set: tuple[Scored, ...]
    without: tuple[Scored, ...]


class Prover:
    """Proves sets on the `held_out` queries. Each method raises the `SyphusError` that stopped it."""

    def __init__(self, plan: Plan, plain: Prefix, trials: Trials, scorer: Scorer, held_out: Sequence[Query]) -> None:
        self._plan = plan
        self._plain = plain
        self._trials = trials
        self._scorer = scorer
        self._held_out = held_out
        self._stage = trials.stage(NAME, plain)

    def prefix(self, chosen: Sequence[Scored]) -> Prefix:
        """The prompt with these examples."""
        return with_examples(self._plain.system_message, [each.candidate for each in chosen], self._stage)

    def prove(self, number: int, chosen: Sequence[Scored]) -> Proven:
        """Asks with the set and without; what was asked without is asked once in all rounds."""
        without = self._asked(f"{NAME} without", self._plain, number)
        with_set = self._asked(f"{NAME} {number} with", self.prefix(chosen), number)
        proof = proven(with_set, without, self._plan.seed, self._plan.wanted)
        return Proven(proof, with_set, without)

    def hurts(self, number: int, chosen: Sequence[Scored], with_set: Sequence[Scored]) -> list[Hurt]:
        """Leaves out one example after the other; gives those without which answers are better, the worst first."""
        if len(chosen) < 2:
            return []
        left = {}
        for place, each in enumerate(chosen, 1):
            prefix = self.prefix([other for other in chosen if other is not each])
            left[each.candidate.key] = self._asked(f"{NAME} {number} without example {place}", prefix, number)
        return hurting(with_set, left, self._plan.seed)

    def _asked(self, name: str, prefix: Prefix, number: int) -> tuple[Scored, ...]:
        tried = self._trials.ask(name, prefix, self._held_out, 1, number)
        return tuple(self._scorer.score([each.candidate for each in tried], prefix))
