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

from syphus.answers.parsing.pairs import render_pairs
from syphus.answers.scoring import Candidate
from syphus.cold_start.rubric import CANDIDATE_RUBRIC, RubricVerdict, judge_query, read_verdict
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.request import RequestBuilder
from syphus.images.prompt.attachments import ImageAttachments
from syphus.ledger.inputs import accept_input, register
from syphus.ledger.records import Row, StoredAnswer
from syphus.ledger.results import AnsweredQuery, answered_queries
from syphus.ledger.store import Store
from syphus.pipeline.engine import Observer
from syphus.pipeline.stage import Judgement, PluginFaultError, Stage
from syphus.plugins.contract import AbstractDataset
from syphus.plugins.hook_results import checked
from syphus.runs.generate import GenerateStage, parser_digest
from syphus.runs.judge import TEMPERATURE, JudgeStage
from syphus.runs.prepare import PreparedRun
from syphus.runs.session import StageRunner
from syphus.types import Completion, Outcome, Pair, Parsed, PromptTemplate, Query, Request, State, Usage, is_simulated

if TYPE_CHECKING:
    from syphus.simulator.settings import Simulation

# FOLDED from propose.py:
# Asking sampled queries with any prompt, to see what it is worth: as the main stage does, but nothing is asked again.
#
# Queries are registered with a label, so that one query can be asked several times, and is asked anew when it is to be
# asked with something else. The plugin sees its own queries, without the label.

BY_HAND = "a person"  #: the model of what a person wrote


def labelled(query: Query, number: int, asked_with: str) -> Query:
    """The query as it is registered: the `number`th answer to it, from 0, asked with what has the digest `asked_with`.

    The ledger asks again where the digest is another.
    """
    name = f"{query.id} answer {number + 1}" if number else query.id
    label = {"query": query.id, "number": number, "asked with": asked_with, "meta": dict(query.meta)}
    return replace(query, id=name, meta=label)


def unlabelled(query: Query) -> Query:
    """The query as the plugin gave it."""
    meta = query.meta["meta"]
    assert isinstance(meta, dict)
    return replace(query, id=str(query.meta["query"]), meta=meta)


class TrialStage(GenerateStage):
    """Asks labelled queries with `prefix`, and judges their answers as the main stage would."""

    def __init__(
        self,
        name: str,
        dataset: AbstractDataset,
        prefix: PromptTemplate,
        request_builder: RequestBuilder,
        redactor: SecretRedactor,
        share_answers: bool = True,
        hook_seconds: float = 10.0,
        attachments: ImageAttachments | None = None,
    ) -> None:
        super().__init__(dataset, prefix, request_builder, redactor, share_answers, hook_seconds, attachments)
        self.name = name

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """As the main stage's; a further answer to the same query is another sample of it."""
        number = row.query.meta["number"]
        assert isinstance(number, int)
        return super().request(row._replace(query=unlabelled(row.query), used=row.used + number), last)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """As the main stage's."""
        return super().judge(row._replace(query=unlabelled(row.query)), completion)

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - nothing of it is a result
        """None."""
        return ""

    # What a candidate is made of.

    def user_turn(self, query: Query) -> str:
        """The user turn of a query, without its label; its text where the plugin fails on it."""
        try:
            return self._hook(self._render, query)
        except PluginFaultError:
            return query.text

    def read_pairs(self, query: Query, text: str) -> tuple[Pair, ...]:
        """What can be read out of an answer, whatever is wrong with it; nothing where the plugin fails on it."""
        try:
            parsed = self._hook(self._dataset.parse_response, text, query)
            return checked("parse_response", parsed, Parsed).pairs
        except (PluginFaultError, TypeError):
            return ()

    def judge_text(self, query: Query, text: str) -> Outcome:
        """What a text that a person wrote would be worth as the answer to a query."""
        try:
            return super().judge(Row(0, query), Completion(text, "stop", BY_HAND, Usage())).outcome
        except PluginFaultError as fault:
            return fault.outcome

    def example_text(self, query: Query, pairs: tuple[Pair, ...], answer: str) -> str:
        """An answer as an in-context example shows it.

        Where Syphus's own parser reads the answers, its pairs in the form that is taught, cleaned and without what
        stood around them; where the plugin reads them itself, the answer as it came.
        """
        own = type(self._dataset).parse_response is not AbstractDataset.parse_response
        shown = answer.strip() if own else render_pairs(pairs)
        if not own and self.read_pairs(query, shown) != tuple(Pair(pair.instruction, pair.answer) for pair in pairs):
            return answer.strip()
        return shown


def describe_model(model: str) -> str:
    """The model of a candidate for people."""
    return f"{model} (made up)" if is_simulated(model) else model


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

    def stage(self, name: str, prefix: PromptTemplate) -> TrialStage:
        """The stage that asks with a prompt."""
        return TrialStage(
            name,
            self._prepared.dataset,
            prefix,
            self._runner.request_builder,
            self._runner.redactor,
            share_answers=not self._prepared.options.no_sharing,
            hook_seconds=self._prepared.config.plugin_timeout,
            attachments=self._runner.attachments,
        )

    def run(
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
        settings = replace(self._prepared, template=prefix).settings
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
        sampling = self._runner.request_builder
        parameters = {**sampling.parameters, "temperature": TEMPERATURE}
        settings = {"model": sampling.model, "simulated": self._prepared.options.offline, **parameters}
        rows = list({each.key: judge_query(each, _digest(settings)) for each in candidates}.values())
        told = self._answers(JudgeStage(name, sampling, CANDIDATE_RUBRIC), settings, rows)
        return {each.query.id: read_verdict(each.detail) for each in told if each.state is State.OK}

    def _answers(self, stage: Stage, settings: dict[str, object], rows: Sequence[Query]) -> list[AnsweredQuery]:
        everything: Callable[[int], bool] = lambda _: True  # noqa: E731 - it has its type so
        register(self._store, stage.name, rows, everything, lambda _: None)
        accept_input(self._store, stage.name)
        report = self._runner.report(stage.name)
        if report.counts.states[State.PENDING]:
            stopped_by = self._runner.run(stage, settings, report)
            if stopped_by is not None:
                raise stopped_by
        return list(answered_queries(self._store, stage.name))


def _simulation(prepared: PreparedRun) -> Simulation | None:
    """What answers where no model does: an endpoint that learns from in-context examples."""
    if not prepared.options.offline:
        return None
    from syphus.simulator.settings import Simulation  # only who works offline needs it

    return Simulation(seed=prepared.options.seed, obedience="examples")


def _candidate(stage: TrialStage, told: AnsweredQuery, number: int) -> Candidate:
    query = unlabelled(told.query)
    pairs = tuple(told.pairs) or (stage.read_pairs(query, told.text) if told.text else ())
    asked = stage.user_turn(query)
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
