"""The loop: sample, propose, score, choose, prove; and once more while that is not satisfactory.

Everything that it does follows from the queries, the prompt, the settings, the seed, a person's decisions and the
answers in the ledger. So it is simply carried out again from its beginning, whatever stopped it: what was asked is
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from syphus.answers.scoring import Candidate, Scored
from syphus.cold_start.candidates import CandidatePool, Scorer
from syphus.cold_start.plan import STAGE_PREFIX, SearchPlan, SearchRound
from syphus.cold_start.prompt_file import make_template
from syphus.cold_start.proof import AblationResult, Proof, find_harmful, prove
from syphus.cold_start.review import Reviews
from syphus.cold_start.rubric import RubricVerdict
from syphus.cold_start.selection import sample_random, sample_spread
from syphus.cold_start.trials import TrialRunner
from syphus.ledger.results import askable_queries, queries_by_id
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.text import pluralize
from syphus.types import PromptTemplate, Query, State

# FOLDED from proving.py:
# Proving a set: the held-out queries are asked with it, without any example, and without each of its examples.


class ProofResult(NamedTuple):
    """A proof, and the answers that it was made from."""

    proof: Proof
    with_set: tuple[Scored, ...]
    without: tuple[Scored, ...]


class Prover:
    """Proves sets on the `held_out` queries. Each method raises the `SyphusError` that stopped it."""

    def __init__(
        self, plan: SearchPlan, plain: PromptTemplate, trials: TrialRunner, scorer: Scorer, held_out: Sequence[Query]
    ) -> None:
        self._plan = plan
        self._plain = plain
        self._trials = trials
        self._scorer = scorer
        self._held_out = held_out
        self._stage = trials.stage(STAGE_PREFIX, plain)

    def prefix(self, chosen: Sequence[Scored]) -> PromptTemplate:
        """The prompt with these examples."""
        return make_template(self._plain.system_message, [each.candidate for each in chosen], self._stage)

    def prove(self, number: int, chosen: Sequence[Scored]) -> ProofResult:
        """Asks with the set and without; what was asked without is asked once in all rounds."""
        without = self._asked(f"{STAGE_PREFIX} without", self._plain, number)
        with_set = self._asked(f"{STAGE_PREFIX} {number} with", self.prefix(chosen), number)
        proof = prove(with_set, without, self._plan.seed, self._plan.effective_thresholds)
        return ProofResult(proof, with_set, without)

    def hurts(self, number: int, chosen: Sequence[Scored], with_set: Sequence[Scored]) -> list[AblationResult]:
        """Leaves out one example after the other; gives those without which answers are better, the worst first."""
        if len(chosen) < 2:
            return []
        left = {}
        for place, each in enumerate(chosen, 1):
            prefix = self.prefix([other for other in chosen if other is not each])
            left[each.candidate.key] = self._asked(f"{STAGE_PREFIX} {number} without example {place}", prefix, number)
        return find_harmful(with_set, left, self._plan.seed)

    def _asked(self, name: str, prefix: PromptTemplate, number: int) -> tuple[Scored, ...]:
        tried = self._trials.run(name, prefix, self._held_out, 1, number)
        return tuple(self._scorer.score([each.candidate for each in tried], prefix))


class SearchLoop:
    """Looks for in-context examples to a system message, by a plan that fits the input.

    `say` is told what happens, `seen` that there is more to see in `rounds`.
    """

    def __init__(
        self,
        plan: SearchPlan,
        system_message: str,
        store: Store,
        trials: TrialRunner,
        scorer: Scorer,
        say: Callable[[str], None],
        seen: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._plain = PromptTemplate(system_message)
        self._store = store
        self._trials = trials
        self._scorer = scorer
        self._say = say
        self._seen = seen
        self._verdicts: dict[str, RubricVerdict] = {}
        self.rounds: list[SearchRound] = []

    @property
    def best(self) -> SearchRound | None:
        """The round with the best set so far; one that is not proven only where there is no other."""
        return max((each for each in self.rounds if each.chosen), key=_worth, default=None)

    def run(self, reviews: Reviews, pinned: Sequence[Candidate] = ()) -> None:
        """Goes round until a set is satisfactory, or the rounds are over.

        Raises the `SyphusError` that stopped it.
        """
        held_out = self._held_out(pinned)
        pool = CandidatePool(self._plan, self._plain, self._scorer, reviews, pinned)
        prover = Prover(self._plan, self._plain, self._trials, self._scorer, held_out)
        for number in range(1, self._plan.rounds + 1):
            self._propose(number, pool, held_out)
            chosen, last = pool.choose(number), number == self._plan.rounds
            prefix, fates = prover.prefix(chosen), pool.fates(chosen)
            self._change(scored=pool.scored, chosen=tuple(chosen), template=prefix, fates=fates)
            if not chosen or (len(chosen) < self._plan.examples and not last):
                self._say(
                    f"round {number}: {len(chosen)} of {self._plan.examples} examples found, nothing to prove yet"
                )
                continue
            self._prove(prover)
            if self._satisfied():
                return
            if not pool.replaceable(chosen):
                self._say("Each example was put there by a person: there is none to replace.")
                return
            if not last:
                self._replace(pool, prover)

    # The steps.

    def _propose(self, number: int, pool: CandidatePool, held_out: Sequence[Query]) -> None:
        asked_with = self.best.template if self.best else self._plain
        sample = self._sample(number, pool, held_out)
        tried = self._trials.run(
            f"{STAGE_PREFIX} {number} propose", asked_with, sample, self._plan.answers, number, pool.queries
        )
        found = [each.candidate for each in tried]
        if self._plan.judge:
            usable = [each.candidate for each in self._scorer.score(found, asked_with) if not each.barred]
            self._verdicts |= self._trials.judge(f"{STAGE_PREFIX} {number} judge", usable)
        pool.add(found, asked_with, self._verdicts if self._plan.judge else None)
        self.rounds.append(SearchRound(number, asked_with, pool.scored, fates=pool.fates([])))
        self._seen()
        valid = sum(each.state is State.OK for each in found)
        self._say(f"round {number}: {pluralize(len(found), 'answer')} to choose from, {valid} of them valid")

    def _prove(self, prover: Prover) -> None:
        last = self.rounds[-1]
        proof, with_set, without = prover.prove(last.number, last.chosen)
        self._change(proof=proof, with_set=with_set, without=without)
        shares = f"{proof.valid_share:.0%} valid with the set, {proof.plain_share:.0%} without"
        gain = f"score {proof.mean_score:.2f}, {proof.gain.mean:+.2f} ({proof.gain.low:+.2f} to {proof.gain.high:+.2f})"
        told = "satisfactory" if proof.satisfactory else f"not satisfactory: {'; '.join(proof.missing)}"
        self._say(f"round {last.number}: {shares}, {gain}: {told}")

    def _satisfied(self) -> bool:
        proof = self.rounds[-1].proof
        return proof is not None and proof.satisfactory

    def _replace(self, pool: CandidatePool, prover: Prover) -> None:
        """Takes out the examples without which the held-out queries fare better; where none is found, the weakest."""
        last = self.rounds[-1]
        hurts: list[AblationResult] = prover.hurts(last.number, last.chosen, last.with_set)
        own = pool.replaceable(last.chosen)
        names = {each.candidate.key for each in own}
        why = {each.example: f"hurts: {each.gain.mean:+.2f} without it" for each in hurts if each.example in names}
        if not why:
            why = {each.candidate.key: "the weakest of a set that did not do" for each in own[:1]}
        pool.drop(why)
        self._change(hurts=tuple(hurts), fates={**last.fates, **why})

    # The queries.

    def _held_out(self, pinned: Sequence[Candidate]) -> list[Query]:
        """Queries that prove the set, none of which a person has put there as an example."""
        shown, stage = {each.user_turn for each in pinned}, self._trials.stage(STAGE_PREFIX, self._plain)
        rows, wanted = askable_queries(self._store, GenerateStage.name), self._plan.held_out
        drawn = self._queries(sample_random(rows, wanted + len(shown), f"{self._plan.seed} held out"))
        return [query for query in drawn if stage.user_turn(query) not in shown][:wanted]

    def _sample(self, number: int, pool: CandidatePool, held_out: Sequence[Query]) -> list[Query]:
        """Queries that were not asked yet, as long as there are some; the held-out ones never."""
        apart, used = {query.text for query in held_out}, pool.queries
        names: list[str] = []
        for fresh in (True, False):
            if len(names) == self._plan.sample:
                break
            rows = (
                (name, text)
                for name, text in askable_queries(self._store, GenerateStage.name)
                if text not in apart and (name not in used) is fresh
            )
            names += sample_spread(rows, self._plan.sample - len(names), f"{self._plan.seed} round {number}")
        return self._queries(names)

    def _queries(self, names: Sequence[str]) -> list[Query]:
        return queries_by_id(self._store, GenerateStage.name, names)

    def _change(self, **fields: object) -> None:
        self.rounds[-1] = replace(self.rounds[-1], **fields)  # type: ignore[arg-type]  # fields of a Round, by name
        self._seen()


def _worth(round_: SearchRound) -> tuple[bool, bool, float]:
    proof = round_.proof
    if proof is None:
        return False, False, 0.0
    return proof.satisfactory, True, proof.valid_share + proof.mean_score
