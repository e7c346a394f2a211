"""All candidates so far: which may become an example, which are out, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syphus.answers.scoring import HEURISTICS, Candidate, Heuristic, Scored, ScoringContext, score_all
from syphus.cold_start.plan import SearchPlan
from syphus.cold_start.review import Reviews
from syphus.cold_start.rubric import RubricVerdict, judge_heuristic
from syphus.cold_start.selection import choose
from syphus.plugins.contract import AbstractDataset, plugin_code
from syphus.runs.generate import cleaning_rules
from syphus.types import PromptTemplate

# FOLDED from scoring.py:
# Scoring for a dataset: its rules, its own heuristics, and a judge's verdicts where there are any.


class Scorer:
    """Scores the answers of one dataset's queries."""

    def __init__(self, dataset: AbstractDataset) -> None:
        self._dataset = dataset
        self._code = plugin_code(dataset)
        self._rules = cleaning_rules(dataset)

    @property
    def heuristics(self) -> list[Heuristic]:
        """All that there may be: the general ones, those of the dataset, and the judge."""
        return list({each.name: each for each in (*HEURISTICS, *self._extra({}))}.values())

    def score(
        self,
        candidates: Sequence[Candidate],
        asked_with: PromptTemplate,
        others: Sequence[Candidate] = (),
        verdicts: Mapping[str, RubricVerdict] | None = None,
    ) -> list[Scored]:
        """Scores answers to `asked_with`; `others` are compared with, besides the candidates themselves.

        Raises `PluginError` where a heuristic of the plugin's fails.
        """
        everybody = tuple({each.key: each for each in (*candidates, *others)}.values())
        background = ScoringContext(asked_with.system_message, asked_with.in_context, self._rules, everybody)
        return self._code.run(score_all, candidates, background, extra=self._extra(verdicts))

    def _extra(self, verdicts: Mapping[str, RubricVerdict] | None) -> list[Heuristic]:
        return [*self._dataset.heuristics, *([judge_heuristic(verdicts)] if verdicts is not None else [])]


TAKEN, PINNED = "taken", "pinned"


class CandidatePool:
    """Candidates with their scores, by their keys. `pinned` ones are always in the set."""

    def __init__(
        self, plan: SearchPlan, plain: PromptTemplate, scorer: Scorer, reviews: Reviews, pinned: Sequence[Candidate]
    ) -> None:
        self._plan = plan
        self._plain = plain
        self._scorer = scorer
        self._reviews = reviews
        self._pinned = scorer.score(pinned, plain) if pinned else []
        self._scored: dict[str, Scored] = {}
        self._out: dict[str, str] = {}

    @property
    def scored(self) -> tuple[Scored, ...]:
        """All of them, what a person wrote first."""
        return (*self._by_hand(), *self._scored.values())

    @property
    def queries(self) -> set[str]:
        """The ids of the queries that were asked."""
        return {each.candidate.query.id for each in self._scored.values()}

    def add(
        self, found: Sequence[Candidate], asked_with: PromptTemplate, verdicts: Mapping[str, RubricVerdict] | None
    ) -> None:
        """Scores new candidates, which were asked with a prompt, among those that are here."""
        others = [each.candidate for each in self._scored.values()]
        for scored in self._scorer.score(found, asked_with, others, verdicts):
            self._scored.setdefault(scored.candidate.key, scored)

    def choose(self, number: int) -> list[Scored]:
        """The set of round `number`, once a person, if one is asked, agrees to it."""
        while True:
            by_hand = self._by_hand()
            out = {*self._out, *self._reviews.rejected, *self._reviews.edited}
            free = [each for key, each in self._scored.items() if key not in out]
            plan = self._plan
            chosen = choose(free, plan.examples, plan.tokens, plan.strategy, plan.seed + number, pinned=by_hand)
            if self._reviews.ask([each for each in chosen if each.candidate.round]):
                return chosen

    def replaceable(self, chosen: Sequence[Scored]) -> list[Scored]:
        """Those of a set that no person put there, the weakest first."""
        own = [each for each in chosen if each.candidate.round]
        return sorted(own, key=lambda each: (each.total, each.candidate.key))

    def drop(self, why: Mapping[str, str]) -> None:
        """Takes candidates out for good, by their keys, and says why."""
        self._out |= why

    def fates(self, chosen: Sequence[Scored]) -> dict[str, str]:
        """What has become of each, by its key, as far as there is something to say."""
        return {
            **self._out,
            **dict.fromkeys(self._reviews.rejected, "rejected by a person"),
            **dict.fromkeys(self._reviews.edited, "edited by a person"),
            **{each.candidate.key: TAKEN if each.candidate.round else PINNED for each in chosen},
        }

    def _by_hand(self) -> list[Scored]:
        """Pinned ones, and those that a person has edited."""
        texts = self._reviews.edited
        edited = [
            self._reviews.rewritten(each.candidate, texts[key]) for key, each in self._scored.items() if key in texts
        ]
        return [*self._pinned, *(self._scorer.score(edited, self._plain) if edited else [])]
