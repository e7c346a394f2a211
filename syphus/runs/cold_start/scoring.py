"""Scoring for a dataset: its rules, its own heuristics, and a judge's verdicts where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syphus.plugins.contract import AbstractDataset, plugin_code
from syphus.selection import HEURISTICS, Background, Candidate, Heuristic, Scored, Verdict, judged, score_all
from syphus.stages.generate import rules_of
from syphus.types import Prefix


class Scorer:
    """Scores the answers of one dataset's queries."""

    def __init__(self, dataset: AbstractDataset) -> None:
        self._dataset = dataset
        self._code = plugin_code(dataset)
        self._rules = rules_of(dataset)

    @property
    def heuristics(self) -> list[Heuristic]:
        """All that there may be: the general ones, those of the dataset, and the judge."""
        return list({each.name: each for each in (*HEURISTICS, *self._extra({}))}.values())

    def score(
        self,
        candidates: Sequence[Candidate],
        asked_with: Prefix,
        others: Sequence[Candidate] = (),
        verdicts: Mapping[str, Verdict] | None = None,
    ) -> list[Scored]:
        """Scores answers to `asked_with`; `others` are compared with, besides the candidates themselves.

        Raises `PluginError` where a heuristic of the plugin's fails.
        """
        everybody = tuple({each.key: each for each in (*candidates, *others)}.values())
        background = Background(asked_with.system_message, asked_with.in_context, self._rules, everybody)
        return self._code.run(score_all, candidates, background, extra=self._extra(verdicts))

    def _extra(self, verdicts: Mapping[str, Verdict] | None) -> list[Heuristic]:
        return [*self._dataset.heuristics, *([judged(verdicts)] if verdicts is not None else [])]
