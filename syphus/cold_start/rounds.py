"""The loop of a cold start: sample, propose, score, choose, prove; and again while the set is not satisfactory.

Everything it does follows from the queries, the prompt, the settings, the seed, the reviewer's decisions and the
answers in the ledger. So after a stop it simply runs again from its beginning: what was asked is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from syphus.answers.scoring import Candidate, Scored
from syphus.cold_start.candidates import CandidatePool, SearchContext
from syphus.cold_start.evaluation import (
    AblationResult,
    Judged,
    Proof,
    compare_with_own,
    comparison_lines,
    find_harmful,
    judge_shares,
    prove,
)
from syphus.cold_start.example_selection import sample_random, sample_spread
from syphus.cold_start.plan import SearchRound
from syphus.cold_start.prompt_file import make_template
from syphus.cold_start.review import Reviews
from syphus.cold_start.rubric import RubricVerdict
from syphus.ledger.results import askable_queries, queries_by_id
from syphus.ledger.summary import COLD_START
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.generate import GenerateStage
from syphus.text import pluralize
from syphus.types import Query, State


class ProofResult(NamedTuple):
    """A proof, and the answers that it was made from."""

    proof: Proof
    with_set: tuple[Scored, ...]
    without: tuple[Scored, ...]
    own: tuple[Scored, ...] = ()


class Prover:
    """Proves sets of examples on the `held_out` queries.

    They are asked with the set, without any example, and without each single example. Each method raises the
    `SyphusError` that stopped it.
    """

    def __init__(self, context: SearchContext, held_out: Sequence[Query]) -> None:
        self._context = context
        self._plan = context.plan
        self._held_out = held_out
        self._stage = context.trials.stage(COLD_START, context.plain)

    def template(self, chosen: Sequence[Scored]) -> PromptTemplate:
        """Return the prompt with these examples."""
        return make_template(self._context.plain.system_message, [each.candidate for each in chosen], self._stage)

    def prove(self, number: int, chosen: Sequence[Scored]) -> ProofResult:
        """Ask with the set and without examples; what was asked without examples is shared by all rounds."""
        without = self._score_answers(f"{COLD_START} without", self._context.plain, number, "without examples")
        title = f"round {number}, with the set"
        with_set = self._score_answers(f"{COLD_START} {number} with", self.template(chosen), number, title)
        proof = prove(with_set, without, self._plan.seed, self._plan.effective_thresholds)
        if not proof.is_better:
            return ProofResult(proof, with_set, without)
        own_template = self._context.own
        judged = self._judge(number, with_set, "without", without)
        own: tuple[Scored, ...] = ()
        against_own = None
        if own_template is not None:
            own = self._score_answers(f"{COLD_START} own", own_template, number, "with the prompt's own examples")
            by_judge = self._judge(number, with_set, "own", own)
            against_own = compare_with_own(with_set, own, self._plan.seed, by_judge)
        return ProofResult(proof.completed(self._plan.judge_held_out, judged, against_own), with_set, without, own)

    def _judge(self, number: int, with_set: Sequence[Scored], name: str, other: Sequence[Scored]) -> Judged | None:
        """Have the pairs of both judged; what was judged before is not asked again."""
        if not self._plan.judge_held_out:
            return None
        trials = self._context.trials
        one, two = (
            trials.judge_pairs(f"{COLD_START} {which} judged", [each.candidate for each in scored])
            for which, scored in ((f"{number} with", with_set), (name, other))
        )
        return judge_shares(one, two, len(with_set), self._plan.seed)

    def find_harmful(self, number: int, chosen: Sequence[Scored], with_set: Sequence[Scored]) -> list[AblationResult]:
        """Leave out one example at a time; return those without which answers are better, the worst first."""
        if len(chosen) < 2:
            return []
        answers = {}
        for position, each in enumerate(chosen, 1):
            template = self.template([other for other in chosen if other is not each])
            name = f"{COLD_START} {number} without example {position}"
            title = f"round {number}, without example {position}"
            answers[each.candidate.key] = self._score_answers(name, template, number, title)
        return find_harmful(with_set, answers, self._plan.seed)

    def _score_answers(self, name: str, template: PromptTemplate, number: int, title: str) -> tuple[Scored, ...]:
        trials = self._context.trials.run(name, template, self._held_out, 1, number, title=title)
        return tuple(self._context.scorer.score([each.candidate for each in trials], template))


class SearchLoop:
    """Searches for in-context examples.

    `say` gets each line of progress; `on_change` is called whenever `rounds` has changed.
    """

    def __init__(self, context: SearchContext, say: Callable[[str], None], on_change: Callable[[], None]) -> None:
        self._context = context
        self._plan = context.plan
        self._plain = context.plain
        self._store = context.store
        self._trials = context.trials
        self._scorer = context.scorer
        self._say = say
        self._on_change = on_change
        self._verdicts: dict[str, RubricVerdict] = {}
        self.rounds: list[SearchRound] = []

    @property
    def best(self) -> SearchRound | None:
        """The round with the best set so far; an unproven set only if there is no other."""
        return max((each for each in self.rounds if each.chosen), key=_rank, default=None)

    def run(self, reviews: Reviews, pinned: Sequence[Candidate] = ()) -> None:
        """Run rounds until a set is satisfactory or no round is left. Raises the `SyphusError` that stopped it."""
        held_out = self._draw_held_out(pinned)
        pool = CandidatePool(self._context, reviews, pinned)
        prover = Prover(self._context, held_out)
        for number in range(1, self._plan.rounds + 1):
            self._propose(number, pool, held_out)
            chosen, is_last = pool.choose(number), number == self._plan.rounds
            self._update(
                replace(
                    self.rounds[-1],
                    scored=pool.scored,
                    chosen=tuple(chosen),
                    template=prover.template(chosen),
                    fates=pool.fates(chosen),
                )
            )
            if not chosen or (len(chosen) < self._plan.examples and not is_last):
                self._say(
                    f"round {number}: {len(chosen)} of {self._plan.examples} examples found, nothing to prove yet"
                )
                continue
            self._prove(prover)
            if self._is_satisfied():
                return
            if not pool.replaceable(chosen):
                self._say("All examples were pinned or edited by hand: none can be replaced.")
                return
            if not is_last:
                self._replace_examples(pool, prover)

    # The steps of a round.

    def _propose(self, number: int, pool: CandidatePool, held_out: Sequence[Query]) -> None:
        asked_with = self.best.template if self.best else self._plain
        sample = self._draw_sample(number, pool, held_out)
        name = f"{COLD_START} {number} propose"
        title = f"round {number}, candidates"
        trials = self._trials.run(name, asked_with, sample, self._plan.answers, number, pool.queries, title)
        candidates = [each.candidate for each in trials]
        if self._plan.judge:
            usable = [each.candidate for each in self._scorer.score(candidates, asked_with) if not each.barred]
            self._verdicts |= self._trials.judge(f"{COLD_START} {number} judge", usable)
        pool.add(candidates, asked_with, self._verdicts if self._plan.judge else None)
        self.rounds.append(SearchRound(number, asked_with, pool.scored, fates=pool.fates([])))
        self._on_change()
        valid = sum(each.state is State.OK for each in candidates)
        self._say(f"round {number}: {pluralize(len(candidates), 'answer')} to choose from, {valid} of them valid")

    def _prove(self, prover: Prover) -> None:
        last = self.rounds[-1]
        proof, with_set, without, own = prover.prove(last.number, last.chosen)
        self._update(replace(last, proof=proof, with_set=with_set, without=without, own=own))
        shares = f"{proof.valid_share:.0%} valid with the set, {proof.plain_share:.0%} without"
        gain = f"score {proof.mean_score:.2f}, {proof.gain.mean:+.2f} ({proof.gain.low:+.2f} to {proof.gain.high:+.2f})"
        verdict = "satisfactory" if proof.satisfactory else f"not satisfactory: {'; '.join(proof.missing)}"
        self._say(f"round {last.number}: {shares}, {gain}: {verdict}")
        for line in comparison_lines(proof):
            self._say(f"round {last.number}: {line}")

    def _is_satisfied(self) -> bool:
        proof = self.rounds[-1].proof
        return proof is not None and proof.satisfactory

    def _replace_examples(self, pool: CandidatePool, prover: Prover) -> None:
        """Drop the examples without which the held-out answers are better; if there are none, the weakest example."""
        last = self.rounds[-1]
        harmful = prover.find_harmful(last.number, last.chosen, last.with_set)
        replaceable = pool.replaceable(last.chosen)
        keys = {each.candidate.key for each in replaceable}
        why = {each.example: f"hurts: {each.gain.mean:+.2f} without it" for each in harmful if each.example in keys}
        if not why:
            why = {each.candidate.key: "the weakest of an unsatisfactory set" for each in replaceable[:1]}
        pool.drop(why)
        self._update(replace(last, harmful=tuple(harmful), fates={**last.fates, **why}))

    # The queries.

    def _draw_held_out(self, pinned: Sequence[Candidate]) -> list[Query]:
        """Draw the queries that prove the set; none of them is a pinned example."""
        shown, stage = {each.user_turn for each in pinned}, self._trials.stage(COLD_START, self._plain)
        rows, count = askable_queries(self._store, GenerateStage.name), self._plan.held_out
        drawn = self._queries(sample_random(rows, count + len(shown), f"{self._plan.seed} held out"))
        return [query for query in drawn if stage.user_turn(query) not in shown][:count]

    def _draw_sample(self, number: int, pool: CandidatePool, held_out: Sequence[Query]) -> list[Query]:
        """Draw queries for candidates, first those that were not asked yet; never the held-out ones."""
        excluded, used = {query.text for query in held_out}, pool.queries
        ids: list[str] = []
        for fresh in (True, False):
            if len(ids) == self._plan.sample:
                break
            rows = (
                (query_id, text)
                for query_id, text in askable_queries(self._store, GenerateStage.name)
                if text not in excluded and (query_id not in used) is fresh
            )
            ids += sample_spread(rows, self._plan.sample - len(ids), f"{self._plan.seed} round {number}")
        return self._queries(ids)

    def _queries(self, ids: Sequence[str]) -> list[Query]:
        return queries_by_id(self._store, GenerateStage.name, ids)

    def _update(self, round_: SearchRound) -> None:
        self.rounds[-1] = round_
        self._on_change()


def _rank(round_: SearchRound) -> tuple[bool, bool, bool, float]:
    proof = round_.proof
    if proof is None:
        return False, False, False, 0.0
    return proof.satisfactory, proof.is_better, True, proof.valid_share + proof.mean_score
