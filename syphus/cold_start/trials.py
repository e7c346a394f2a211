"""Trials: ask sampled queries with any prompt, and turn the answers into candidates.

A trial asks as the main stage does, but never asks for a correction: that would hide what a prompt is worth. Queries
are registered with a label, so that one query can be asked several times, and is asked again when the prompt, the model
or the parser is another one. The plugin sees its own queries, without the label.

Answers that are in the ledger are not asked for again. So a whole cold start or comparison can be repeated from its
beginning, and sends only what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from syphus.answers.parsing.pairs import Parsed, render_pairs
from syphus.answers.scoring import Candidate
from syphus.cold_start.rubric import CANDIDATE_RUBRIC, RubricVerdict, judge_query, read_verdict
from syphus.exchange import Completion, Request, Usage
from syphus.ledger.inputs import accept_input, register
from syphus.ledger.records import Row, StoredAnswer
from syphus.ledger.results import AnsweredQuery, answered_queries
from syphus.ledger.store import Store
from syphus.model_names import is_simulated
from syphus.pipeline.observer import Observer
from syphus.pipeline.stage import Judgement, PluginFaultError, Stage
from syphus.plugins.contract import AbstractDataset
from syphus.plugins.hook_results import checked
from syphus.plugins.prompts import PromptTemplate
from syphus.runs import pair_verdicts
from syphus.runs.generate import GenerateStage, GenerationContext, parser_digest
from syphus.runs.judge import JUDGE_TEMPERATURE, JudgeStage
from syphus.runs.prepare import PreparedRun
from syphus.runs.session import StageRunner
from syphus.types import Outcome, Pair, Query, State

if TYPE_CHECKING:
    from syphus.simulator.settings import Simulation

BY_HAND = "a person"  #: the model name of an answer that a person wrote


def label_query(query: Query, number: int, asked_with: str) -> Query:
    """Return the query as it is registered for its answer `number`, from 0.

    `asked_with` is a digest of the prompt, the model and the parser: the ledger asks again if it is another one.
    """
    name = f"{query.id} answer {number + 1}" if number else query.id
    label = {"query": query.id, "number": number, "asked with": asked_with, "meta": dict(query.meta)}
    return replace(query, id=name, meta=label)


def remove_label(query: Query) -> Query:
    """Return the query as the plugin gave it."""
    meta = query.meta["meta"]
    assert isinstance(meta, dict)
    return replace(query, id=str(query.meta["query"]), meta=meta)


class TrialStage(GenerateStage):
    """Ask labelled queries with the template of `context`, and judge their answers as the main stage would."""

    def __init__(self, name: str, context: GenerationContext) -> None:
        super().__init__(context)
        self.name = name
        self.title = "trials"

    def request(self, row: Row, last: StoredAnswer | None) -> Request | Outcome:
        """Return the main stage's request; a further answer to the same query is another sample of it."""
        number = row.query.meta["number"]
        assert isinstance(number, int)
        return super().request(row._replace(query=remove_label(row.query), used=row.used + number), last)

    def judge(self, row: Row, completion: Completion) -> Judgement:
        """Judge an answer as the main stage does. Trials that all fail are a result."""
        judgement = super().judge(row._replace(query=remove_label(row.query)), completion)
        return judgement._replace(remedy="", is_trial=True)

    def lines(self, row: Row, outcome: Outcome, model: str) -> str:  # noqa: ARG002 - trials are not results of the run
        """Return no lines."""
        return ""

    # The parts of a candidate.

    @property
    def form(self) -> str:
        """The form of the prompt, as its file says."""
        return self._context.template.form

    def user_turn(self, query: Query) -> str:
        """Return the user turn of a query without its label; its text if the plugin fails on it."""
        try:
            return self._call_hook(self._render, query)
        except PluginFaultError:
            return query.text

    def read_pairs(self, query: Query, text: str) -> tuple[Pair, ...]:
        """Return the pairs in an answer even if it is invalid; none if the plugin fails on it."""
        try:
            parsed = self._call_hook(self._dataset.parse_response, text, query)
            return checked("parse_response", parsed, Parsed).pairs
        except (PluginFaultError, TypeError):
            return ()

    def judge_text(self, query: Query, text: str) -> Outcome:
        """Judge a text that a person wrote as the answer to a query."""
        try:
            return super().judge(Row(0, query), Completion(text, "stop", BY_HAND, Usage())).outcome
        except PluginFaultError as fault:
            return fault.outcome

    def example_text(self, query: Query, pairs: tuple[Pair, ...], answer: str) -> str:
        """Return an answer as an in-context example shows it.

        If Syphus's own parser reads the answers, this is the cleaned pairs in the form that the parser expects, without
        the text around them. If the plugin reads them, it is the answer as it came.
        """
        plugin_parses = type(self._dataset).parse_response is not AbstractDataset.parse_response
        if plugin_parses:
            return answer.strip()
        rendered = render_pairs(pairs)
        reads_back = self.read_pairs(query, rendered) == tuple(Pair(pair.instruction, pair.answer) for pair in pairs)
        return rendered if reads_back else answer.strip()


def describe_model(model: str) -> str:
    """Return the model of a candidate as text for people."""
    return f"{model} (simulated)" if is_simulated(model) else model


class TrialResult(NamedTuple):
    """A candidate, and the tokens of its answer."""

    candidate: Candidate
    usage: Usage


