"""Trials: sampled queries asked with a prompt, under a stage's name, and what came back as candidates.

What is in the ledger already is not asked again: the whole of a cold start or a comparison can be carried out once more
from its beginning, and sends only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from syphus.answers.scoring import Candidate
from syphus.cold_start.propose import ProposeStage, labelled, unlabelled
from syphus.cold_start.rubric import OF_CANDIDATES, RubricVerdict, read_verdict, to_judge
from syphus.ledger.inputs import accept, register
from syphus.ledger.results import AnsweredQuery, answered
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.pipeline.stage import Stage
from syphus.runs.generate import parser_digest
from syphus.runs.judge import TEMPERATURE, JudgeStage
from syphus.runs.prepare import PreparedRun
from syphus.runs.session import StageRunner
from syphus.types import PromptTemplate, Query, State, Usage

if TYPE_CHECKING:
    from syphus.simulator.settings import Simulation


class TrialResult(NamedTuple):
    """A candidate, and the tokens of its answer."""

    candidate: Candidate
    usage: Usage


class TrialRunner:
    """Asks the model of `prepared` about sampled queries, within the run's budget."""

    def __init__(self, prepared: PreparedRun, store: Store, observer: Observer) -> None:
        self._prepared = replace(prepared, options=replace(prepared.options, max_rounds=0))
        self._store = store
        self._runner = StageRunner(self._prepared, store, observer, simulation=_simulation(prepared))
        self._parser = parser_digest(prepared.plugin.path)

    def close(self) -> None:
        """Lets go of the images."""
        self._runner.close()

    @property
    def runner(self) -> StageRunner:
        """What asks."""
        return self._runner

    def stage(self, name: str, prefix: PromptTemplate) -> ProposeStage:
        """The stage that asks with a prompt."""
        return ProposeStage(
            name,
            self._prepared.dataset,
            prefix,
            self._runner.sampling,
            self._runner.redactor,
            share_answers=not self._prepared.options.no_sharing,
            hook_seconds=self._prepared.config.plugin_timeout,
            attachments=self._runner.attachments,
        )

    def ask(
        self,
        name: str,
        prefix: PromptTemplate,
        queries: Sequence[Query],
        answers: int = 1,
        number: int = 1,
        before: Collection[str] = (),
    ) -> list[TrialResult]:
        """Asks for so many answers to each query, in round `number`; gives what came of all, in the same order.

        The queries that have the ids in `before` were asked in earlier rounds, and are asked for further answers.

        Raises the `SyphusError` that stopped it.
        """
        stage = self.stage(name, prefix)
        settings = replace(self._prepared, prefix=prefix).settings
        asked_with = _digest([settings, self._parser])
        rows = [
            labelled(query, copy + answers * (number - 1) * (query.id in before), asked_with)
            for query in queries
            for copy in range(answers)
        ]
        return [
            TrialResult(_candidate(stage, told, number), told.usage) for told in self._answers(stage, settings, rows)
        ]

    def judge(self, name: str, candidates: Sequence[Candidate]) -> dict[str, RubricVerdict]:
        """The model's verdicts on candidates, by their keys. Raises the `SyphusError` that stopped it."""
        sampling = self._runner.sampling
        parameters = {**sampling.parameters, "temperature": TEMPERATURE}
        settings = {"model": sampling.model, "simulated": self._prepared.options.offline, **parameters}
        rows = list({each.key: to_judge(each, _digest(settings)) for each in candidates}.values())
        told = self._answers(JudgeStage(name, sampling, OF_CANDIDATES), settings, rows)
        return {each.query.id: read_verdict(each.detail) for each in told if each.state is State.OK}

    def _answers(self, stage: Stage, settings: dict[str, object], rows: Sequence[Query]) -> list[AnsweredQuery]:
        everything: Callable[[int], bool] = lambda _: True  # noqa: E731 - it has its type so
        register(self._store, stage.name, rows, everything, lambda _: None)
        accept(self._store, stage.name)
        report = self._runner.report(stage.name)
        if report.counts.states[State.PENDING]:
            stopped_by = self._runner.ask(stage, settings, report)
            if stopped_by is not None:
                raise stopped_by
        return list(answered(self._store, stage.name))


def _simulation(prepared: PreparedRun) -> Simulation | None:
    """What answers where no model does: an endpoint that learns from in-context examples."""
    if not prepared.options.offline:
        return None
    from syphus.simulator.settings import Simulation  # only who works offline needs it

    return Simulation(seed=prepared.options.seed, obedience="examples")


def _candidate(stage: ProposeStage, told: AnsweredQuery, number: int) -> Candidate:
    query = unlabelled(told.query)
    pairs = tuple(told.pairs) or (stage.pairs(query, told.text) if told.text else ())
    asked = stage.asked(query)
    return Candidate(
        query,
        pairs,
        told.text,
        told.state,
        told.reason,
        told.model,
        number,
        asked if asked != query.text else "",
    )


def _digest(values: object) -> str:
    return blake2b(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
