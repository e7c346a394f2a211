"""All candidates so far: which may become an example, which are out, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syphus.runs.cold_start.plan import Plan
from syphus.runs.cold_start.review import Reviews
from syphus.runs.cold_start.scoring import Scorer
from syphus.selection import Candidate, Scored, Verdict, choose
from syphus.types import Prefix

TAKEN, PINNED = "taken", "pinned"


class Pool:
    """Candidates with their scores, by their keys. `pinned` ones are always in the set."""

    def __init__(
        self, plan: Plan, plain: Prefix, scorer: Scorer, reviews: Reviews, pinned: Sequence[Candidate]
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

    def add(self, found: Sequence[Candidate], asked_with: Prefix, verdicts: Mapping[str, Verdict] | None) -> None:
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