class TrialRunner:
    """Ask the model of `prepared` about sampled queries, within the run's budget. `close` it."""

    def __init__(self, prepared: PreparedRun, store: Store, observer: Observer) -> None:
        self._prepared = replace(prepared, options=replace(prepared.options, max_rounds=0))
        self._store = store
        self._runner = StageRunner(self._prepared, store, observer, simulation=_simulation(prepared))
        self._parser = parser_digest(prepared.plugin.path)

    def close(self) -> None:
        """Release the images."""
        self._runner.close()

    @property
    def runner(self) -> StageRunner:
        """The runner that sends the requests."""
        return self._runner

    def stage(self, name: str, template: PromptTemplate) -> TrialStage:
        """Return a stage that asks with `template`."""
        prepared = replace(self._prepared, template=template)
        runner = self._runner
        return TrialStage(name, GenerationContext.of_run(prepared, runner.request_builder, runner.attachments))

    def run(
        self,
        name: str,
        template: PromptTemplate,
        queries: Sequence[Query],
        answers: int = 1,
        number: int = 1,
        asked_before: Collection[str] = (),
        title: str = "trials",
    ) -> list[TrialResult]:
        """Ask for `answers` answers to each query in round `number`; return all results, in the order of the queries.

        The queries with ids in `asked_before` were asked in earlier rounds, and are asked for further answers. `title`
        is what people see meanwhile. Raises the `SyphusError` that stopped it.
        """
        stage = self.stage(name, template)
        stage.title = title
        settings = replace(self._prepared, template=template).settings
        asked_with = _digest([settings, self._parser])
        rows = [
            label_query(query, copy + answers * (number - 1) * (query.id in asked_before), asked_with)
            for query in queries
            for copy in range(answers)
        ]
        answered_rows = self._answer(stage, settings, rows)
        return [TrialResult(_candidate(stage, answer, number), answer.usage) for answer in answered_rows]

    def judge(self, name: str, candidates: Sequence[Candidate]) -> dict[str, RubricVerdict]:
        """Return the model's verdicts on candidates, by their keys. Raises the `SyphusError` that stopped it."""
        builder = self._runner.request_builder
        parameters = {**builder.parameters, "temperature": JUDGE_TEMPERATURE}
        settings = {"model": builder.model, "simulated": self._prepared.options.offline, **parameters}
        rows = list({each.key: judge_query(each, _digest(settings)) for each in candidates}.values())
        answers = self._answer(JudgeStage(name, builder, CANDIDATE_RUBRIC), settings, rows)
        return {each.query.id: read_verdict(each.detail) for each in answers if each.state is State.OK}

    def judge_pairs(self, name: str, candidates: Sequence[Candidate]) -> dict[str, float]:
        """Return the share of good pairs that the model finds in answers to different queries, by the query's id.

        An answer that was rejected has none; one that was refused or failed, or whose verdict can't be used, is left
        out. Raises the `SyphusError` that stopped it.
        """
        builder = self._runner.request_builder
        settings = {
            "model": builder.model,
            "simulated": self._prepared.options.offline,
            **builder.parameters,
            "temperature": JUDGE_TEMPERATURE,
        }
        source = pair_verdicts.JudgedAnswer(0, 0, f"{builder.model} {_digest(settings)}")
        accepted = [each for each in candidates if each.state is State.OK and each.pairs]
        rows = [pair_verdicts.judge_query(each.query.id, each.user_turn, each.pairs, (), source) for each in accepted]
        names = {row.id: each.query.id for row, each in zip(rows, accepted, strict=True)}
        shares = {each.query.id: 0.0 for each in candidates if each.state in (State.INVALID, State.TRUNCATED)}
        for answer in self._answer(JudgeStage(name, builder, pair_verdicts.VERDICTS_RUBRIC), settings, rows):
            count = len(pair_verdicts.judged_pairs(answer.query).pairs)
            verdicts = pair_verdicts.read_verdicts(answer.detail, count)[0] if answer.state is State.OK else ()
            if verdicts:
                good = sum(not each.fault and each.is_useful for each in verdicts)
                shares[names[answer.query.id]] = good / len(verdicts)
        return shares

    def _answer(self, stage: Stage, settings: dict[str, object], rows: Sequence[Query]) -> list[AnsweredQuery]:
        register(self._store, stage.name, rows, _take_all, lambda _: None)
        accept_input(self._store, stage.name)
        report = self._runner.report(stage.name)
        if report.counts.states[State.PENDING]:
            stopped_by = self._runner.run(stage, settings, report)
            if stopped_by is not None:
                raise stopped_by
        return list(answered_queries(self._store, stage.name))


def _take_all(_: int) -> bool:
    return True


def _simulation(prepared: PreparedRun) -> Simulation | None:
    """Return the simulator of an offline cold start: it learns from in-context examples."""
    if not prepared.options.offline:
        return None
    from syphus.simulator.settings import Simulation  # loaded only for --offline

    return Simulation(seed=prepared.options.seed, obedience="examples")


def _candidate(stage: TrialStage, answer: AnsweredQuery, number: int) -> Candidate:
    query = remove_label(answer.query)
    user_turn = stage.user_turn(query)
    return Candidate(
        query,
        tuple(answer.pairs) or (stage.read_pairs(query, answer.text) if answer.text else ()),
        answer.text,
        answer.state,
        answer.reason,
        answer.model,
        number,
        user_turn if user_turn != query.text else "",
    )


def _digest(values: object) -> str:
    return blake2b(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
