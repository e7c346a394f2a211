"""Score candidates, and keep all of them: which may become an example, which are excluded, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syphus.answers.scoring import HEURISTICS, Candidate, Heuristic, Scored, ScoringContext, score_all
from syphus.cold_start.example_selection import choose
from syphus.cold_start.plan import SearchPlan
from syphus.cold_start.review import Reviews
from syphus.cold_start.rubric import RubricVerdict, judge_heuristic
from syphus.cold_start.trials import TrialRunner
from syphus.ledger.store import Store
from syphus.plugins.contract import AbstractDataset, plugin_code
from syphus.plugins.prompts import PromptTemplate
from syphus.runs.generate import cleaning_rules


class Scorer:
    """Scores the answers to a dataset's queries, with its own rules and heuristics and a judge's verdicts."""

    def __init__(self, dataset: AbstractDataset) -> None:
        self._dataset = dataset
        self._code = plugin_code(dataset)
        self._rules = cleaning_rules(dataset)

    @property
    def heuristics(self) -> list[Heuristic]:
        """All heuristics: the general ones, those of the dataset, and the judge."""
        return list({each.name: each for each in (*HEURISTICS, *self._extra_heuristics({}))}.values())

    def score(
        self,
        candidates: Sequence[Candidate],
        asked_with: PromptTemplate,
        others: Sequence[Candidate] = (),
        verdicts: Mapping[str, RubricVerdict] | None = None,
    ) -> list[Scored]:
        """Score answers to the prompt `asked_with`, compared with each other and with `others`.

        Raises `PluginError` if a heuristic of the plugin fails.
        """
        compared = tuple({each.key: each for each in (*candidates, *others)}.values())
        context = ScoringContext(asked_with.system_message, asked_with.in_context, self._rules, compared)
        return self._code.run(score_all, candidates, context, extra=self._extra_heuristics(verdicts))

    def _extra_heuristics(self, verdicts: Mapping[str, RubricVerdict] | None) -> list[Heuristic]:
        return [*self._dataset.heuristics, *([judge_heuristic(verdicts)] if verdicts is not None else [])]


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What all steps of a search share. `plan` fits the input; `plain` is the prompt without examples.

    `own` is the prompt with examples of its own, None if it has none.
    """

    plan: SearchPlan
    plain: PromptTemplate
    store: Store
    trials: TrialRunner
    scorer: Scorer
    own: PromptTemplate | None = None


TAKEN, PINNED = "taken", "pinned"  #: fates of the examples of a set


class CandidatePool:
    """All candidates with their scores, by their keys. The `pinned` ones are in every set."""

    def __init__(self, context: SearchContext, reviews: Reviews, pinned: Sequence[Candidate]) -> None:
        self._context = context
        self._reviews = reviews
        self._pinned = context.scorer.score(pinned, context.plain) if pinned else []
        self._scored: dict[str, Scored] = {}
        self._excluded: dict[str, str] = {}  # why, by key

    @property
    def scored(self) -> tuple[Scored, ...]:
        """All candidates; those that a person wrote come first."""
        return (*self._by_hand(), *self._scored.values())

    @property
    def queries(self) -> set[str]:
        """The ids of the queries that have been asked."""
        return {each.candidate.query.id for each in self._scored.values()}

    def add(
        self, candidates: Sequence[Candidate], asked_with: PromptTemplate, verdicts: Mapping[str, RubricVerdict] | None
    ) -> None:
        """Score new candidates, which answered the prompt `asked_with`, and add them."""
        others = [each.candidate for each in self._scored.values()]
        for scored in self._context.scorer.score(candidates, asked_with, others, verdicts):
            self._scored.setdefault(scored.candidate.key, scored)

    def choose(self, number: int) -> list[Scored]:
        """Choose the set of round `number`. A reviewer, if there is one, must accept it."""
        while True:
            by_hand = self._by_hand()
            excluded = {*self._excluded, *self._reviews.rejected, *self._reviews.edited}
            free = [each for key, each in self._scored.items() if key not in excluded]
            plan = self._context.plan
            chosen = choose(free, plan.examples, plan.tokens, plan.strategy, plan.seed + number, pinned=by_hand)
            if self._reviews.review([each for each in chosen if each.candidate.round]):
                return chosen

    def replaceable(self, chosen: Sequence[Scored]) -> list[Scored]:
        """Return the examples that no person pinned or edited, the weakest first."""
        found = [each for each in chosen if each.candidate.round]
        return sorted(found, key=lambda each: (each.total, each.candidate.key))

    def drop(self, why: Mapping[str, str]) -> None:
        """Exclude candidates for good; `why` says the reason, by their keys."""
        self._excluded |= why

    def fates(self, chosen: Sequence[Scored]) -> dict[str, str]:
        """Say in a few words what became of candidates, by their keys."""
        return {
            **self._excluded,
            **dict.fromkeys(self._reviews.rejected, "rejected by a person"),
            **dict.fromkeys(self._reviews.edited, "edited by a person"),
            **{each.candidate.key: TAKEN if each.candidate.round else PINNED for each in chosen},
        }

    def _by_hand(self) -> list[Scored]:
        """Return the pinned candidates and those that a person has edited."""
        texts = self._reviews.edited
        edited = [
            self._reviews.rewrite(each.candidate, texts[key]) for key, each in self._scored.items() if key in texts
        ]
        return [*self._pinned, *(self._context.scorer.score(edited, self._context.plain) if edited else [])]
